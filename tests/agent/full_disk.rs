//! A disk that is full, under the running agent and at its start: decisions go on from memory, the device says what would be
//! lost, and when there is room again everything is written by itself.

use serde_json::Value;

use super::device::{Device, until_true, until_true_or};
use super::small_disk::{SmallDisk, can_mount};

const PROFILE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: full }\nspec:\n  profiles: [ { name: g, conditions: [ { name: \"on\", expression: \"x == 1\" } ] } ]\n";

fn manifest(device: &Device, name: &str, gated: bool) {
    let gate = if gated { "  profiles: [ { name: g } ]\n" } else { "" };
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n{gate}  shell:\n    env: {{ FLOTTA_TEST: {} }}\n    script: 'exec sleep 100000'\n    terminationGracePeriodSeconds: 1\n",
        device.tag()
    );
    device.manifest(&format!("{name}.yaml"), &text);
}

fn device() -> Option<SmallDisk<Box<Device>>> {
    can_mount()?;
    let disk = SmallDisk::under(Box::new(Device::new()));
    disk.manifest("device.yaml", PROFILE);
    manifest(&disk, "always", false);
    manifest(&disk, "gated", true);
    Some(disk)
}

fn truth(disk: &SmallDisk<Box<Device>>, gated: &str) {
    disk.agent().until("gated", gated, |w| w["state"] == gated && w["reason"] != "Stopping");
}

#[test]
fn a_disk_that_fills_stops_no_decision_and_when_there_is_room_again_the_newest_is_written() {
    let Some(mut disk) = device() else { return };
    disk.start();
    disk.agent().set("x", 1.0);
    disk.agent().until_state("always", "running");
    truth(&disk, "running");
    until_true("both objects are on disk", || {
        disk.stored("truths").contains("true") && disk.stored("desired-manifests").contains("gated")
    });
    let always = disk.agent().until_state("always", "running");

    disk.fill();
    disk.agent().set("x", 0.0);
    truth(&disk, "inactive");
    manifest(&disk, "new", false);
    // What is said is what is not written, and what that would cost.
    until_true_or("the device says so", || {
        let said = disk.said();
        let whole = said.contains("lost") && said.contains("make room");
        if whole { None } else { Some(said) }
    });
    assert!(disk.count("flotta_state_failures") > 0);
    let still = disk.agent().until_state("always", "running");
    assert_eq!((&still["since"], &still["restarts"]), (&always["since"], &always["restarts"]));
    assert!(disk.agent().request("GET", "/readyz", &[], b"").0 == 200);

    disk.free();
    // By itself: nothing changes, nobody restarts it.
    until_true_or("the disk is well again", || Some(disk.said()).filter(|said| !said.is_empty()));
    disk.agent().until_state("new", "running");
    until_true("the newest is on disk", || disk.stored("desired-manifests").contains("new"));
    disk.kill();
    disk.lose_manifests();
    disk.start();
    disk.agent().until_state("new", "running");
    disk.agent().until_state("always", "running");
    let profiles = disk.agent().get("/api/v1/profiles");
    let condition = &profiles[0]["conditions"][0];
    assert_eq!((&condition["value"], &condition["stale"]), (&Value::Bool(false), &Value::Bool(true)), "{profiles}");
    truth(&disk, "inactive");
}

#[test]
fn on_a_full_disk_shell_runs_stop_and_start_or_say_why_not_and_start_when_there_is_room() {
    let Some(mut disk) = device() else { return };
    disk.start();
    disk.agent().until_state("always", "running");
    truth(&disk, "inactive");
    disk.fill();
    disk.agent().set("x", 1.0);
    let status =
        disk.agent().until("gated", "it runs, or says why not", |w| w["state"] == "running" || w["state"] == "error");
    if status["state"] == "error" {
        let message = status["message"].as_str().unwrap_or_default();
        assert!(message.contains("No space left"), "{status}");
    }
    // Stopping needs no room.
    disk.delete("always.yaml");
    until_true("what is not wanted any more is gone", || {
        let all = disk.agent().get("/api/v1/workloads");
        !all.as_array().expect("an array").iter().any(|w| w["name"] == "always")
    });
    disk.free();
    truth(&disk, "running");
}

#[test]
fn an_agent_starts_on_a_full_disk_with_what_was_stored_and_writes_when_there_is_room() {
    let Some(mut disk) = device() else { return };
    disk.start();
    disk.agent().set("x", 1.0);
    truth(&disk, "running");
    until_true("both objects are on disk", || {
        disk.stored("truths").contains("true") && disk.stored("desired-manifests").contains("gated")
    });
    let gated = disk.agent().until_state("gated", "running");
    disk.kill();
    disk.fill();
    disk.lose_manifests();
    disk.start();
    let now = disk.agent().until("gated", "it is adopted", |w| w["state"] == "running");
    assert_eq!(now["restarts"], gated["restarts"], "{now}");
    disk.agent().set("x", 0.0);
    truth(&disk, "inactive");
    until_true_or("the device says so", || if disk.said().is_empty() { Some(String::new()) } else { None });
    disk.free();
    until_true_or("the disk is well again", || Some(disk.said()).filter(|said| !said.is_empty()));
    until_true("the newest is on disk", || disk.stored("truths").contains("false"));
}
