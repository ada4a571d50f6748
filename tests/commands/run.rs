//! `workload run`: one run now, or why not.

use super::device::{Device, lines, until_true};
use super::shell;

const NEW_YEAR: &str = "  cron: \"0 0 1 1 *\"\n";
const PROFILE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec:\n  profiles: [ { name: load, conditions: [ { name: low, expression: \"cpu < 50%\" } ] } ]\n";
const GATED: &str = "  profiles: [ { name: load, conditions: [ low ] } ]\n";

fn run(device: &Device, name: &str) -> (i32, String) {
    device.client(&["workload", "run", name])
}

fn appending(device: &Device) -> String {
    format!("{{ script: 'echo run >> {}' }}", device.path("out").display())
}

#[test]
fn a_workload_with_a_schedule_runs_once_now_and_waits_for_its_time_again() {
    let mut device = Device::new();
    device.manifest("backup.yaml", &shell("backup", &appending(&device), NEW_YEAR));
    device.start();
    let waits = device.agent().until("backup", "CronWait", |w| w["reason"] == "CronWait");
    assert!(waits["last_run"].is_null(), "{waits}");
    assert_eq!(run(&device, "backup"), (0, "default/backup is being started\n".into()));
    let ran = device.agent().until("backup", "it ran", |w| w["reason"] == "CronWait" && w["last_run"].is_string());
    assert_eq!((&ran["state"], &ran["last_exit_code"]), (&"ready".into(), &0.into()));
    assert_eq!(ran["next_run"], waits["next_run"], "its times stay as they are");
    assert_eq!(lines(&device.path("out")), ["run"]);
    let url = format!("http://{}", device.agent().http);
    let (_, why) = device.client(&["why", "backup", "--url", &url]);
    assert!(why.contains("; now: flotta-agent workload run default/backup"), "{why}");
}

#[test]
fn what_has_ended_runs_once_more() {
    let mut device = Device::new();
    device.manifest("once.yaml", &shell("once", &appending(&device), ""));
    let fails = format!("{{ script: 'echo fail >> {}; exit 3', restartPolicy: Never }}", device.path("out2").display());
    device.manifest("fails.yaml", &shell("fails", &fails, ""));
    device.start();
    device.agent().until_state("once", "stopped");
    device.agent().until_state("fails", "exited");
    assert_eq!(run(&device, "once").0, 0);
    assert_eq!(run(&device, "default/fails").0, 0);
    until_true("each has run twice", || {
        lines(&device.path("out")).len() == 2 && lines(&device.path("out2")).len() == 2
    });
    device.agent().until_state("once", "stopped");
    device.agent().until_state("fails", "exited");
    assert_eq!((lines(&device.path("out")).len(), lines(&device.path("out2")).len()), (2, 2));
}

#[test]
fn what_waits_for_its_retry_is_tried_now() {
    let mut device = Device::new();
    let script = format!("{{ script: 'echo run >> {}; exit 3' }}", device.path("out").display());
    let hour = "  retry: { constantBackoff: { periodSeconds: 3600 } }\n";
    device.manifest("bad.yaml", &shell("bad", &script, hour));
    device.start();
    device.agent().until("bad", "BackOff", |w| w["reason"] == "BackOff");
    assert_eq!(run(&device, "bad").0, 0);
    until_true("it was tried", || lines(&device.path("out")).len() == 2);
    device.agent().until("bad", "BackOff", |w| w["reason"] == "BackOff");
}

#[test]
fn a_refusal_says_why() {
    let mut device = Device::new();
    device.manifest("device.yaml", PROFILE);
    device.manifest("busy.yaml", &shell("busy", "{ script: 'exec sleep 1000' }", ""));
    device.manifest("gated.yaml", &shell("gated", "{ script: 'exec sleep 1000' }", GATED));
    for namespace in ["a", "b"] {
        let text = shell("same", "{ script: 'true' }", "")
            .replace("name: same", &format!("name: same, namespace: {namespace}"));
        device.manifest(&format!("{namespace}.yaml"), &text);
    }
    device.manifest("pod.yaml", "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: wrong }\nspec: { type: shell, shell: {} }\n");
    device.start();
    device.agent().until_state("busy", "running");
    device.agent().until_state("gated", "inactive");
    device.agent().until("wrong", "InvalidSpec", |w| w["reason"] == "InvalidSpec");
    let refused = |name: &str, words: &str| {
        let (code, said) = run(&device, name);
        assert!(code == 1 && said.contains(words) && said.lines().count() == 1, "{name}: {code} {said}");
    };
    refused("bussy", "no workload \"bussy\" on this device: did you mean default/busy?");
    refused("zebra", "there are a/same, b/same, default/busy, default/gated, default/wrong");
    refused("same", "is the name of a/same, b/same: write one of them whole");
    refused("busy", "default/busy runs already");
    refused("gated", "default/gated is not to run now: ");
    refused("wrong", "default/wrong cannot be run: ");
    assert_eq!(device.client(&["host", "lock"]).0, 0);
    refused("busy", "the device is locked");
}

#[test]
fn a_run_that_is_asked_for_while_its_profiles_say_no_waits_for_them() {
    let mut device = Device::new();
    device.manifest("device.yaml", PROFILE);
    device.manifest("backup.yaml", &shell("backup", &appending(&device), &format!("{NEW_YEAR}{GATED}")));
    device.start();
    device.agent().until_state("backup", "inactive");
    let (code, said) = run(&device, "backup");
    assert!(code == 0 && said.starts_with("a run of default/backup is due, and waits: "), "{code} {said}");
    assert_eq!(lines(&device.path("out")), [""; 0]);
    device.agent().set("cpu", 20.0);
    device.agent().until("backup", "it ran", |w| w["reason"] == "CronWait" && w["last_run"].is_string());
    assert_eq!(lines(&device.path("out")), ["run"]);
}
