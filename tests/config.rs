//! Where configuration comes from and which place wins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotta_agent::config::keys::{FLAGS, KEYS, find};
use flotta_agent::config::{
    Broker, File, Host, HostPaths, Inputs, Loaded, LogFormat, LogLevel, OnEnd, absent, build, load,
};

fn from_file(text: &str) -> Loaded {
    build(&inputs(text)).expect("a sound file")
}

fn inputs(text: &str) -> Inputs {
    Inputs {
        file: Some(File { path: "conf/config.yaml".into(), text: text.into() }),
        host: Host { cwd: "/cwd".into(), ..Host::default() },
        ..Inputs::default()
    }
}

fn messages(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_specification() {
    for text in ["", "# nothing\n", "---\n", "http:\nLOG_LEVEL:\n"] {
        let loaded = from_file(text);
        let config = &loaded.config;
        assert_eq!(config.device_id, None);
        assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Auto));
        assert_eq!(config.state.dir, Path::new("/var/lib/flotta-agent"));
        assert_eq!(config.state.endpoints(), Path::new("/var/lib/flotta-agent/run/endpoints.json"));
        assert_eq!(config.manifests.dir, Path::new("/etc/flotta-agent/manifests"));
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert!(config.http.hosts.is_empty());
        assert_eq!((config.mqtt.root.as_str(), &config.mqtt.broker), ("flotta", &Broker::Embedded));
        assert_eq!(config.mqtt.listen.to_string(), "127.0.0.1:1883");
        assert_eq!(config.mqtt.alive, Duration::from_secs(60));
        assert_eq!(config.metrics.ttl, Duration::ZERO);
        assert_eq!(config.metrics.restart_grace, Duration::from_secs(120));
        assert_eq!(config.podman.socket, Path::new("/run/podman/podman.sock"));
        assert_eq!(config.podman.rootless_runtime_dir.as_deref(), Some(Path::new("/run/user/0")));
        let remote = &config.remote;
        assert_eq!((&remote.host_paths, remote.on_removal), (&HostPaths::Allow, OnEnd::Stop));
        assert_eq!((remote.privileged, remote.host_network, remote.shell, remote.ansible), (false, true, false, false));
        assert_eq!((config.workloads.on_exit, config.workloads.max_operations), (OnEnd::Leave, 16));
        assert_eq!(config.graceful_shutdown, Duration::from_secs(30));
        assert_eq!(config.namespace, "default");
        assert_eq!(config.shim, Path::new("flotta-shim"));
        assert!(loaded.warnings.is_empty() && loaded.places.is_empty(), "{loaded:?}");
    }
}

#[test]
fn the_old_readme_s_file_works_unchanged() {
    let text = "\
LOG_LEVEL: debug
CA_ROOT: /home/cosmin/projects/device-worker-ng/resources/certificates/ca.pem
CERT: /home/cosmin/projects/device-worker-ng/resources/certificates/cert.pem
KEY: /home/cosmin/projects/device-worker-ng/resources/certificates/key.pem
SERVER: https://127.0.0.1:8043
XDG_RUNTIME_DIR: /run/user/1000
KUBECONFIG: /path/to/kubeconfig/if/any
DEVICE_ID: toto
";
    let loaded = from_file(text);
    let config = &loaded.config;
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.device_id.as_deref(), Some("toto"));
    assert_eq!(config.server.url.as_deref(), Some("https://127.0.0.1:8043"));
    assert_eq!(config.podman.rootless_runtime_dir.as_deref(), Some(Path::new("/run/user/1000")));
    assert_eq!(messages(&loaded), Vec::<String>::new());
    let absent: Vec<String> = absent(&loaded).iter().map(|problem| problem.message.clone()).collect();
    assert!(absent.contains(&"KUBECONFIG: /path/to/kubeconfig/if/any is not there".to_string()), "{absent:?}");
    for key in ["CA_ROOT", "CERT", "KEY"] {
        assert!(absent.iter().any(|line| line.starts_with(&format!("{key}: ")) && line.ends_with("is not there")));
    }
}

#[test]
fn a_server_needs_https_and_its_certificates() {
    let loaded = from_file("SERVER: https://127.0.0.1:8043\nCERT: c.pem\n");
    let said = messages(&loaded);
    assert_eq!(said.len(), 2, "{said:?}");
    for key in ["CA_ROOT", "KEY"] {
        assert!(said.iter().any(|line| line.contains(&format!("SERVER is set and {key} is not"))), "{said:?}");
    }
    let alone = messages(&from_file("KEY: k.pem\n"));
    assert!(alone.iter().any(|line| line.contains("KEY has no effect: SERVER is not set")), "{alone:?}");
    let plain = build(&inputs("SERVER: http://127.0.0.1:8043\n")).expect_err("refused").to_string();
    assert!(plain.contains("https only"), "{plain}");
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let mut inputs = inputs("http: { listen: \"127.0.0.1:1\" }");
    let port = |inputs: &Inputs| build(inputs).unwrap().config.http.listen.port();
    assert_eq!(port(&inputs), 1);
    inputs.env = vec![("EDGE_DEVICE_HTTP_LISTEN".into(), "127.0.0.1:2".into())];
    assert_eq!(port(&inputs), 2);
    assert_eq!(build(&inputs).unwrap().place("http.listen"), "EDGE_DEVICE_HTTP_LISTEN");
    inputs.flags = vec![("--http-listen", "localhost:3".into())];
    assert_eq!(port(&inputs), 3);
    assert_eq!(build(&inputs).unwrap().place("http.listen"), "--http-listen");
    inputs.env = vec![("EDGE_DEVICE_HTTP_LISTEN".into(), String::new().into())];
    inputs.flags.clear();
    assert_eq!(port(&inputs), 1, "an empty variable counts as not written");
}

#[test]
fn relative_paths_start_where_they_are_written() {
    let mut inputs =
        inputs("manifests: { dir: m }\nCERT: ../cert.pem\npodman: { socket: \"${XDG_RUNTIME_DIR}/p.sock\" }");
    inputs.env =
        vec![("EDGE_DEVICE_STATE_DIR".into(), "s".into()), ("EDGE_DEVICE_XDG_RUNTIME_DIR".into(), "/x".into())];
    inputs.flags = vec![("--manifests", "f".into())];
    let config = build(&inputs).unwrap().config;
    assert_eq!(config.manifests.dir, Path::new("/cwd/f"));
    assert_eq!(config.state.dir, Path::new("/cwd/s"));
    assert_eq!(config.server.cert, Some(PathBuf::from("/cwd/conf/../cert.pem")));
    assert_eq!(config.podman.socket, Path::new("/x/p.sock"));
    inputs.flags.clear();
    assert_eq!(build(&inputs).unwrap().config.manifests.dir, Path::new("/cwd/conf/m"));
}

#[test]
fn every_key_has_its_name_in_the_environment() {
    let name = |path| find(path).map(|key| key.env());
    assert_eq!(name("DEVICE_ID").as_deref(), Some("EDGE_DEVICE_DEVICE_ID"));
    assert_eq!(name("mqtt.password_file").as_deref(), Some("EDGE_DEVICE_MQTT_PASSWORD_FILE"));
    let mut names: Vec<String> = KEYS.iter().map(|key| key.env()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), KEYS.len(), "no two keys share a name");
    assert!(FLAGS.iter().all(|(_, path)| find(path).is_some()));

    let env = |name: &str, value: &str| (name.into(), value.into());
    let inputs = Inputs {
        env: vec![
            env("EDGE_DEVICE_HTTP_HOSTS", "a.example, b.example"),
            env("EDGE_DEVICE_REMOTE_HOST_PATHS", "/srv,/data"),
            env("EDGE_DEVICE_REMOTE_SHELL", "true"),
            env("EDGE_DEVICE_MQTT_BROKER", "mqtt://[::1]:1884"),
            env("EDGE_DEVICE_METRICS_TTL", "90"),
            env("EDGE_DEVICE_LOG_LEVEL", "WARNING"),
            env("EDGE_DEVICE_HTTP_LISTN", "x"),
            env("EDGE_DEVICE_COLOUR", "x"),
            env("PATH", "/bin"),
        ],
        ..Inputs::default()
    };
    let loaded = build(&inputs).unwrap();
    let config = &loaded.config;
    assert_eq!(config.http.hosts, ["a.example", "b.example"]);
    assert_eq!(config.remote.host_paths, HostPaths::Prefixes(vec!["/srv".into(), "/data".into()]));
    assert!(config.remote.shell);
    assert_eq!(config.mqtt.broker, Broker::External { host: "::1".into(), port: 1884, tls: false });
    assert_eq!(config.metrics.ttl, Duration::from_secs(90));
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(
        messages(&loaded),
        [
            "EDGE_DEVICE_HTTP_LISTN: no key has this name, so it has no effect: did you mean EDGE_DEVICE_HTTP_LISTEN?",
            "EDGE_DEVICE_COLOUR: no key has this name, so it has no effect: docs/configuration.md lists the keys",
        ]
    );
}

#[test]
fn scalars_keep_the_spelling_of_the_file() {
    assert_eq!(from_file("DEVICE_ID: 007").config.device_id.as_deref(), Some("007"));
    assert_eq!(from_file("DEVICE_ID: 1e3").config.device_id.as_deref(), Some("1e3"));
    assert_eq!(from_file("DEVICE_ID: no").config.device_id.as_deref(), Some("no"));
    assert_eq!(from_file("DEVICE_ID: &x 0x10\nNAMESPACE: *x").config.namespace, "0x10");
    assert_eq!(from_file("GRACEFUL_SHUTDOWN: 10").config.graceful_shutdown, Duration::from_secs(10));
    assert_eq!(from_file("{\"DEVICE_ID\": \"a\", \"http\": {\"hosts\": [\"b\"]}}").config.http.hosts, ["b"]);
    assert_eq!(from_file("KUBECONFIG: \"\"").config.kubeconfig, None);
    let port = from_file("mqtt: { broker: \"mqtt://host\" }").config.mqtt.broker;
    assert_eq!(port, Broker::External { host: "host".into(), port: 1883, tls: false });
}

#[test]
fn what_has_no_effect_or_opens_the_device_is_said() {
    let loaded = from_file("http: { listen: \"0.0.0.0:8080\" }\nmqtt: { username: me, ca: ca.pem }");
    assert_eq!(
        messages(&loaded),
        [
            "conf/config.yaml:2:27: mqtt.ca has no effect: this version does not speak mqtts:// yet",
            "conf/config.yaml:2:19: mqtt.username has no effect: it is for an external broker, and mqtt.broker names none",
            "conf/config.yaml:1:17: http.listen is 0.0.0.0:8080: whoever reaches it can set metrics",
        ]
    );
    let external = "mqtt: { broker: \"mqtt://b\", listen: \"0.0.0.0:1883\", username: me }";
    assert!(from_file(external).warnings.is_empty(), "mqtt.listen does not matter to an external broker");
}

#[test]
fn the_example_is_sound_and_relative_to_itself() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.yaml")).unwrap();
    let loaded = from_file(&text);
    assert_eq!(loaded.config.manifests.dir, Path::new("/cwd/conf/examples/manifests"));
    assert_eq!(loaded.config.state.dir, Path::new("/cwd/conf/.flotta/state"));
    assert_eq!(loaded.config.workloads.on_exit, OnEnd::Stop);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn an_unreadable_file_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| load(Some(path), Vec::new()).unwrap_err().to_string();
    let lost = dir.path().join("lost.yaml");
    assert_eq!(said(&lost), format!("{}: cannot read the configuration: there is no such file", lost.display()));
    assert!(said(dir.path()).ends_with("cannot read the configuration: it is a directory"));
    let binary = dir.path().join("binary.yaml");
    std::fs::write(&binary, b"LOG\xff").unwrap();
    assert!(said(&binary).ends_with("it is not UTF-8 (byte 3)"));
    let large = dir.path().join("large.yaml");
    std::fs::write(&large, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(said(&large).ends_with("it is larger than 1 MiB"));
    let good = dir.path().join("good.yaml");
    std::fs::write(&good, "manifests: { dir: m }\nstate: { dir: s }").unwrap();
    let loaded = load(Some(&good), vec![("--device-id", "toto".into())]).unwrap();
    assert_eq!(loaded.config.device_id.as_deref(), Some("toto"));
    assert_eq!(loaded.config.manifests.dir, dir.path().join("m"));
    let absent = absent(&loaded);
    assert_eq!(absent.len(), 1, "{absent:?}");
    assert!(absent[0].message.starts_with("manifests.dir: ") && absent[0].message.ends_with("/m is not there"));
}
