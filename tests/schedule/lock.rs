//! A locked device.

use flotta_agent::model::command::Command;
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::status::{Reason, State};
use flotta_agent::model::workload::RestartPolicy;
use flotta_agent::scheduler::times::Skipped;

use crate::device::{Device, HOUR, MINUTE, SECOND, behind, id, steady, timed};

impl Device {
    pub fn ask(&mut self, command: &Command) -> Result<String, String> {
        let answer = self.reconciler.command(command, &self.gates, self.now);
        self.turn();
        answer
    }
}

#[test]
fn a_lock_stops_what_runs_starts_nothing_and_survives_a_restart_until_it_is_lifted() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::Always));
    device.lasts = None;
    device.turn();
    device.ask(&Command::Lock { keep: false }).expect("locked");
    let says = device.says();
    assert_eq!((says.state, says.reason), (State::Inactive, Reason::Locked));
    assert!(says.message.contains("host unlock"), "{}", says.message);
    let stored = device.stored.clone();
    device.restart(stored, "boot 2", steady(RestartPolicy::Always));
    device.pass(HOUR);
    assert_eq!((device.says().reason, device.runs.len()), (Reason::Locked, 1));
    device.ask(&Command::Unlock).expect("unlocked");
    assert_eq!((device.says().reason, device.runs.len()), (Reason::Running, 2));
}

#[test]
fn with_keep_what_runs_goes_on_whatever_its_profiles_say_and_is_not_started_again() {
    let mut device = Device::at("2027-01-01T10:00:00Z", behind("open", steady(RestartPolicy::Always)));
    device.lasts = Some((HOUR, 1));
    device.ask(&Command::Lock { keep: true }).expect("locked");
    device.wants(behind("closed", steady(RestartPolicy::Always)));
    let says = device.says();
    assert_eq!(says.state, State::Running);
    assert!(says.message.contains("the device is locked"), "{}", says.message);
    device.wants(behind("open", steady(RestartPolicy::Always)));
    device.pass(2 * HOUR);
    assert_eq!((device.says().reason, device.runs.len()), (Reason::Locked, 1), "it ended meanwhile");
    device.ask(&Command::Unlock).expect("unlocked");
    assert_eq!(device.runs.len(), 2);
}

#[test]
fn what_had_done_its_work_before_the_lock_does_not_do_it_again_after_it() {
    let mut device = Device::at("2027-01-01T10:00:00Z", steady(RestartPolicy::OnFailure));
    device.pass(10 * SECOND);
    assert_eq!(device.says().reason, Reason::Completed);
    device.ask(&Command::Lock { keep: false }).expect("locked");
    assert_eq!(device.says().reason, Reason::Locked);
    device.ask(&Command::Unlock).expect("unlocked");
    device.pass(MINUTE);
    assert_eq!((device.says().reason, device.runs.len()), (Reason::Completed, 1));
}

#[test]
fn times_that_come_while_the_device_is_locked_are_skipped_or_caught_up_with_one_run() {
    for (catch_up, runs) in [(false, 0), (true, 1)] {
        let mut device = Device::at("2027-01-01T10:00:30Z", timed("*/10 * * * *", catch_up));
        device.ask(&Command::Lock { keep: false }).expect("locked");
        device.pass(35 * MINUTE);
        assert!(device.runs.is_empty());
        device.ask(&Command::Unlock).expect("unlocked");
        assert_eq!(device.runs.len(), runs, "cronCatchUp: {catch_up}");
        assert!(catch_up || device.skipped.iter().all(|(_, why)| *why == Skipped::Locked) && device.skipped.len() == 3);
        device.pass(10 * MINUTE);
        assert_eq!(device.runs.len(), runs + 1);
    }
}

#[test]
fn a_job_that_goes_on_under_a_lock_is_not_done_twice_since_its_profile_flapped_meanwhile() {
    let job = || behind("open", steady(RestartPolicy::OnFailure));
    let mut device = Device::at("2027-01-01T10:00:00Z", job());
    device.pass(10 * SECOND);
    assert_eq!(device.says().reason, Reason::Completed);
    device.lasts = Some((HOUR, 0));
    device.ask(&Command::Run(id())).expect("asked");
    let before = device.runs.len();
    device.ask(&Command::Lock { keep: true }).expect("locked");
    for x in [Some(1.0), None] {
        let update = MetricUpdate { name: "x".into(), value: x, unit: None, timestamp: None, ttl: None };
        device.gates.apply(&[update], MetricSource::Http, device.now).expect("taken");
        device.pass(MINUTE);
        assert_eq!(device.says().state, State::Running);
    }
    device.ask(&Command::Unlock).expect("unlocked");
    device.pass(2 * HOUR);
    assert_eq!((device.says().reason, device.runs.len()), (Reason::Completed, before));
}
