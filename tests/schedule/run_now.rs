//! `flotta-agent workload run NAME`.

use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::Reason;
use flotta_agent::model::workload::RestartPolicy;

use crate::device::{Device, HOUR, MINUTE, SECOND, behind, id, steady, timed};

#[test]
fn a_workload_with_a_schedule_runs_once_now_and_then_at_its_times_as_before() {
    let mut device = Device::at("2027-01-01T10:00:30Z", timed("0 * * * *", false));
    device.ask(&Command::Run(id())).expect("asked");
    assert_eq!(device.runs, ["2027-01-01T10:00:30.000Z"]);
    device.pass(HOUR);
    assert_eq!(device.runs[1..], ["2027-01-01T11:00:00.000Z"]);
}

#[test]
fn one_that_has_done_its_work_or_waits_for_its_retry_starts_again_at_once() {
    for (restart, code, reason) in [
        (RestartPolicy::OnFailure, 0, Reason::Completed),
        (RestartPolicy::Never, 1, Reason::Failed),
        (RestartPolicy::Always, 1, Reason::BackOff),
    ] {
        let mut device = Device::at("2027-01-01T10:00:30Z", steady(restart));
        device.lasts = Some((SECOND, code));
        device.pass(5 * SECOND);
        assert_eq!(device.says().reason, reason);
        let before = device.runs.len();
        device.ask(&Command::Run(id())).expect("asked");
        assert_eq!(device.runs.len(), before + 1, "{reason}");
        device.pass(5 * SECOND);
        assert_eq!(device.says().reason, reason, "and then as before");
    }
}

#[test]
fn what_cannot_run_now_is_refused_with_the_reason() {
    let mut device = Device::at("2027-01-01T10:00:30Z", steady(RestartPolicy::Always));
    device.lasts = None;
    let why = device.ask(&Command::Run(id())).expect_err("it runs");
    assert!(why.contains("default/w runs already"), "{why}");
    let why = device.ask(&Command::Run(WorkloadId::parse("other").expect("a name"))).expect_err("not there");
    assert!(why.contains("no workload default/other") && why.contains("flotta-agent status"), "{why}");
    device.wants(behind("closed", steady(RestartPolicy::Always)));
    let why = device.ask(&Command::Run(id())).expect_err("inactive");
    assert!(why.contains("is not to run now") && why.contains("x"), "{why}");
    device.ask(&Command::Lock { keep: false }).expect("locked");
    let why = device.ask(&Command::Run(id())).expect_err("locked");
    assert!(why.contains("host unlock"), "{why}");
}

#[test]
fn a_run_asked_for_while_its_profiles_say_no_is_due_and_waits() {
    let mut device = Device::at("2027-01-01T10:00:30Z", behind("closed", timed("0 0 1 1 *", false)));
    let said = device.ask(&Command::Run(id())).expect("asked");
    assert!(said.contains("waits"), "{said}");
    device.wants(behind("open", timed("0 0 1 1 *", false)));
    device.pass(MINUTE);
    assert_eq!(device.runs.len(), 1);
}

#[test]
fn a_run_asked_for_before_the_clock_is_believed_is_still_due_when_it_is() {
    let workload = |gate| behind(gate, timed("0 0 1 1 *", false));
    let mut device = Device::at("1970-01-01T00:00:10Z", workload("closed"));
    device.restart_believing_from("2026-11-21T00:00:00Z", Default::default(), workload("closed"));
    let said = device.ask(&Command::Run(id())).expect("asked");
    assert!(said.contains("waits"), "{said}");
    device.set_clock("2027-05-01T12:00:30Z");
    device.wants(workload("open"));
    device.pass(MINUTE);
    assert_eq!(device.runs.len(), 1);
}
