//! A start with nothing around: no server, no broker, no manifests. (With no network and a wrong clock: `tests/power-cuts.sh`.)

use flotta_standin::Options;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::device::{seconds, until_true};
use super::processes;
use super::service::{image, podman};
use super::site::Site;

fn shell(name: &str, tag: &str, condition: Option<&str>) -> String {
    let gate = condition.map_or(String::new(), |condition| {
        format!("  profiles: [ {{ name: load, conditions: [ \"{condition}\" ] }} ]\n")
    });
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n{gate}  shell:\n    env: {{ FLOTTA_TEST: {tag} }}\n    script: 'exec sleep 100000'\n    terminationGracePeriodSeconds: 1\n"
    )
}

fn pod(name: &str, tag: &str) -> Value {
    // Servers fail on a literal `env`.
    let script = format!("trap 'exit 0' TERM; FLOTTA_TEST={tag} sleep 100000 & wait");
    json!({ "name": name, "kind": "pod", "specification": {
        "terminationGracePeriodSeconds": 5,
        "containers": [{ "name": "c", "image": image(), "command": ["/bin/sh", "-c", script] }],
    } })
}

/// What this test leaves on the podman goes with it.
struct Traces(String);

impl Drop for Traces {
    fn drop(&mut self) {
        let Some(podman) = podman() else { return };
        for pod in podman.pods(&format!("project-flotta.io/name={}", self.0)) {
            podman.remove_pod(pod["Id"].as_str().unwrap_or_default());
        }
    }
}

#[test]
fn a_cold_start_with_no_server_no_broker_and_no_manifests_runs_what_should_run() {
    let Some(mut site) = Site::with_podman(Options::default()) else { return };
    let tag = site.device.tag();
    let name = format!("of-server-{tag}");
    let _traces = Traces(name.clone());
    // Nobody listens there, then or now.
    site.set("MQTT_BROKER", "mqtt://127.0.0.1:1");
    site.device.manifest("always.yaml", &shell("always", &tag, None));
    site.device.manifest("open.yaml", &shell("open", &tag, Some("on")));
    site.device.manifest("shut.yaml", &shell("shut", &tag, Some("off")));
    let conditions = json!([{ "name": "on", "expression": "x == 1" }, { "name": "off", "expression": "x == 0" }]);
    let configuration =
        json!({ "heartbeat": { "period_seconds": 1 }, "profiles": [{ "name": "load", "conditions": conditions }] });
    site.join(configuration, json!([pod(&name, &tag)]));
    site.device.agent().set("x", 1.0);
    for name in ["always", "open", &name] {
        site.until_workload(name, "running");
    }
    site.until_workload("shut", "inactive");
    let stored = |object: &str, what: &str| {
        let text = std::fs::read_to_string(site.file(&format!("state/{object}.json"))).unwrap_or_default();
        text.contains(what)
    };
    until_true("all of it is on disk", || {
        stored("desired-flotta", &name) && stored("desired-manifests", "always") && stored("truths", "true")
    });

    // Everything ends, as with the machine, and what was around is gone.
    site.device.kill();
    site.block(site.server.stop());
    std::fs::rename(site.file("manifests"), site.file("manifests-gone")).expect("renamed");
    let all = processes::with_env("FLOTTA_TEST", &tag);
    assert!(all.len() >= 3, "{all:?}");
    for pid in all.keys().filter_map(|pid| Pid::from_raw(*pid)) {
        // Of a container the rest ends with its first process.
        let _ = kill_process(pid, Signal::KILL);
    }
    until_true("nothing runs", || processes::with_env("FLOTTA_TEST", &tag).is_empty());

    let begin = seconds();
    site.start();
    for name in ["always", "open", &name] {
        site.device.agent().until(name, "it runs again", |w| w["state"] == "running");
    }
    site.until_workload("shut", "inactive");
    println!("all run {} s after the start", seconds() - begin);
    let device = site.device.agent().get("/api/v1/device");
    assert_ne!(device["server"]["state"], "connected", "{device}");
    assert_ne!(device["broker"]["state"], "connected", "{device}");
    assert!(device["problems"].to_string().contains("manifests"), "{device}");
}
