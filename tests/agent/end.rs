//! The end of the agent.

use rustix::process::{Pid, Signal, kill_process};

use super::device::{Device, seconds};
use super::processes;

#[test]
fn an_agent_that_is_told_to_stop_a_second_time_waits_for_nobody() {
    let mut device = Device::new();
    let deaf = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: deaf }}\nspec:\n  type: shell\n  shell:\n    env: {{ FLOTTA_TEST: {} }}\n    script: \"trap '' TERM; while :; do sleep 0.05; done\"\n    terminationGracePeriodSeconds: 60\n",
        device.tag()
    );
    device.manifest("deaf.yaml", &deaf);
    device.start_with(&[("EDGE_DEVICE_WORKLOADS_ON_EXIT", "stop"), ("EDGE_DEVICE_GRACEFUL_SHUTDOWN", "60s")]);
    device.agent().until_state("deaf", "running");
    device.agent().signal(Signal::TERM);
    device.agent().until("deaf", "is told to stop", |workload| workload["reason"] == "Stopping");
    let begin = seconds();
    assert_eq!(device.terminate(), Some(0));
    assert!(seconds() - begin < 30, "{} s", seconds() - begin);
    // It would have the agent that cleans up wait.
    for pid in processes::with_env("FLOTTA_TEST", &device.tag()).keys() {
        let _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
    }
}
