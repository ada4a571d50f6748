//! The services, against what is in the repository and what the agent knows.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use flotta_agent::config::{Broker, Config, Host, Inputs, OnEnd, build};
use serde_json::Value;

use super::files::{after, base, compose, environment, map, mounts, root, strings, text, with_podman};

/// The agent's configuration in the container; it must have nothing to complain of.
fn config(service: &Value) -> Config {
    let env = environment(service).into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let host = Host { cwd: "/".into(), ..Host::default() };
    let loaded = build(&Inputs { env, host, ..Inputs::default() }).expect("a configuration that the agent accepts");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    loaded.config
}

fn seconds(value: &Value) -> Duration {
    let text = value.as_str().and_then(|text| text.strip_suffix('s')).expect("seconds, as 40s");
    Duration::from_secs(text.parse().expect("whole seconds"))
}

#[test]
fn what_the_services_mount_is_in_the_repository_or_a_volume_that_is_declared() {
    let base = base();
    let declared: BTreeSet<&String> = map(&base["volumes"]).keys().collect();
    let mut used = BTreeSet::new();
    for (name, service) in map(&base["services"]) {
        for source in mounts(service).into_values() {
            if source.starts_with("./") {
                assert!(root().join(&source).exists(), "{name}: {source} is not in the repository");
            } else {
                used.insert(*declared.get(&source).unwrap_or_else(|| panic!("{name}: no volume {source}")));
            }
        }
    }
    assert_eq!(declared, used, "a volume that nobody uses");
}

#[test]
fn the_agent_is_given_only_variables_that_it_knows_and_finds_its_directories_mounted() {
    let service = &base()["services"]["agent"];
    let (config, mounts) = (config(service), mounts(service));
    assert_eq!(mounts.get(&config.state.dir).map(String::as_str), Some("state"));
    assert!(mounts.get(&config.manifests.dir).is_some_and(|source| root().join(source).is_dir()));
    assert!(config.http.listen.ip().is_loopback());
    assert!(seconds(&service["stop_grace_period"]) > config.graceful_shutdown, "killed before its own time is over");
    assert_eq!(config.workloads.on_exit, OnEnd::Stop, "shell workloads cannot outlive the container");
}

#[test]
fn with_podman_the_agent_reaches_its_socket_and_keeps_its_files_where_the_host_has_them_too() {
    let over = compose("deploy/compose.podman.yml");
    assert!(map(&over["services"]).keys().all(|name| base()["services"].get(name).is_some()));
    let service = with_podman("agent");
    let (config, mounts) = (config(&service), mounts(&service));
    assert!(mounts.contains_key(config.podman.socket.parent().expect("a directory")));
    assert_eq!(mounts.get(&config.state.dir).map(Path::new), Some(config.state.dir.as_path()));
    assert_eq!(config.workloads.on_exit, OnEnd::Leave, "pods outlive the agent");
    assert_eq!(service["pid"], "host");
}

#[test]
fn the_broker_listens_on_loopback_only_where_the_agent_and_the_healthcheck_look_for_it() {
    let services = &base()["services"];
    let conf = text("broker/mosquitto.conf");
    let listeners = after(&conf, "listener");
    let [listener] = listeners.as_slice() else { panic!("one listener, not {listeners:?}") };
    let (port, host) = listener.split_once(' ').expect("port and address");
    assert_eq!(host, "127.0.0.1", "nobody else may reach a broker without users");
    let wanted = Broker::External { host: host.into(), port: port.parse().expect("a port"), tls: false };
    assert_eq!(config(&services["agent"]).mqtt.broker, wanted);
    let check = strings(&services["mosquitto"]["healthcheck"]["test"]).join(" ");
    assert!(check.contains(&format!("-h {host} -p {port} ")), "{check}");
    let location = after(&conf, "persistence_location").join(" ");
    assert_eq!(mounts(&services["mosquitto"]).get(Path::new(&location)).unwrap(), "mosquitto");
    for service in ["agent", "mosquitto"] {
        assert_eq!(services[service]["network_mode"], "host", "else 127.0.0.1 is the container's own");
    }
}

#[test]
fn the_broker_ends_after_the_agent_and_both_come_back() {
    let services = &base()["services"];
    assert_eq!(strings(&services["agent"]["depends_on"]), ["mosquitto"]);
    for (name, service) in map(services) {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: a log without a limit");
    }
}
