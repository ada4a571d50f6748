//! The wait between starts.

use std::time::Duration;

use flotta_agent::model::status::Reason;
use flotta_agent::model::workload::{Exponential, RestartPolicy, Retry, Workload};

use crate::device::{Device, HOUR, MINUTE, SECOND, steady, utc};

fn growing() -> Workload {
    let exponential = Exponential {
        initial: Duration::from_secs(2),
        multiplier: 2.0,
        randomization: 0.0,
        max: Duration::from_secs(60),
    };
    Workload { retry: Retry::Exponential(exponential), ..steady(RestartPolicy::Always) }
}

fn gaps(device: &Device) -> Vec<i64> {
    let at = |text: &String| utc(text).0;
    device.runs.windows(2).map(|pair| at(&pair[1]) - at(&pair[0])).collect()
}

#[test]
fn a_constant_retry_waits_twenty_seconds_after_each_end() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.lasts = Some((SECOND, 1));
    device.pass(5 * MINUTE);
    assert!(gaps(&device).iter().all(|gap| *gap == 21_000), "{:?}", gaps(&device));
}

#[test]
fn a_growing_retry_waits_longer_each_time_up_to_its_cap_and_never_gives_up() {
    let mut device = Device::at("2027-01-01T10:00:00Z", growing());
    device.lasts = Some((SECOND, 1));
    device.pass(24 * HOUR);
    let gaps = gaps(&device);
    assert_eq!(gaps[..6], [3_000, 5_000, 9_000, 17_000, 33_000, 61_000]);
    assert!(gaps.len() > 1_000 && gaps[6..].iter().all(|gap| *gap == 61_000), "{gaps:?}");
    let says = device.says();
    assert!(says.next_run.is_some() || says.reason == Reason::Running);
}

#[test]
fn starts_that_fail_wait_as_ends_do_and_say_when_they_are_tried_next() {
    let mut device = Device::at("2027-01-01T10:00:00Z", growing());
    device.fails = Some(Reason::StartFailed);
    device.lasts = Some((SECOND, 1));
    device.pass(10 * SECOND);
    let says = device.says();
    assert_eq!(says.reason, Reason::StartFailed);
    assert!(says.message.contains("tried again at"), "{}", says.message);
    assert!(says.next_run.is_some_and(|next| next > device.now.wall), "{says:?}");
    device.pass(HOUR);
    device.fails = None;
    device.pass(MINUTE);
    assert!(device.runs.len() >= 2, "it never gives up: {:?}", device.runs);
}

#[test]
fn ten_minutes_of_running_make_the_next_wait_the_first_one_again() {
    let mut device = Device::at("2027-01-01T10:00:00Z", growing());
    device.lasts = Some((SECOND, 1));
    device.pass(5 * MINUTE);
    device.lasts = Some((11 * MINUTE, 1));
    device.pass(2 * MINUTE);
    let before = device.runs.len();
    device.pass(11 * MINUTE);
    device.lasts = Some((SECOND, 1));
    device.pass(MINUTE);
    let gap = gaps(&device)[before - 1];
    assert_eq!(gap, 662_000, "11 minutes of running and two seconds of waiting");
}

#[test]
fn two_devices_that_fail_together_do_not_try_again_together() {
    let exponential = Exponential {
        initial: Duration::from_secs(100),
        multiplier: 1.0,
        randomization: 0.5,
        max: Duration::from_secs(100),
    };
    let workload = || Workload { retry: Retry::Exponential(exponential), ..steady(RestartPolicy::Always) };
    let next = |seed: u64| {
        let mut device = Device::at("2027-01-01T10:00:00Z", workload());
        let fresh = flotta_agent::scheduler::Reconciler::new(
            flotta_agent::scheduler::Limits::default(),
            &[flotta_agent::executor::ExecutorId::Shell],
        );
        device.reconciler = fresh.with_seed(seed);
        device.there = None;
        device.fails = Some(Reason::StartFailed);
        device.wants(workload());
        device.says().next_run.expect("a next try").0 - device.now.wall.0
    };
    let waits: std::collections::BTreeSet<i64> = (0..20).map(next).collect();
    assert!(waits.len() >= 18, "{waits:?}");
    assert!(waits.iter().all(|wait| (50_000..=150_000).contains(wait)), "{waits:?}");
}

#[test]
fn ten_minutes_of_running_count_although_the_machine_loses_its_power_before_the_next_failure() {
    let mut device = Device::at("2027-01-01T10:00:00Z", growing());
    device.lasts = Some((SECOND, 1));
    device.pass(5 * MINUTE);
    device.lasts = None;
    device.pass(2 * MINUTE);
    assert_eq!(device.says().reason, Reason::Running);
    device.pass(HOUR);
    device.lasts = Some((SECOND, 1));
    let before = device.runs.len();
    device.power_cut(growing());
    device.pass(2 * MINUTE);
    assert_eq!(gaps(&device)[before..][0], 3_000, "a second of running and the first wait: {:?}", gaps(&device));
}

#[test]
fn time_in_which_nobody_saw_it_end_is_no_time_of_running() {
    let mut device = Device::at("2027-01-01T10:00:00Z", growing());
    device.lasts = Some((SECOND, 1));
    // In the run that begins at 10:02:08.
    device.pass(128 * SECOND + 500);
    assert_eq!(device.says().reason, Reason::Running, "{:?}", device.runs);
    let stored = device.stored.clone();
    device.end_unheard(SECOND);
    device.sleep(HOUR);
    let before = device.runs.len();
    device.restart(stored, "boot 1", growing());
    assert_eq!(device.runs.len(), before + 1, "the wait is over");
    device.pass(3 * MINUTE);
    assert_eq!(gaps(&device)[before], 61_000, "the failures before still count: {:?}", gaps(&device));
}
