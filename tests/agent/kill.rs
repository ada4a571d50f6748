//! kill -9 of the agent: at random moments ([`super::kills`]), and what its workloads did meanwhile.

use serde_json::Value;

use super::device::{Device, lines, until_true};
use super::dice::number;
use super::fleet::Fleet;
use super::kills;
use super::processes;

#[test]
fn fifty_kills_at_random_moments_leave_no_double_no_orphan_and_restart_nothing() {
    let mut device = Device::new();
    let mut fleet = Fleet::new(&device, None);
    kills::run(&mut device, &mut fleet, number("KILLS", 50), number("KILL_SEED", 7));
}

#[test]
fn an_exit_while_no_agent_was_there_is_known_to_the_next_one() {
    let mut device = Device::new();
    let go = device.path("go");
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .expect("a fifo");
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: w }}\nspec:\n  type: shell\n  shell: {{ script: 'read x < {}; exit 42', restartPolicy: Never }}\n",
        go.display()
    );
    device.manifest("w.yaml", &text);
    device.start();
    device.agent().until_state("w", "running");
    device.kill();
    std::fs::write(&go, "go\n").expect("told");
    device.start();
    let ended: Value = device.agent().until_state("w", "exited");
    assert_eq!(ended["last_exit_code"], 42, "{ended}");
}

#[test]
fn what_a_lock_ended_while_no_agent_was_there_runs_again_when_the_device_is_unlocked() {
    let mut device = Device::new();
    let (told, go) = (device.path("told"), device.path("go"));
    // Ends well when it is told to, but not before `go` is there.
    let script = format!(
        "trap \"echo told >> {}; while [ ! -e {} ]; do sleep 0.05; done; exit 0\" TERM; while :; do sleep 0.05; done",
        told.display(),
        go.display()
    );
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: w }}\nspec:\n  type: shell\n  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n  shell: {{ script: '{script}', env: {{ FLOTTA_TEST: {} }}, terminationGracePeriodSeconds: 60 }}\n",
        device.tag()
    );
    device.manifest("w.yaml", &text);
    device.start();
    device.agent().until_state("w", "running");
    let (code, said) = device.client(&["host", "lock"]);
    assert_eq!(code, 0, "{said}");
    until_true("it is told to end", || !lines(&told).is_empty());
    device.kill();
    std::fs::write(&go, "").expect("written");
    until_true("it has ended", || processes::with_env("FLOTTA_TEST", &device.tag()).is_empty());
    device.start();
    device.agent().until("w", "Locked", |w| w["reason"] == "Locked");
    let (code, said) = device.client(&["host", "unlock"]);
    assert_eq!(code, 0, "{said}");
    device.agent().until_state("w", "running");
}
