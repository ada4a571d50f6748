//! Probes and hooks: what they say, what becomes of who fails them, on both podmans.

mod hooks;
mod life;
mod ready;
mod servers;

use std::path::PathBuf;

use super::device::{until_true, until_true_or};
use super::place::Place;

/// A directory of the device that a pod sees as `/out`, writable for whoever runs in it.
fn out(place: &Place) -> PathBuf {
    let out = place.path("out");
    std::fs::create_dir_all(&out).expect("made");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&out, all).expect("opened");
    out
}

/// The spec of a pod that has `/out`, of these containers; each with its further fields.
fn with_out(place: &Place, head: &str, containers: &[(String, &str)]) -> String {
    let one = |(container, fields): &(String, &str)| {
        let container = container.trim_end().trim_end_matches('}');
        format!("{container}, volumeMounts: [ {{ name: out, mountPath: /out }} ], {fields} }}")
    };
    let all: Vec<String> = containers.iter().map(one).collect();
    let out = place.path("out").display().to_string();
    format!(
        "{{ terminationGracePeriodSeconds: 10, {head} volumes: [ {{ name: out, hostPath: {{ path: \"{out}\" }} }} ], containers: [ {} ] }}",
        all.join(", ")
    )
}

fn touch(file: PathBuf) {
    std::fs::write(file, "").expect("written");
}

/// Waits until its message has all of these parts: that alone is no event.
fn until_said(place: &Place, name: &str, parts: &[&str]) -> serde_json::Value {
    let name = place.name(name);
    let mut found = serde_json::Value::Null;
    until_true_or(&format!("{name} says {parts:?}"), || {
        let all = place.agent().get("/api/v1/workloads");
        let one = all.as_array().and_then(|all| all.iter().find(|one| one["name"] == name.as_str()));
        found = one.cloned().unwrap_or_default();
        let said = found["message"].as_str().unwrap_or_default();
        let all = parts.iter().all(|part| said.contains(part));
        (!all).then(|| found.to_string())
    });
    found
}

fn message(workload: &serde_json::Value) -> &str {
    workload["message"].as_str().expect("a sentence")
}
