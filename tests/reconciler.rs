//! What follows from what, one turn after the other: failures of ends and of starts, quotas, news that cross each other.

#[path = "common/gates.rs"]
mod gates;
#[path = "common/models.rs"]
mod models;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::{Down, End, ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::gates::Gates;
use flotta_agent::model::command::Command;
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::profile::{ConditionRef, ProfileRef};
use flotta_agent::model::status::{Reason, State, WorkloadStatus};
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, Retry, Workload};
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Output;
use flotta_agent::scheduler::{Input, Limits, Reconciler};

const PODMAN: ExecutorId = ExecutorId::Podman;
/// The retry interval of the workload.
const RETRY_MS: u64 = 600_000;
/// Newer than every ticket.
const NOW: u64 = u64::MAX;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_790_000_000_000 + i64::try_from(ms).expect("small")) }
}

fn id() -> WorkloadId {
    WorkloadId::try_new("default", "w").expect("a name")
}

/// Behind `open` (true) or `closed` (false).
fn workload(gate: &str, cpu: Option<u32>, restart: RestartPolicy) -> Input {
    let conditions = vec![ConditionRef { name: "c".into(), cpu_quota_us: cpu }];
    let base = models::workload("w", 0xaa, Kind::Pod, Payload::Pod(Arc::default()), restart);
    let workload = Workload {
        gates: vec![ProfileRef { name: gate.into(), conditions }],
        retry: Retry::Constant(Duration::from_millis(RETRY_MS)),
        ..base
    };
    Input::Desired(Box::new(Desired { workloads: BTreeMap::from([(id(), Arc::new(workload))]), ..Desired::default() }))
}

fn gates() -> Gates {
    gates::open_and_closed(at(0))
}

fn end(ms: u64, code: i32) -> End {
    let how = format!("exit code {code}");
    End { code: Some(code), at: at(ms).wall, how, tail: String::new(), cut_off: false, stopped: false }
}

fn instance(phase: Phase, look: u64, quota: Quota) -> Instance {
    Instance {
        id: id(),
        hash: models::hash(0xaa),
        handle: Handle("h1".into()),
        phase,
        started_at: at(0).wall,
        warnings: Vec::new(),
        look,
        quota,
        in_place: true,
        unready: Vec::new(),
    }
}

fn degraded(ms: u64) -> Phase {
    Phase::Degraded(vec![Down { name: "a".into(), end: end(ms, 1) }])
}

fn error(reason: Reason) -> ExecutorError {
    ExecutorError { reason, message: "podman said something".into() }
}

/// The reconciler, its gates, and the pod that is there.
struct Device {
    reconciler: Reconciler,
    gates: Gates,
}

impl Device {
    fn with(wish: Input, there: Instance) -> Device {
        let mut reconciler = Reconciler::new(Limits::default(), &[PODMAN]);
        reconciler.handle(wish, at(1_000));
        reconciler.handle(Input::Listed(PODMAN, NOW, Ok(vec![there])), at(1_000));
        Device { reconciler, gates: gates() }
    }

    fn turn(&mut self, ms: u64) -> Output {
        self.reconciler.turn(&self.gates, at(ms))
    }

    fn hear(&mut self, ms: u64, input: Input) {
        self.reconciler.handle(input, at(ms));
    }

    fn failed(&mut self, ms: u64, step: &Step, reason: Reason) {
        self.hear(ms, Input::Done(step.clone(), Err(error(reason))));
    }

    fn listed(&mut self, ms: u64, there: Instance) {
        self.hear(ms, Input::Listed(PODMAN, NOW, Ok(vec![there])));
    }

    fn says(&self) -> &WorkloadStatus {
        self.reconciler.statuses().next().expect("a status")
    }
}

fn only(output: &Output) -> &Step {
    match output.steps.as_slice() {
        [step] => step,
        other => panic!("one step, not {other:?}"),
    }
}

fn is_stop(step: &Step) -> bool {
    matches!(step.action, StepAction::Stop(_))
}

#[test]
fn a_stop_that_nobody_answered_is_tried_again_soon_however_long_the_retry_interval_is() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(degraded(1_000), 1, Quota::InForce(None)));
    assert!(device.turn(1_000).steps.is_empty(), "it waits for its retry");
    device.hear(2_000, workload("closed", None, RestartPolicy::Always));
    let output = device.turn(2_000);
    assert!(is_stop(only(&output)));
    device.failed(2_100, only(&output), Reason::ExecutorUnreachable);
    device.turn(2_100);
    device.listed(2_200, instance(degraded(1_000), 2, Quota::InForce(None)));
    let waiting = device.turn(2_200);
    assert!(waiting.steps.is_empty() && waiting.wake == Some(Mono(3_100)), "{waiting:?}");
    assert!(is_stop(only(&device.turn(3_100))));
}

#[test]
fn a_stop_that_always_fails_is_tried_ever_more_seldom_and_never_without_a_wait() {
    for reason in [Reason::ExecutorUnreachable, Reason::StopFailed, Reason::StartFailed] {
        let mut device =
            Device::with(workload("closed", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
        let mut now = 1_000;
        let mut waits = Vec::new();
        for look in 2..10 {
            let output = device.turn(now);
            assert!(is_stop(only(&output)), "{reason:?}: {output:?}");
            device.failed(now, only(&output), reason);
            device.listed(now, instance(Phase::Running, look, Quota::Fixed));
            let wake = device.turn(now).wake.expect("it is tried again").0;
            assert_eq!((device.says().state, device.says().reason), (State::Running, Reason::Stopping));
            assert!(
                device.says().message.contains("podman said something; tried again at"),
                "{}",
                device.says().message
            );
            waits.push((wake - now) / 1_000);
            now = wake;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20, 20], "{reason:?}");
    }
}

#[test]
fn a_start_that_nobody_answers_is_no_failure_and_is_tried_ever_more_seldom() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
    device.turn(1_000);
    device.hear(1_500, Input::Told(PODMAN, ExecutorEvent::Gone(id(), Handle("h1".into()))));
    let mut now = 2_000;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let output = device.turn(now);
        assert!(matches!(only(&output).action, StepAction::Start(..)), "{output:?}");
        device.failed(now, only(&output), Reason::ExecutorUnreachable);
        device.hear(now, Input::Listed(PODMAN, NOW, Ok(Vec::new())));
        let wake = device.turn(now).wake.expect("it is tried again").0;
        waits.push((wake - now) / 1_000);
        now = wake;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 20]);
}

#[test]
fn a_failed_restart_in_place_is_said_and_then_the_pod_is_replaced() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(degraded(1_000), 1, Quota::InForce(None)));
    device.turn(1_000);
    let later = 1_000 + RETRY_MS;
    let output = device.turn(later);
    assert!(matches!(only(&output).action, StepAction::Resume(..)), "{output:?}");
    device.failed(later, only(&output), Reason::StartFailed);
    device.listed(later, instance(degraded(1_000), 2, Quota::InForce(None)));
    assert!(device.turn(later).steps.is_empty());
    assert_eq!((device.says().state, device.says().reason), (State::Error, Reason::StartFailed));
    assert!(device.says().message.contains("podman said something; tried again at"), "{}", device.says().message);
    let output = device.turn(later + RETRY_MS);
    assert!(is_stop(only(&output)), "not in place again: {output:?}");
}

#[test]
fn a_hang_in_the_middle_of_a_restart_in_place_costs_the_others_nothing() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(degraded(1_000), 1, Quota::InForce(None)));
    device.turn(1_000);
    let later = 1_000 + RETRY_MS;
    let output = device.turn(later);
    device.failed(later, only(&output), Reason::ExecutorUnreachable);
    device.listed(later, instance(degraded(1_000), 2, Quota::InForce(None)));
    device.turn(later);
    let output = device.turn(later + 1_000);
    assert!(matches!(only(&output).action, StepAction::Resume(..)), "in place again: {output:?}");
}

#[test]
fn a_quota_that_could_not_be_told_is_no_warning_any_more_when_none_is_wanted() {
    let running = |look, quota| instance(Phase::Running, look, quota);
    let mut device = Device::with(workload("open", None, RestartPolicy::Always), running(1, Quota::InForce(None)));
    device.turn(1_000);
    device.hear(2_000, workload("open", Some(20_000), RestartPolicy::Always));
    let output = device.turn(2_000);
    assert!(matches!(only(&output).action, StepAction::Limit(_, Some(20_000))), "{output:?}");
    device.failed(2_100, only(&output), Reason::ExecutorUnreachable);
    device.listed(2_100, running(2, Quota::Stale));
    device.turn(2_100);
    assert!(
        device.says().warnings.iter().any(|warning| warning.starts_with("LimitNotEnforced")),
        "{:?}",
        device.says()
    );
    assert_eq!(device.says().cpu_quota_us, None, "what is not in force is not said");
    device.hear(3_000, workload("open", None, RestartPolicy::Always));
    device.listed(3_000, running(3, Quota::InForce(None)));
    assert!(device.turn(3_000).steps.is_empty());
    assert!(device.says().warnings.is_empty(), "{:?}", device.says().warnings);
}

#[test]
fn the_next_try_of_a_quota_is_not_said_as_a_restart() {
    let mut device =
        Device::with(workload("open", Some(20_000), RestartPolicy::Never), instance(degraded(1_000), 1, Quota::Stale));
    let output = device.turn(1_000);
    device.failed(1_100, only(&output), Reason::ExecutorUnreachable);
    device.turn(1_100);
    assert!(device.says().message.contains("not started again (restartPolicy: Never)"), "{}", device.says().message);
    assert_eq!(device.says().next_run, None);
}

#[test]
fn on_a_locked_device_only_what_its_policy_starts_again_is_said_to_wait_for_the_unlock() {
    for (policy, said) in [
        (RestartPolicy::Always, "started again when the device is unlocked"),
        (RestartPolicy::Never, "not started again (restartPolicy: Never)"),
    ] {
        let mut device =
            Device::with(workload("open", None, policy), instance(degraded(1_000), 1, Quota::InForce(None)));
        let lock = Command::Lock { keep: true };
        device.reconciler.command(&lock, &device.gates, at(1_000)).expect("locked");
        assert!(device.turn(1_000).steps.is_empty());
        assert!(device.says().message.contains(said), "{}", device.says().message);
    }
}

#[test]
fn an_end_that_only_a_crossing_list_saw_is_known() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Never), instance(Phase::Running, 1, Quota::InForce(None)));
    device.turn(1_000);
    let ticket = device.reconciler.ticket();
    let changed = instance(Phase::Running, 2, Quota::InForce(Some(5)));
    device.hear(1_001, Input::Told(PODMAN, ExecutorEvent::Changed(changed)));
    let ended = instance(Phase::Ended(end(1_000, 3)), 3, Quota::InForce(None));
    device.hear(1_002, Input::Listed(PODMAN, ticket, Ok(vec![ended])));
    device.turn(1_002);
    assert_eq!((device.says().state, device.says().last_exit_code), (State::Exited, Some(3)));
    // An older look changes nothing any more.
    let old = instance(Phase::Running, 1, Quota::InForce(None));
    device.hear(1_003, Input::Told(PODMAN, ExecutorEvent::Changed(old)));
    device.turn(1_003);
    assert_eq!(device.says().state, State::Exited);
}

#[test]
fn an_end_of_which_nobody_knows_the_time_waits_its_retry_interval() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
    device.turn(1_000);
    let lost = End { code: None, at: Wall(0), how: "its process is gone".into(), ..end(0, 0) };
    device.hear(2_000, Input::Told(PODMAN, ExecutorEvent::Changed(instance(Phase::Ended(lost), 2, Quota::Fixed))));
    let output = device.turn(2_000);
    assert!(output.steps.is_empty() && output.wake == Some(Mono(2_000 + RETRY_MS)), "{output:?}");
    assert!(!device.says().message.contains("00:00:00"), "{}", device.says().message);
}

#[test]
fn an_image_that_came_while_its_start_was_on_its_way_back_is_not_waited_for() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
    device.turn(1_000);
    device.hear(1_500, Input::Told(PODMAN, ExecutorEvent::Gone(id(), Handle("h1".into()))));
    let output = device.turn(2_000);
    device.hear(2_001, Input::Told(PODMAN, ExecutorEvent::Retry(id())));
    device.failed(2_002, only(&output), Reason::ImagePull);
    assert!(matches!(only(&device.turn(2_002)).action, StepAction::Start(..)));
}

#[test]
fn one_executor_that_hangs_holds_up_no_other() {
    let limits = Limits { starts: 1, ends: 1 };
    let mut reconciler = Reconciler::new(limits, &[PODMAN, ExecutorId::Shell]);
    let of = |name: &str, kind| {
        let Input::Desired(desired) = workload("open", None, RestartPolicy::Always) else { unreachable!("a wish") };
        let one = desired.workloads.into_values().next().expect("one");
        let id = WorkloadId::try_new("default", name).expect("a name");
        (id.clone(), Arc::new(Workload { id, kind, ..Arc::unwrap_or_clone(one) }))
    };
    let workloads = BTreeMap::from([of("a", Kind::Pod), of("b", Kind::Pod), of("c", Kind::Shell)]);
    reconciler.handle(Input::Desired(Box::new(Desired { workloads, ..Desired::default() })), at(1));
    reconciler.handle(Input::Listed(PODMAN, NOW, Ok(Vec::new())), at(1));
    reconciler.handle(Input::Listed(ExecutorId::Shell, NOW, Ok(Vec::new())), at(1));
    let begun: Vec<String> =
        reconciler.turn(&gates(), at(1)).steps.iter().map(|step| step.id.name().to_owned()).collect();
    assert_eq!(begun, ["a", "c"], "b waits for a, c for nobody");
}

#[test]
fn a_start_that_waits_for_a_volume_is_ready_and_no_failure_and_is_tried_when_told_or_after_ten_minutes() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
    device.turn(1_000);
    device.hear(1_500, Input::Told(PODMAN, ExecutorEvent::Gone(id(), Handle("h1".into()))));
    let mut now = 2_000;
    for _ in 0..5 {
        let output = device.turn(now);
        assert!(matches!(only(&output).action, StepAction::Start(..)), "{output:?}");
        device.failed(now, only(&output), Reason::VolumeWait);
        let waiting = device.turn(now);
        assert!(waiting.steps.is_empty() && waiting.wake == Some(Mono(now + 600_000)), "{waiting:?}");
        assert_eq!((device.says().state, device.says().reason), (State::Ready, Reason::VolumeWait));
        assert_eq!(device.says().message, "podman said something");
        now += 60_000;
        assert!(device.turn(now).steps.is_empty(), "it waits until it is told");
        device.hear(now, Input::Told(PODMAN, ExecutorEvent::Retry(id())));
    }
    let output = device.turn(now);
    device.failed(now, only(&output), Reason::VolumeWait);
    device.turn(now);
    assert!(matches!(only(&device.turn(now + 600_000)).action, StepAction::Start(..)), "the net");
    // A failure after all that is the first one.
    let output = device.turn(now + 600_000);
    assert!(output.steps.is_empty());
}

#[test]
fn a_volume_that_came_while_its_start_was_on_its_way_back_is_not_waited_for() {
    for resumed in [false, true] {
        let ended = Phase::Ended(end(1_000, 1));
        let mut device =
            Device::with(workload("open", None, RestartPolicy::Always), instance(Phase::Running, 1, Quota::Fixed));
        device.turn(1_000);
        let mut now = 2_000;
        if resumed {
            device.hear(now, Input::Told(PODMAN, ExecutorEvent::Changed(instance(ended, 2, Quota::Fixed))));
            device.turn(now);
            now += RETRY_MS;
        } else {
            device.hear(1_500, Input::Told(PODMAN, ExecutorEvent::Gone(id(), Handle("h1".into()))));
        }
        let output = device.turn(now);
        assert_eq!(matches!(only(&output).action, StepAction::Resume(..)), resumed, "{output:?}");
        device.hear(now + 1, Input::Told(PODMAN, ExecutorEvent::Retry(id())));
        device.failed(now + 2, only(&output), Reason::VolumeWait);
        let again = device.turn(now + 2);
        assert_eq!(matches!(only(&again).action, StepAction::Resume(..)), resumed, "{again:?}");
    }
}

#[test]
fn a_container_that_waits_for_its_device_stops_no_other_one_of_its_pod() {
    let mut device =
        Device::with(workload("open", None, RestartPolicy::Always), instance(degraded(1_000), 1, Quota::InForce(None)));
    device.turn(1_000);
    let output = device.turn(1_000 + RETRY_MS);
    assert!(matches!(only(&output).action, StepAction::Resume(..)), "{output:?}");
    let now = 2_000 + RETRY_MS;
    device.failed(now, only(&output), Reason::VolumeWait);
    assert!(device.turn(now).steps.is_empty());
    assert_eq!((device.says().state, device.says().reason), (State::Degraded, Reason::ContainerDown));
    assert!(device.says().message.starts_with("podman said something; "), "{}", device.says().message);
    // The net, and then the word: in place each time.
    for later in [now + 600_000, now + 600_001] {
        if later > now + 600_000 {
            device.hear(later, Input::Told(PODMAN, ExecutorEvent::Retry(id())));
        }
        let output = device.turn(later);
        assert!(matches!(only(&output).action, StepAction::Resume(..)), "{output:?}");
        device.failed(later, only(&output), Reason::VolumeWait);
        device.turn(later);
    }
}
