//! What the planner promises for any input: the same input gives the same plan, the order of the input does not matter,
//! one operation per workload, and after the steps are done the next plan is empty.

#[path = "common/gates.rs"]
mod gates;
#[path = "common/models.rs"]
mod models;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::{End, ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::gates::Gates;
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::profile::ProfileRef;
use flotta_agent::model::status::State;
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, ShellSpec, Workload};
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Outcome;
use flotta_agent::scheduler::{Input, Limits, Reconciler};
use proptest::prelude::*;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_790_000_000_000 + ms as i64) }
}

fn id(n: usize) -> WorkloadId {
    WorkloadId::try_new("default", &format!("w{n}")).expect("a name")
}

fn workload(n: usize, version: u8, gate: Option<bool>, restart: RestartPolicy) -> Arc<Workload> {
    let gates =
        gate.map(|open| ProfileRef { name: if open { "open" } else { "closed" }.into(), conditions: Vec::new() });
    let shell = ShellSpec {
        argv: vec!["x".into()],
        env: BTreeMap::new(),
        working_dir: None,
        user: None,
        grace: Duration::from_secs(1),
    };
    let base = models::workload(id(n).name(), version.into(), Kind::Shell, Payload::Shell(shell), restart);
    Arc::new(Workload { gates: gates.into_iter().collect(), ..base })
}

fn instance(n: usize, version: u8, handle: usize, code: Option<i32>) -> Instance {
    let phase = match code {
        None => Phase::Running,
        Some(code) => Phase::Ended(End {
            code: Some(code),
            at: at(0).wall,
            how: format!("exit code {code}"),
            tail: String::new(),
            cut_off: false,
            stopped: false,
        }),
    };
    Instance {
        id: id(n),
        hash: models::hash(version.into()),
        handle: Handle(format!("h{handle}").into()),
        phase,
        started_at: at(0).wall,
        warnings: Vec::new(),
        look: 0,
        quota: Quota::Fixed,
        in_place: false,
        unready: Vec::new(),
    }
}

fn gates() -> Gates {
    gates::open_and_closed(at(0))
}

fn restart() -> impl Strategy<Value = RestartPolicy> {
    prop::sample::select(vec![RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never])
}

type Wish = (usize, u8, Option<bool>, RestartPolicy);
type Found = (usize, u8, Option<i32>);

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    prop::collection::vec((0usize..8, 0u8..3, prop::option::of(any::<bool>()), restart()), 0..8)
}

fn found() -> impl Strategy<Value = Vec<Found>> {
    prop::collection::vec((0usize..8, 0u8..3, prop::option::of(0i32..2)), 0..10)
}

fn desired(wishes: &[Wish]) -> Desired {
    let mut workloads = BTreeMap::new();
    for (n, version, gate, restart) in wishes {
        workloads.entry(id(*n)).or_insert_with(|| workload(*n, *version, *gate, *restart));
    }
    Desired { workloads, ..Desired::default() }
}

fn reconciler(wishes: &[Wish], found: &[Found], lists_first: bool) -> Reconciler {
    let mut reconciler = Reconciler::new(Limits::default(), &[ExecutorId::Shell]);
    let wanted = Input::Desired(Box::new(desired(wishes)));
    let instances = found.iter().enumerate().map(|(h, (n, version, code))| instance(*n, *version, h, *code)).collect();
    let listed = Input::Listed(ExecutorId::Shell, u64::MAX, Ok(instances));
    let inputs = if lists_first { [listed, wanted] } else { [wanted, listed] };
    for input in inputs {
        reconciler.handle(input, at(1));
    }
    reconciler
}

/// What an executor without faults makes of a step.
fn perfect(step: Step, handles: &mut usize) -> Input {
    let outcome = match &step.action {
        StepAction::Start(workload, _) => {
            *handles += 1;
            let mut started = instance(0, 0, 1000 + *handles, None);
            started.id = workload.id.clone();
            started.hash = workload.hash.clone();
            Outcome::Started(started)
        }
        StepAction::Stop(_) => match instance(0, 0, 0, Some(0)).phase {
            Phase::Ended(end) => Outcome::Stopped(end),
            _ => unreachable!("it ended"),
        },
        StepAction::Remove(_) => Outcome::Removed,
        StepAction::Resume(..) | StepAction::Limit(..) => unreachable!("not for shell runs"),
    };
    Input::Done(step, Ok(outcome))
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_plan_in_whatever_order_it_comes(wishes in wishes(), found in found()) {
        let gates = gates();
        let mut first = reconciler(&wishes, &found, true).turn(&gates, at(2));
        let mut second = reconciler(&wishes, &found, true).turn(&gates, at(2));
        prop_assert_eq!(&first, &second);
        let mut backwards = found.clone();
        backwards.reverse();
        // The handles follow the order of the list, so only what is done to which workload is compared.
        let shape = |steps: &[Step]| -> Vec<(WorkloadId, u8)> {
            let kind = |action: &StepAction| match action {
                StepAction::Start(..) => 0,
                StepAction::Stop(_) => 1,
                StepAction::Remove(_) => 2,
                StepAction::Resume(..) => 3,
                StepAction::Limit(..) => 4,
            };
            steps.iter().map(|step| (step.id.clone(), kind(&step.action))).collect()
        };
        let unique: BTreeSet<usize> = found.iter().map(|(n, ..)| *n).collect();
        if unique.len() == found.len() {
            let reversed = reconciler(&wishes, &backwards, true).turn(&gates, at(2));
            prop_assert_eq!(shape(&first.steps), shape(&reversed.steps));
        }
        second = reconciler(&wishes, &found, false).turn(&gates, at(2));
        first.events.clear();
        second.events.clear();
        prop_assert_eq!(first.steps, second.steps);
    }

    #[test]
    fn no_plan_has_two_operations_on_one_workload(wishes in wishes(), found in found()) {
        let steps = reconciler(&wishes, &found, true).turn(&gates(), at(2)).steps;
        let ids: BTreeSet<_> = steps.iter().map(|step| step.id.clone()).collect();
        prop_assert_eq!(ids.len(), steps.len());
    }

    #[test]
    fn it_converges_and_then_the_plan_is_empty(wishes in wishes(), found in found()) {
        let gates = gates();
        let mut reconciler = reconciler(&wishes, &found, true);
        let mut statuses = BTreeMap::new();
        let (mut handles, mut now) = (0, 2);
        for _ in 0..200 {
            let output = reconciler.turn(&gates, at(now));
            for (id, status) in output.statuses {
                match status {
                    Some(status) => { statuses.insert(id, status); }
                    None => { statuses.remove(&id); }
                }
            }
            match (output.steps.is_empty(), output.wake) {
                (true, Some(wake)) => now = wake.0,
                (true, None) => break,
                (false, _) => for step in output.steps {
                    reconciler.handle(perfect(step, &mut handles), at(now));
                },
            }
        }
        let last = reconciler.turn(&gates, at(now + 1));
        prop_assert!(last.steps.is_empty() && last.wake.is_none(), "{:?}", last);
        let wanted = desired(&wishes).workloads;
        prop_assert_eq!(statuses.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
        for (id, status) in &statuses {
            let open = wanted[id].gates.first().is_none_or(|gate| gate.name == "open");
            let settled = if open {
                matches!(status.state, State::Running | State::Stopped | State::Exited)
            } else {
                status.state == State::Inactive
            };
            prop_assert!(settled, "{:?}", status);
        }
    }
}

#[test]
fn more_starts_than_the_limit_wait_for_their_turn_by_priority() {
    let mut urgent = (*workload(9, 1, None, RestartPolicy::Always)).clone();
    urgent.priority = 5;
    let mut wanted = desired(&(0..8).map(|n| (n, 1, None, RestartPolicy::Always)).collect::<Vec<_>>());
    wanted.workloads.insert(urgent.id.clone(), Arc::new(urgent));
    let mut reconciler = Reconciler::new(Limits { starts: 2, ends: 2 }, &[ExecutorId::Shell]);
    reconciler.handle(Input::Desired(Box::new(wanted)), at(1));
    reconciler.handle(Input::Listed(ExecutorId::Shell, u64::MAX, Ok(Vec::new())), at(1));
    let steps = reconciler.turn(&gates(), at(2)).steps;
    let ids: Vec<String> = steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["default/w9", "default/w0"]);
    assert!(reconciler.turn(&gates(), at(3)).steps.is_empty(), "both are under way");
    let mut handles = 0;
    for step in steps {
        reconciler.handle(perfect(step, &mut handles), at(4));
    }
    assert_eq!(reconciler.turn(&gates(), at(5)).steps.len(), 2, "an outcome makes room");
}

#[test]
fn nothing_is_decided_before_the_executor_was_asked_what_is_there() {
    let mut reconciler = Reconciler::new(Limits::default(), &[ExecutorId::Shell]);
    reconciler.handle(Input::Desired(Box::new(desired(&[(1, 1, None, RestartPolicy::Always)]))), at(1));
    let output = reconciler.turn(&gates(), at(2));
    assert!(output.steps.is_empty() && output.statuses.is_empty(), "{output:?}");
}
