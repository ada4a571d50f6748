//! A broker elsewhere: real Mosquitto, that comes and goes, is full, and refuses; and peers that are no broker at all.

mod full;
mod kept;
mod last_words;
mod mosquitto;
mod nobody;
mod outage;
mod peer;
mod refusing;
mod takeover;
mod window;

use super::device::{Agent, Device, seconds};

/// A device `toto` with a workload `w` that runs while x == 1.
fn device() -> Device {
    let device = Device::new();
    device.manifest("device.yaml", "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec: { profiles: [ { name: p, conditions: [ { name: c, expression: \"x == 1\" } ] } ] }\n");
    workload(&device, "w");
    device
}

fn workload(device: &Device, name: &str) {
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec: {{ type: shell, profiles: [ {{ name: p }} ], shell: {{ command: [ sleep, \"1000\" ], terminationGracePeriodSeconds: 1 }} }}\n"
    );
    device.manifest(&format!("{name}.yaml"), &text);
}

/// Starts the agent with the broker at this port, and with more settings.
fn start(device: &mut Device, port: u16, env: &[(&str, &str)]) {
    let url = format!("mqtt://127.0.0.1:{port}");
    let mut all = vec![("EDGE_DEVICE_MQTT_BROKER", url.as_str())];
    all.extend(env);
    device.start_with(&all);
}

/// What the agent says about the link: state and message.
fn link(agent: &Agent) -> (String, String) {
    let broker = &agent.get("/api/v1/device")["broker"];
    let text = |what: &str| broker[what].as_str().unwrap_or_default().to_owned();
    (text("state"), text("message"))
}

fn is_connected(agent: &Agent) -> bool {
    link(agent).0 == "connected"
}

/// A counter or gauge of `GET /metrics`, with its labels as they are written there.
fn counted(agent: &Agent, name: &str) -> u64 {
    let (code, text) = agent.request("GET", "/metrics", &[], b"");
    assert_eq!(code, 200, "{text}");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
    value.parse::<f64>().expect("a number") as u64
}

/// Whether a problem at this place says this.
fn has_problem(agent: &Agent, place: &str, says: &str) -> bool {
    let device = agent.get("/api/v1/device");
    let problems = device["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().any(|p| p["where"] == place && p["message"].as_str().is_some_and(|m| m.contains(says)))
}

/// The agent decides as ever: a metric over HTTP starts and stops the workload, at once.
fn decides_at_once(agent: &Agent) {
    let begin = seconds();
    agent.set("x", 1.0);
    agent.until_state("w", "running");
    agent.set("x", 0.0);
    agent.until_state("w", "inactive");
    let took = seconds() - begin;
    assert!(took < 8, "a start and a stop took {took} s");
}
