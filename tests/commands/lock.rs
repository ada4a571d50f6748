//! A locked device: what stops, what goes on, and how long it lasts.

use serde_json::Value;

use super::clients::subscribe;
use super::device::{Device, lines, until_true};
use super::processes::with_env;
use super::shell;

const PROFILE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec:\n  profiles: [ { name: load, conditions: [ { name: low, expression: \"cpu < 50%\" } ] } ]\n";
const GATED: &str = "  profiles: [ { name: load, conditions: [ low ] } ]\n";

fn done(device: &Device, words: &[&str]) -> String {
    let (code, said) = device.client(words);
    assert_eq!(code, 0, "{words:?}: {said}");
    said
}

fn is_locked(device: &Device) -> Value {
    device.agent().get("/api/v1/device")["locked"].clone()
}

fn until_locked_out(device: &Device, name: &str) -> Value {
    let out = device.agent().until(name, "Locked", |w| w["reason"] == "Locked");
    assert_eq!(out["state"], "inactive");
    out
}

/// A script that all its processes can be found by.
fn found_by(device: &Device, script: &str) -> String {
    format!("{{ script: {script:?}, env: {{ FLOTTA_TEST: {} }}, terminationGracePeriodSeconds: 1 }}", device.tag())
}

fn processes(device: &Device) -> usize {
    with_env("FLOTTA_TEST", &device.tag()).len()
}

#[test]
fn lock_stops_what_runs_within_its_grace_and_starts_nothing() {
    let mut device = Device::new();
    let out = device.path("out");
    let polite = format!("trap 'echo told >> {}; exit 0' TERM; while :; do sleep 0.05; done", out.display());
    device.manifest("polite.yaml", &shell("polite", &found_by(&device, &polite), ""));
    let deaf = "trap '' TERM; while :; do sleep 0.05; done";
    device.manifest("deaf.yaml", &shell("deaf", &found_by(&device, deaf), ""));
    let agent = device.start();
    agent.until_state("polite", "running");
    agent.until_state("deaf", "running");
    assert_eq!(done(&device, &["host", "lock"]), "the device is locked: its workloads are being stopped\n");
    assert_eq!(is_locked(&device), true);
    until_locked_out(&device, "polite");
    until_locked_out(&device, "deaf");
    assert_eq!((lines(&out), processes(&device)), (vec!["told".to_owned()], 0));
    device.manifest("late.yaml", &shell("late", "{ script: 'exec sleep 1000' }", ""));
    let late = until_locked_out(&device, "late");
    assert!(late["message"].as_str().unwrap().contains("host unlock"), "{late}");
    let said = done(&device, &["host", "show", "--url", &format!("http://{}", device.agent().http)]);
    assert!(said.contains("locked     yes\n") && said.contains("workloads  3 inactive\n"), "{said}");
    let said = done(&device, &["status", "--url", &format!("http://{}", device.agent().http)]);
    assert!(said.starts_with("device ") && said.lines().next().unwrap().contains(": online, locked, up"), "{said}");
    let said = done(&device, &["why", "late", "--url", &format!("http://{}", device.agent().http)]);
    assert!(said.contains("what would make it run: unlocking the device: flotta-agent host unlock"), "{said}");
    // Manifests are followed all the same.
    device.delete("late.yaml");
    device.agent().follow("late goes", |event| (event["name"] == "late" && event["to"].is_null()).then_some(()));
}

#[test]
fn lock_keep_lets_run_what_runs_and_starts_nothing_new() {
    let mut device = Device::new();
    let out = device.path("out");
    let go = device.path("go");
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    let ends = format!("echo run >> {}; while [ ! -e {} ]; do sleep 0.05; done", out.display(), go.display());
    device.manifest("ends.yaml", &shell("ends", &format!("{{ script: {ends:?}, restartPolicy: Always }}"), ""));
    let agent = device.start();
    let before = agent.until_state("a", "running");
    agent.until_state("ends", "running");
    done(&device, &["host", "lock", "--keep"]);
    assert_eq!(is_locked(&device), true);
    device.manifest("b.yaml", &shell("b", "{ script: 'exec sleep 1000' }", ""));
    until_locked_out(&device, "b");
    // It ends by itself, and is not started again.
    std::fs::write(&go, "").unwrap();
    until_locked_out(&device, "ends");
    let after = device.agent().until_state("a", "running");
    assert_eq!((&after["reason"], &after["last_run"]), (&before["reason"], &before["last_run"]));
    // A lock without --keep afterwards stops the rest.
    done(&device, &["host", "lock"]);
    until_locked_out(&device, "a");
    assert_eq!(lines(&out), ["run"]);
}

#[test]
fn a_lock_outlives_kill_9_and_a_restart_until_it_is_undone() {
    let mut device = Device::new();
    device.manifest("a.yaml", &shell("a", &found_by(&device, "exec sleep 1000"), ""));
    device.start();
    device.agent().until_state("a", "running");
    done(&device, &["host", "lock"]);
    device.kill();
    device.start();
    assert_eq!(is_locked(&device), true);
    until_locked_out(&device, "a");
    assert_eq!(processes(&device), 0);
    assert_eq!(device.terminate(), Some(0));
    device.start();
    assert_eq!(is_locked(&device), true);
    until_locked_out(&device, "a");
    done(&device, &["host", "unlock"]);
    device.agent().until_state("a", "running");
    device.kill();
    device.start();
    assert_eq!(is_locked(&device), false);
    let after = device.agent().until_state("a", "running");
    assert_eq!(after["reason"], "Adopted");
}

#[test]
fn what_was_answered_is_stored_even_if_the_agent_is_killed_at_once() {
    let mut device = Device::new();
    for round in 0..3 {
        // Faster after each other than an object is written otherwise.
        device.start();
        done(&device, &["host", "unlock"]);
        done(&device, &["host", "lock"]);
        done(&device, &["host", "unlock"]);
        done(&device, &["host", "lock", "--keep"]);
        device.kill();
        device.start();
        assert_eq!(is_locked(&device), true, "round {round}");
        done(&device, &["host", "unlock"]);
        done(&device, &["host", "lock"]);
        done(&device, &["host", "unlock"]);
        device.kill();
        device.start();
        assert_eq!(is_locked(&device), false, "round {round}");
        device.kill();
    }
}

#[test]
fn what_a_kept_device_runs_is_adopted_by_the_next_agent() {
    let mut device = Device::new();
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    device.start();
    let before = device.agent().until_state("a", "running");
    done(&device, &["host", "lock", "--keep"]);
    device.kill();
    device.start();
    let after = device.agent().until_state("a", "running");
    assert_eq!((&after["reason"], &after["last_run"]), (&Value::from("Adopted"), &before["last_run"]));
    assert_eq!(is_locked(&device), true);
}

#[test]
fn metrics_and_status_go_on_while_locked_and_unlock_goes_by_what_came_meanwhile() {
    let mut device = Device::new();
    device.manifest("device.yaml", PROFILE);
    device.manifest("gated.yaml", &shell("gated", "{ script: 'exec sleep 1000' }", GATED));
    device.manifest("free.yaml", &shell("free", "{ script: 'exec sleep 1000' }", ""));
    let agent = device.start();
    agent.until_state("gated", "inactive");
    agent.until_state("free", "running");
    done(&device, &["host", "lock"]);
    until_locked_out(&device, "gated");
    until_locked_out(&device, "free");
    let agent = device.agent();
    agent.set("cpu", 20.0);
    assert_eq!(agent.get("/api/v1/metrics")[0]["value"], 20.0);
    assert_eq!(agent.get("/api/v1/profiles")[0]["conditions"][0]["value"], true);
    // The retained device object, for whoever comes now.
    let seen = subscribe(&agent.mqtt, "flotta/devices/toto/status", |_, payload| payload.contains("\"locked\":true"));
    assert!(seen.last().is_some_and(|(_, payload)| payload.contains("\"locked\":true")), "{seen:?}");
    until_locked_out(&device, "gated");
    let said = done(&device, &["host", "unlock"]);
    assert_eq!(said, "the device is unlocked: profiles and schedules decide again\n");
    device.agent().until_state("gated", "running");
    device.agent().until_state("free", "running");
    assert_eq!(is_locked(&device), false);
    assert_eq!(done(&device, &["host", "unlock"]), "the device was not locked\n");
}

#[test]
fn unlocking_runs_nothing_again_that_had_ended() {
    let mut device = Device::new();
    let out = device.path("out");
    device.manifest("once.yaml", &shell("once", &format!("{{ script: 'echo run >> {}' }}", out.display()), ""));
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    let agent = device.start();
    agent.until_state("once", "stopped");
    agent.until_state("a", "running");
    done(&device, &["host", "lock"]);
    until_locked_out(&device, "once");
    until_locked_out(&device, "a");
    done(&device, &["host", "unlock"]);
    device.agent().until_state("a", "running");
    device.agent().until_state("once", "stopped");
    assert_eq!(lines(&out), ["run"]);
}

#[test]
fn a_command_over_mqtt_is_refused_and_counted() {
    let mut device = Device::new();
    device.manifest("device.yaml", PROFILE);
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    device.start();
    let agent = device.agent();
    agent.until_state("a", "running");
    super::clients::publish(&agent.mqtt, "flotta/devices/toto/commands/lock", "{\"id\":\"1\"}");
    until_true("the refusal is counted", || {
        let (_, text) = agent.request("GET", "/metrics", &[], b"");
        let line = text.lines().find(|line| line.starts_with("flotta_broker_refused_total{what=\"publish_rights\"}"));
        line.is_some_and(|line| !line.ends_with(" 0.0") && !line.ends_with(" 0"))
    });
    assert_eq!(is_locked(&device), false);
    agent.until_state("a", "running");
}
