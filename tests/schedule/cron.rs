//! Runs at their times.

use flotta_agent::model::status::{Reason, State};
use flotta_agent::scheduler::times::Skipped;

use crate::device::{DAY, Device, HOUR, MINUTE, SECOND, behind, timed, utc};

#[test]
fn a_workload_runs_at_its_times_and_says_the_next_one_and_how_the_last_one_ended() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("*/5 * * * *", false));
    assert!(device.runs.is_empty(), "not before its time");
    let says = device.says();
    assert_eq!(
        (says.state, says.reason, says.next_run),
        (State::Ready, Reason::CronWait, Some(utc("2027-01-01T10:05:00Z")))
    );
    assert_eq!((says.last_run, says.last_exit_code), (None, None));
    device.lasts = Some((SECOND, 3));
    device.pass(11 * MINUTE);
    assert_eq!(device.runs, ["2027-01-01T10:05:00.000Z", "2027-01-01T10:10:00.000Z"]);
    let says = device.says();
    assert_eq!((says.state, says.reason), (State::Ready, Reason::CronWait));
    assert_eq!((says.last_run, says.last_exit_code), (Some(utc("2027-01-01T10:10:00Z")), Some(3)));
    assert_eq!((says.next_run, says.restarts), (Some(utc("2027-01-01T10:15:00Z")), 0));
    assert!(says.message.contains("\"*/5 * * * *\"") && says.message.contains("exit code 3"), "{}", says.message);
}

#[test]
fn a_run_that_still_goes_at_its_next_time_is_not_doubled_and_the_time_is_skipped_and_said() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("* * * * *", false));
    device.lasts = Some((150 * SECOND, 0));
    device.pass(3 * MINUTE + 10 * SECOND);
    assert_eq!(device.runs, ["2027-01-01T10:01:00.000Z"]);
    assert_eq!(
        device.skipped,
        [
            ("2027-01-01T10:02:00.000Z".to_owned(), Skipped::StillGoing),
            ("2027-01-01T10:03:00.000Z".to_owned(), Skipped::StillGoing)
        ]
    );
    let says = device.says();
    assert!(says.message.contains("skipped: the run before it was still going (2 in a row)"), "{}", says.message);
    device.pass(MINUTE);
    assert_eq!(device.runs.len(), 2, "and the one after its end is not");
    assert!(!device.says().message.contains("skipped"), "{}", device.says().message);
}

#[test]
fn of_all_the_times_that_came_while_it_was_inactive_one_is_run_when_it_is_active() {
    let mut device = Device::at("2027-01-01T10:00:30Z", behind("closed", timed("*/10 * * * *", false)));
    device.pass(HOUR);
    assert!(device.runs.is_empty());
    let says = device.says();
    assert_eq!((says.state, says.reason), (State::Inactive, Reason::ConditionFalse));
    assert!(says.message.contains("is due and waits"), "{}", says.message);
    device.wants(behind("open", timed("*/10 * * * *", false)));
    device.pass(5 * MINUTE);
    assert_eq!(device.runs, ["2027-01-01T11:00:30.000Z"]);
}

#[test]
fn a_profile_that_turns_false_stops_a_run_and_the_next_one_comes_at_its_time() {
    let mut device = Device::at("2027-01-01T10:00:30Z", behind("open", timed("0 * * * *", false)));
    device.lasts = None;
    device.pass(HOUR);
    assert_eq!((device.runs.len(), device.says().state), (1, State::Running));
    device.wants(behind("closed", timed("0 * * * *", false)));
    assert!(device.there.is_none(), "stopped and taken away");
    device.wants(behind("open", timed("0 * * * *", false)));
    assert_eq!((device.runs.len(), device.says().reason), (1, Reason::CronWait), "not at once again");
    device.pass(HOUR);
    assert_eq!(device.runs.len(), 2);
}

#[test]
fn a_run_that_cannot_be_started_has_no_retry_but_its_next_time() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 * * * *", false));
    device.fails = Some(Reason::StartFailed);
    device.pass(HOUR);
    let says = device.says();
    assert_eq!(
        (says.state, says.reason, says.next_run),
        (State::Error, Reason::StartFailed, Some(utc("2027-01-01T12:00:00Z")))
    );
    device.fails = None;
    device.pass(30 * MINUTE);
    assert!(device.runs.is_empty());
    device.pass(30 * MINUTE);
    assert_eq!(device.runs, ["2027-01-01T12:00:00.000Z"]);
    assert_eq!(device.says().reason, Reason::CronWait, "and the failure is no longer said");
}

#[test]
fn a_run_whose_image_is_on_its_way_or_that_nobody_answered_for_is_still_due() {
    for reason in [Reason::ImagePull, Reason::ExecutorUnreachable] {
        let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 * * * *", false));
        device.fails = Some(reason);
        device.pass(HOUR);
        assert!(device.runs.is_empty());
        device.fails = None;
        device.pass(5 * MINUTE);
        assert_eq!(device.runs.len(), 1, "{reason}: {:?}", device.runs);
        device.pass(50 * MINUTE);
        assert_eq!(device.runs.len(), 1, "{reason}: and once: {:?}", device.runs);
    }
}

#[test]
fn another_schedule_counts_from_when_it_is_written() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 0 1 1 *", false));
    device.wants(timed("30 10 * * *", false));
    assert_eq!(device.says().next_run, Some(utc("2027-01-01T10:30:00Z")));
    device.pass(DAY);
    assert_eq!(device.runs, ["2027-01-01T10:30:00.000Z"]);
}

#[test]
fn what_waits_for_its_time_is_not_said_again_while_nothing_changes() {
    for fails in [None, Some(Reason::StartFailed)] {
        let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 * * * *", false));
        device.fails = fails;
        device.pass(HOUR);
        for drift in [1, -1, 1, 2] {
            // The two clocks are read one after the other, and the wall clock is slewed.
            device.sleep(SECOND);
            device.now.wall.0 += drift;
            let output = device.reconciler.turn(&device.gates, device.now);
            assert_eq!(output.statuses, [], "{fails:?}");
        }
    }
}
