//! kill -9 at random moments, again and again: no doubles, no orphans, nothing restarted that had no reason to, exit codes
//! right. `KILLS=1000` for more, `KILL_SEED=…` to go on from a seed; both are printed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::device::{Device, lines};
use super::dice::{Dice, number};
use super::processes;

const WORKLOADS: usize = 10;

/// Five ungated, five behind a gate. Each start writes a line, so that a restart is seen.
fn manifest(device: &Device, n: usize) -> String {
    let gate = if n >= 5 { "  profiles: [ { name: g, conditions: [ on ] } ]\n" } else { "" };
    let (tag, out) = (device.tag(), device.path(&format!("starts-{n}")));
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: w{n} }}\nspec:\n  type: shell\n{gate}  shell:\n    env: {{ FLOTTA_TEST: {tag}, FLOTTA_N: \"{n}\" }}\n    script: 'echo $$ >> {}; exec sleep 100000'\n    terminationGracePeriodSeconds: 1\n",
        out.display()
    )
}

/// How many commands of each workload run: the shim carries no mark of the test, its command does.
fn running(device: &Device) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let all = processes::with_env("FLOTTA_TEST", &device.tag());
    for n in 0..WORKLOADS {
        let of = processes::with_env("FLOTTA_N", &n.to_string());
        counts.insert(format!("w{n}"), of.keys().filter(|pid| all.contains_key(pid)).count());
    }
    counts
}

#[test]
fn fifty_kills_at_random_moments_leave_no_double_no_orphan_and_restart_nothing() {
    let (kills, seed) = (number("KILLS", 50), number("KILL_SEED", 7));
    println!("{kills} kills from seed {seed}");
    let mut dice = Dice(seed);
    let mut device = Device::new();
    let profile = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: d }\nspec:\n  profiles: [ { name: g, conditions: [ { name: \"on\", expression: \"x == 1\" } ] } ]\n";
    device.manifest("device.yaml", profile);
    for n in 0..WORKLOADS {
        device.manifest(&format!("w{n}.yaml"), &manifest(&device, n));
    }
    device.start();
    for n in 0..5 {
        device.agent().until_state(&format!("w{n}"), "running");
    }
    let mut open = false;
    for round in 0..kills {
        // The gate flips some times, and the agent dies somewhere in between.
        for _ in 0..dice.below(4) {
            open = !open;
            device.agent().set("x", if open { 1.0 } else { 0.0 });
        }
        for _ in 0..dice.below(2_000) {
            std::thread::yield_now();
        }
        device.kill();
        device.start();
        // What the metric was is not known any more to the sensor's reader until it is sent again.
        device.agent().set("x", if open { 1.0 } else { 0.0 });
        for n in 0..WORKLOADS {
            let wanted = if n < 5 || open { "running" } else { "inactive" };
            // One that is told to stop runs as well, and starts again after that.
            device.agent().until(&format!("w{n}"), wanted, |w| w["state"] == wanted && w["reason"] != "Stopping");
        }
        let counts = running(&device);
        for (name, count) in &counts {
            let n: usize = name[1..].parse().expect("a number");
            let wanted = usize::from(n < 5 || open);
            assert_eq!(*count, wanted, "round {round}, seed {seed}: {name} of {counts:?}");
        }
    }
    for n in 0..5 {
        let starts = lines(&device.path(&format!("starts-{n}")));
        assert_eq!(starts.len(), 1, "w{n} is not gated and was never to be restarted: {starts:?}");
    }
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
