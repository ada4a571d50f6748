//! What survives the agent.

use flotta_agent::model::status::{Reason, State};
use flotta_agent::model::workload::RestartPolicy;
use flotta_agent::scheduler::Input;
use flotta_agent::scheduler::times::Skipped;

use crate::device::{DAY, Device, HOUR, MINUTE, SECOND, behind, steady, timed, utc};

#[test]
fn times_missed_while_no_agent_was_there_are_skipped_or_caught_up_with_one_run() {
    for (catch_up, runs) in [(false, 0), (true, 1)] {
        let workload = || timed("*/10 * * * *", catch_up);
        let mut device = Device::at("2027-01-01T10:00:30Z", workload());
        let stored = device.stored.clone();
        device.sleep(DAY);
        device.restart(stored, "boot 1", workload());
        assert_eq!(device.runs.len(), runs, "cronCatchUp: {catch_up}");
        assert_eq!(device.skipped.iter().map(|(_, why)| *why).collect::<Vec<_>>(), vec![Skipped::AgentAway; 1 - runs]);
        device.pass(HOUR);
        assert_eq!(device.runs.len(), runs + 6);
    }
}

#[test]
fn a_run_that_was_begun_just_before_the_agent_was_killed_is_not_begun_again() {
    for catch_up in [false, true] {
        let workload = || timed("0 * * * *", catch_up);
        let mut device = Device::at("2027-01-01T10:59:30Z", workload());
        // Of before the run: what was decided since was not stored any more.
        let stored = device.stored.clone();
        device.lasts = Some((10 * SECOND, 0));
        device.pass(31 * SECOND);
        assert_eq!((device.runs.len(), device.says().state), (1, State::Running));
        device.restart(stored, "boot 1", workload());
        assert_eq!(device.says().reason, Reason::Adopted);
        device.pass(50 * MINUTE);
        assert_eq!(device.runs.len(), 1, "cronCatchUp: {catch_up}: {:?}", device.runs);
        device.pass(10 * MINUTE);
        assert_eq!(device.runs.len(), 2);
    }
}

#[test]
fn a_run_that_waits_for_its_profile_waits_on_through_restarts() {
    let mut device = Device::at("2027-01-01T10:59:30Z", behind("closed", timed("0 11 * * *", false)));
    device.pass(MINUTE);
    for boot in ["boot 1", "boot 2"] {
        let stored = device.stored.clone();
        device.sleep(5 * HOUR);
        device.restart(stored, boot, behind("closed", timed("0 11 * * *", false)));
        assert!(device.says().message.contains("is due and waits"), "{}", device.says().message);
    }
    device.wants(behind("open", timed("0 11 * * *", false)));
    assert_eq!(device.runs.len(), 1);
}

#[test]
fn the_last_run_and_its_end_are_known_after_a_restart_also_when_nothing_is_left_of_it() {
    let mut device = Device::at("2027-01-01T10:59:30Z", timed("0 * * * *", false));
    device.lasts = Some((SECOND, 7));
    device.pass(MINUTE);
    let stored = device.stored.clone();
    device.there = None;
    device.restart(stored, "boot 2", timed("0 * * * *", false));
    let says = device.says();
    assert_eq!((says.last_run, says.last_exit_code), (Some(utc("2027-01-01T11:00:00Z")), Some(7)));
}

#[test]
fn a_retry_is_not_forgotten_by_a_restart_of_the_agent_and_its_end_not_counted_twice() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.lasts = Some((SECOND, 1));
    // 1 s of running, 20 s of waiting, each.
    device.pass(2 * 21 * SECOND + 2 * SECOND);
    let before = device.says();
    assert!(
        before.message.contains("3 in a row") || before.message.contains("3 failures in a row"),
        "{}",
        before.message
    );
    assert!(before.message.starts_with("crash loop"), "{}", before.message);
    for _ in 0..5 {
        let stored = device.stored.clone();
        device.restart(stored, "boot 1", steady(RestartPolicy::Always));
        let says = device.says();
        assert_eq!((says.reason, says.restarts), (before.reason, before.restarts));
        assert!(says.next_run.expect("a time").0.abs_diff(before.next_run.expect("a time").0) < 1_000, "{says:?}");
        assert!(says.message.contains("3 failures in a row"), "{}", says.message);
    }
    assert_eq!(device.runs.len(), 3, "no restart of the agent is a reason to start earlier");
}

#[test]
fn after_a_restart_of_the_machine_what_should_run_runs_at_once() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.fails = Some(Reason::StartFailed);
    device.pass(30 * SECOND);
    assert_eq!(device.says().reason, Reason::StartFailed);
    let (stored, before) = (device.stored.clone(), device.runs.len());
    device.fails = None;
    device.now.mono.0 = 5_000;
    device.restart(stored, "boot 2", steady(RestartPolicy::Always));
    assert_eq!((device.runs.len(), device.says().reason), (before + 1, Reason::Running));
}

#[test]
fn nothing_is_to_be_stored_while_nothing_changes() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.lasts = None;
    device.turn();
    for _ in 0..100 {
        device.sleep(10 * SECOND);
        let output = device.reconciler.turn(&device.gates, device.now);
        assert_eq!(output.remember, None);
    }
}

#[test]
fn a_run_found_going_when_its_executor_answers_late_is_not_followed_by_the_time_it_went_over() {
    for (catch_up, away) in [(false, SECOND), (true, SECOND), (true, 20 * MINUTE)] {
        let workload = || timed("0 * * * *", catch_up);
        let mut device = Device::at("2027-01-01T10:59:30Z", workload());
        device.lasts = Some((90 * MINUTE, 0));
        device.pass(50 * MINUTE);
        assert_eq!(device.runs.len(), 1);
        let stored = device.stored.clone();
        device.sleep(away);
        device.restart_unanswered(stored, "boot 1", workload());
        // Past 12:00.
        device.sleep(20 * MINUTE);
        device.turn();
        device.list();
        device.turn();
        assert_eq!(device.says().reason, Reason::Adopted);
        assert_eq!(device.skipped.last().map(|(_, why)| *why), Some(Skipped::StillGoing), "{:?}", device.skipped);
        device.pass(30 * MINUTE);
        assert_eq!(device.runs.len(), 1, "cronCatchUp: {catch_up}, away for {away} ms: {:?}", device.runs);
        device.pass(40 * MINUTE);
        assert_eq!(device.runs.len(), 2);
    }
}

#[test]
fn a_power_cut_is_no_failure_of_what_it_cut_off() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.lasts = None;
    device.turn();
    for _ in 0..5 {
        device.sleep(MINUTE);
        device.power_cut(steady(RestartPolicy::Always));
        assert_eq!(device.says().reason, Reason::Running);
    }
    device.lasts = Some((SECOND, 1));
    device.power_cut(steady(RestartPolicy::Always));
    device.pass(2 * SECOND);
    let says = device.says();
    assert!(says.message.contains("1 failure in a row"), "{}", says.message);
}

#[test]
fn ends_of_several_containers_are_not_counted_again_by_a_restart_of_the_agent() {
    let workload = || steady(RestartPolicy::Always);
    let mut device = Device::at("2027-01-01T10:00:00Z", workload());
    device.lasts = None;
    device.turn();
    device.falls_apart(&["a", "b"]);
    let before = device.says();
    assert!(before.message.contains("2 failures in a row"), "{}", before.message);
    for _ in 0..3 {
        device.restart(device.stored.clone(), "boot 1", workload());
        let says = device.says();
        assert!(says.message.contains("2 failures in a row"), "{}", says.message);
    }
}

#[test]
fn a_run_whose_start_was_cut_off_with_the_agent_is_begun_again_unless_it_is_there() {
    for took_effect in [false, true] {
        let workload = || timed("0 * * * *", false);
        let mut device = Device::at("2027-01-01T10:59:30Z", workload());
        device.lasts = None;
        device.sleep(30 * SECOND);
        let output = device.reconciler.turn(&device.gates, device.now);
        assert_eq!(output.steps.len(), 1, "its start is under way");
        let stored = output.remember.expect("stored meanwhile");
        if took_effect {
            let _ = device.carry_out(&output.steps[0]);
        }
        device.sleep(5 * SECOND);
        device.restart(stored, "boot 1", workload());
        device.pass(40 * MINUTE);
        assert_eq!(device.runs.len(), 1, "{:?}", device.runs);
        assert_eq!(device.says().state, State::Running);
    }
}

#[test]
fn a_time_that_comes_while_the_agent_stops_its_workloads_is_one_that_it_was_not_there_for() {
    let workload = || timed("0 11 * * *", false);
    let mut device = Device::at("2027-01-01T10:59:55Z", workload());
    device.hear(Input::ShutDown);
    device.pass(10 * SECOND);
    let stored = device.stored.clone();
    device.sleep(2 * DAY);
    device.restart(stored, "boot 2", workload());
    device.pass(MINUTE);
    assert_eq!(device.runs.len(), 0, "{:?}", device.runs);
    assert_eq!(device.skipped.last().map(|(_, why)| *why), Some(Skipped::AgentAway));
}
