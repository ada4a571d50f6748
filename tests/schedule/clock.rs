//! A wall clock that is wrong, or set, or late.

use std::time::Duration;

use flotta_agent::model::status::{Reason, State};
use flotta_agent::scheduler::times::Skipped;

use crate::device::{Device, HOUR, MINUTE, SECOND, timed, utc};

#[test]
fn schedules_wait_until_the_clock_is_plausible_and_say_so() {
    let mut device = Device::at("1970-01-01T00:00:10Z", timed("* * * * *", false));
    let fresh = flotta_agent::scheduler::Reconciler::new(
        flotta_agent::scheduler::Limits::default(),
        &[flotta_agent::executor::ExecutorId::Shell],
    );
    device.reconciler = fresh.with_clock_from(utc("2026-11-21T00:00:00Z"));
    device.wants(timed("* * * * *", false));
    device.pass(10 * MINUTE);
    assert!(device.runs.is_empty());
    let says = device.says();
    assert_eq!((says.state, says.reason, says.next_run), (State::Ready, Reason::CronWait, None));
    assert!(says.message.contains("1970") && says.message.contains("cron.trust_clock"), "{}", says.message);
    device.set_clock("2027-05-01T12:00:30Z");
    assert_eq!(device.says().next_run, Some(utc("2027-05-01T12:01:00Z")));
    assert!(device.skipped.is_empty(), "what came before the clock was known is no time that was missed");
    device.pass(MINUTE);
    assert_eq!(device.runs, ["2027-05-01T12:01:00.000Z"]);
}

#[test]
fn a_clock_set_forward_by_little_runs_what_it_was_set_past_once() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("*/15 * * * *", false));
    device.set_clock("2027-01-01T11:40:00Z");
    assert_eq!(device.runs, ["2027-01-01T11:40:00.000Z"]);
    assert_eq!(device.says().next_run, Some(utc("2027-01-01T11:45:00Z")));
}

#[test]
fn a_clock_set_forward_by_years_skips_what_lies_between_and_says_so() {
    for (catch_up, runs) in [(false, 0), (true, 1)] {
        let mut device = Device::at("2027-01-01T10:00:30Z", timed("* * * * *", catch_up));
        device.set_clock("2031-01-01T00:00:30Z");
        assert_eq!(device.runs.len(), runs, "cronCatchUp: {catch_up}");
        assert_eq!(device.skipped.iter().map(|(_, why)| *why).collect::<Vec<_>>(), vec![Skipped::ClockSet; 1 - runs]);
        assert_eq!(device.says().next_run.expect("a time"), utc("2031-01-01T00:01:00Z"));
    }
}

#[test]
fn a_clock_set_back_repeats_wildcards_in_real_time_and_a_fixed_time_not() {
    let mut often = Device::at("2027-01-01T10:00:30Z", timed("*/30 * * * *", false));
    let mut daily = Device::at("2027-01-01T10:00:30Z", timed("30 10 * * *", false));
    for device in [&mut often, &mut daily] {
        device.pass(35 * MINUTE);
        assert_eq!(device.runs, ["2027-01-01T10:30:00.000Z"]);
        device.set_clock("2027-01-01T09:50:00Z");
        device.pass(HOUR);
    }
    assert_eq!(often.runs[1..], ["2027-01-01T10:00:00.000Z", "2027-01-01T10:30:00.000Z"]);
    assert_eq!(daily.runs.len(), 1, "{:?}", daily.runs);
    assert_eq!(daily.says().next_run, Some(utc("2027-01-02T10:30:00Z")));
    // By more than three hours it is a correction.
    daily.set_clock("2026-12-30T10:00:00Z");
    assert_eq!(daily.says().next_run, Some(utc("2026-12-30T10:30:00Z")));
}

#[test]
fn a_device_that_slept_runs_a_time_that_is_late_and_skips_one_that_is_long_past() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 11 * * *", false));
    device.sleep(2 * HOUR);
    device.turn();
    assert_eq!(device.runs.len(), 1);
    device.pass(10 * SECOND);
    device.sleep(40 * HOUR);
    device.turn();
    assert_eq!((device.runs.len(), device.skipped.len()), (1, 1), "{:?}", device.skipped);
}

#[test]
fn a_clock_that_was_set_back_while_no_agent_was_there_puts_no_schedule_off() {
    let mut device = Device::at("2031-01-01T00:00:30Z", timed("0 * * * *", false));
    let stored = device.stored.clone();
    device.now.wall = utc("2027-01-01T10:00:30Z");
    device.restart(stored, "boot 2", timed("0 * * * *", false));
    assert_eq!(device.says().next_run, Some(utc("2027-01-01T11:00:00Z")));
    // By little a fixed time is not repeated, as when it is set back before the agent's eyes.
    let mut daily = Device::at("2027-01-01T10:00:30Z", timed("30 10 * * *", false));
    daily.pass(35 * MINUTE);
    assert_eq!(daily.runs.len(), 1);
    let stored = daily.stored.clone();
    daily.now.wall = utc("2027-01-01T09:50:00Z");
    daily.restart(stored, "boot 2", timed("30 10 * * *", false));
    assert_eq!(daily.says().next_run, Some(utc("2027-01-02T10:30:00Z")));
}

#[test]
fn a_clock_that_was_years_ahead_and_then_lost_puts_no_schedule_off() {
    let mut device = Device::at("2031-01-01T00:00:30Z", timed("0 * * * *", false));
    device.restart_believing_from("2026-11-21T00:00:00Z", device.stored.clone(), timed("0 * * * *", false));
    device.set_clock("1970-01-01T00:00:10Z");
    device.set_clock("2027-05-01T12:00:30Z");
    assert_eq!(device.says().next_run, Some(utc("2027-05-01T13:00:00Z")));
}

#[test]
fn a_time_that_came_before_the_clock_was_set_back_a_little_is_not_lost() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 11 * * *", false));
    // A device that slept, and whose clock is put right when it wakes.
    device.sleep(90 * MINUTE);
    device.now.wall.0 -= 2_000;
    device.turn();
    assert_eq!(device.runs, ["2027-01-01T11:30:28.000Z"]);
}

#[test]
fn a_clock_that_is_put_right_by_seconds_repeats_nothing() {
    for expression in ["0 * * * *", "* * * * *"] {
        let mut device = Device::at("2027-01-01T10:59:30Z", timed(expression, false));
        device.lasts = Some((100, 0));
        device.pass(31 * SECOND);
        assert_eq!(device.runs, ["2027-01-01T11:00:00.000Z"]);
        device.now.wall.0 -= 2_500;
        device.turn();
        device.pass(10 * SECOND);
        assert_eq!(device.runs.len(), 1, "{expression}: {:?}", device.runs);
        device.pass(HOUR);
        assert!(device.runs.len() > 1, "{expression}");
    }
}

#[test]
fn while_the_clock_is_not_believed_no_schedule_keeps_the_agent_busy() {
    let workload = || timed("0 * * * *", false);
    let mut device = Device::at("2027-01-01T10:59:30Z", workload());
    let stored = device.stored.clone();
    device.sleep(10 * MINUTE);
    // A version that was made later than the clock shows, and a time that has passed.
    device.restart_believing_from("2027-06-01T00:00:00Z", stored, workload());
    let wake = device.turn();
    assert!(wake.is_none_or(|wake| wake > device.now.mono), "{wake:?} at {:?}", device.now);
}

#[test]
fn a_run_under_a_clock_that_was_years_ahead_is_not_taken_for_a_later_one() {
    let mut device = Device::at("2031-01-01T00:00:30Z", timed("0 * * * *", false));
    device.pass(HOUR);
    assert_eq!(device.runs.len(), 1);
    device.set_clock("2027-01-01T10:00:30Z");
    device.fails = Some(Reason::ImagePull);
    device.pass(HOUR);
    device.fails = None;
    device.pass(5 * MINUTE);
    assert_eq!(device.runs.len(), 2, "the run that waited for its image: {:?}", device.runs);
    let last = device.says().last_run.expect("a run");
    assert!(last.since(utc("2027-01-01T11:00:00Z")) < Duration::from_secs(3_600), "{}", last.rfc3339());
}
