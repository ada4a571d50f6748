//! The agent itself, on a real disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::device::{Agent, Device, until_true};

const GATE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec: { profiles: [ { name: p, conditions: [ { name: c, expression: \"x > 10\" } ] } ] }\n";

fn workload(name: &str, more: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec: {{ type: shell, {more} shell: {{ command: [ sleep, \"1000\" ], terminationGracePeriodSeconds: 1 }} }}\n"
    )
}

fn device() -> Device {
    let device = Device::new();
    device.manifest("device.yaml", GATE);
    device.manifest("w.yaml", &workload("w", ""));
    device.manifest("gated.yaml", &workload("gated", "profiles: [ { name: p } ],"));
    device
}

/// The agent, on a disk that takes no byte more: every write to a file fails.
fn on_full_disk(device: &Device) -> Command {
    let agent = device.command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\""]).arg(agent.get_program());
    command.env_clear();
    for (name, value) in agent.get_envs() {
        command.env(name, value.expect("set"));
    }
    command
}

fn counted(agent: &Agent, name: &str) -> u64 {
    let (_, text) = agent.request("GET", "/metrics", &[], b"");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<f64>().expect("a number") as u64
}

fn events(agent: &Agent) -> Vec<u64> {
    let events = agent.get("/api/v1/events");
    events.as_array().expect("an array").iter().map(|event| event["seq"].as_u64().expect("a number")).collect()
}

/// Every file below, with when it was last changed and its inode.
fn files(dir: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let (path, about) = entry.map(|entry| (entry.path(), entry.metadata().expect("there"))).expect("an entry");
        if about.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path, (about.modified().expect("known"), about.ino()));
        }
    }
    found
}

fn problem(agent: &Agent, words: &str) -> bool {
    let device = agent.get("/api/v1/device");
    let problems = device["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().any(|it| it["message"].as_str().is_some_and(|message| message.contains(words)))
}

#[test]
fn while_nothing_changes_the_agent_writes_nothing() {
    let mut device = device();
    device.start();
    let agent = device.agent();
    agent.until_state("w", "running");
    agent.set("x", 20.0);
    agent.until_state("gated", "running");
    // The last truth is written within a second, and the record of a run behind its start.
    let state = device.path("state");
    until_true("the truth is stored", || {
        std::fs::read_to_string(state.join("truths.json")).is_ok_and(|text| text.contains("\"value\":true"))
    });
    until_true("that both run is stored", || {
        std::fs::read_to_string(state.join("workloads.json"))
            .is_ok_and(|text| text.contains("default/gated") && !text.contains("\"running_since\":null"))
    });
    let (before, writes) = (files(&state), counted(agent, "flotta_state_writes_total"));
    // Values come and go, the conditions' truths stay as they are.
    for value in 0..500 {
        agent.set("x", 20.0 + f64::from(value));
    }
    until_true("all have arrived", || {
        let metrics = agent.get("/api/v1/metrics");
        metrics.as_array().is_some_and(|all| all.iter().any(|it| it["name"] == "x" && it["value"] == 519.0))
    });
    assert_eq!(counted(agent, "flotta_state_writes_total"), writes);
    assert_eq!(files(&state), before);
}

#[test]
fn on_a_full_disk_the_agent_starts_from_what_is_stored_and_says_so_and_mends_itself() {
    let mut device = device();
    device.start();
    device.agent().until_state("w", "running");
    let before = *events(device.agent()).last().expect("an event");
    device.kill();
    std::fs::remove_file(device.path("manifests").join("w.yaml")).expect("removed");
    device.manifest("w.yaml", "this is: [ broken");
    let command = on_full_disk(&device);
    device.launch(command);
    let agent = device.agent();
    let adopted = agent.until_state("w", "running");
    assert_eq!(adopted["reason"], "Adopted", "its last good version, from what is stored: {adopted}");
    until_true("it says so", || problem(agent, "event-numbers cannot be written"));
    assert!(events(agent)[0] > before, "{:?} after {before}", events(agent));
    // A start needs a directory of its own.
    agent.set("x", 20.0);
    let failed = agent.until("gated", "a failed start", |it| it["state"] == "error");
    let said = failed["message"].as_str().unwrap_or_default();
    assert_eq!(failed["reason"], "StartFailed", "{failed}");
    assert!(said.contains("cannot be written") && said.contains("tried again"), "{failed}");
    let runs = std::fs::read_dir(device.path("state/run/shell")).expect("there").count();
    assert_eq!(runs, 1, "a start that failed leaves nothing");
    // Killed and started again without the limit, all is well and no number comes again.
    let last = *events(agent).last().expect("an event");
    device.kill();
    device.start();
    device.agent().set("x", 20.0);
    device.agent().until_state("gated", "running");
    assert!(events(device.agent())[0] > last, "{:?} after {last}", events(device.agent()));
    assert!(!problem(device.agent(), "cannot be written"));
}

#[test]
fn a_first_start_on_a_full_disk_ends_with_a_sentence_that_says_what_to_do() {
    let device = device();
    let output = on_full_disk(&device).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot keep its owner id") && said.contains("set state.dir"), "{said}");
    let left: Vec<PathBuf> = files(&device.path("state")).into_keys().collect();
    assert_eq!(left, [device.path("state/lock")], "no rubbish is left");
}

#[test]
fn event_numbers_go_on_after_an_end_and_after_a_kill_and_never_come_twice() {
    let mut device = device();
    let mut last = 0;
    for round in 0..6 {
        device.start();
        device.agent().until_state("w", "running");
        let all = events(device.agent());
        assert!(all.windows(2).all(|two| two[1] == two[0] + 1), "one after the other: {all:?}");
        let (first, kill) = (all[0], round % 2 == 0);
        match round {
            0 => assert_eq!(first, 1),
            _ if kill => assert_eq!(first, last + 1, "after an end in order: no gap"),
            _ => assert!(first > last + 1_000, "after a kill: a gap that can be seen"),
        }
        last = *events(device.agent()).last().expect("an event");
        if kill {
            device.kill();
        } else {
            device.terminate();
            let stored = std::fs::read_to_string(device.path("state/event-numbers.json")).expect("stored");
            let used: Value = serde_json::from_str(stored.lines().nth(1).expect("a line")).expect("an object");
            last = used["up_to"].as_u64().expect("a number");
        }
    }
}

#[test]
fn a_damaged_owner_file_orphans_nothing() {
    let mut device = device();
    device.start();
    device.agent().until_state("w", "running");
    device.kill();
    let owner = std::fs::read_to_string(device.path("state/owner")).expect("there");
    std::fs::write(device.path("state/owner"), "").expect("damaged");
    device.start();
    assert!(problem(device.agent(), "its copy was used"));
    assert_eq!(std::fs::read_to_string(device.path("state/owner")).expect("there"), owner);
    device.terminate();
}
