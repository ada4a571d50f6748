//! The simulated device: a clock, an executor with faults, and whoever changes metrics and manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::models;
use flotta_agent::executor::{End, ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::gates::{Gate, Gates, Settings};
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::profile::{ConditionRef, ConditionSpec, ProfileRef, ProfileSpec};
use flotta_agent::model::status::{Reason, State, WorkloadStatus};
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, ShellSpec, SpecHash, Workload};
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Outcome;
use flotta_agent::scheduler::{Input, Limits, Reconciler};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub starts: u64,
    pub stops: u64,
    pub faults: u64,
    pub turns: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.starts += other.starts;
        self.stops += other.stops;
        self.faults += other.faults;
        self.turns += other.turns;
    }
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

enum Due {
    Reach(Box<Input>),
    Finish(Step),
    Die(Handle),
    Metric,
    Manifests,
    Relist,
}

pub struct World {
    dice: Dice,
    now: u64,
    queue: BTreeMap<(u64, u64), Due>,
    order: u64,
    reconciler: Reconciler,
    gates: Gates,
    desired: BTreeMap<WorkloadId, Arc<Workload>>,
    ever_desired: BTreeSet<SpecHash>,
    instances: BTreeMap<Handle, Instance>,
    busy: BTreeSet<WorkloadId>,
    statuses: BTreeMap<WorkloadId, WorkloadStatus>,
    handles: u64,
    versions: u64,
    faulty: bool,
    pub tally: Tally,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut gates = Gates::new(Settings::default());
        let condition = |name: &str, expression: &str, hold_off, hold| ConditionSpec {
            name: name.into(),
            expression: expression.into(),
            hold_off: Duration::from_secs(hold_off),
            hold: Duration::from_secs(hold),
        };
        let profile = ProfileSpec {
            name: "load".into(),
            conditions: vec![
                condition("low", "x < 5", 0, 0),
                condition("slow", "x >= 5 && y < 5", 3, 2),
                condition("unset", "y == nil", 0, 1),
            ],
        };
        gates.set_profiles(&[profile], at(0));
        let mut world = World {
            dice: Dice(seed),
            now: 1,
            queue: BTreeMap::new(),
            order: 0,
            reconciler: Reconciler::new(Limits { starts: 3, ends: 3 }, &[ExecutorId::Shell]),
            gates,
            desired: BTreeMap::new(),
            ever_desired: BTreeSet::new(),
            instances: BTreeMap::new(),
            busy: BTreeSet::new(),
            statuses: BTreeMap::new(),
            handles: 0,
            versions: 0,
            faulty: true,
            tally: Tally::default(),
        };
        world.leftovers();
        world.later(0, Due::Manifests);
        world.later(0, Due::Relist);
        world.later(5, Due::Metric);
        world
    }

    /// Runs of an agent before this one, wanted or not.
    fn leftovers(&mut self) {
        for name in NAMES.iter().take(2) {
            if self.dice.one_in(2) {
                let workload = self.workload(name);
                self.put(&workload);
                self.ever_desired.insert(workload.hash.clone());
            }
        }
    }

    fn later(&mut self, after: u64, due: Due) {
        self.order += 1;
        self.queue.insert((self.now + after, self.order), due);
    }

    fn workload(&mut self, name: &str) -> Workload {
        self.versions += 1;
        let conditions: Vec<ConditionRef> = ["low", "slow", "unset"]
            .iter()
            .filter(|_| self.dice.one_in(2))
            .map(|name| ConditionRef { name: (*name).into(), cpu_quota_us: None })
            .collect();
        let gated = self.dice.one_in(2);
        let restart =
            [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never][self.dice.below(3) as usize];
        let payload = match self.dice.one_in(12) {
            true => Payload::Invalid("says nothing that could be run".into()),
            false => Payload::Shell(ShellSpec {
                argv: vec!["x".into()],
                env: BTreeMap::new(),
                working_dir: None,
                user: None,
                grace: Duration::from_secs(1),
            }),
        };
        let gates = if gated { vec![ProfileRef { name: "load".into(), conditions }] } else { Vec::new() };
        Workload { gates, ..models::workload(name, self.versions, Kind::Shell, payload, restart) }
    }

    fn put(&mut self, workload: &Workload) -> Instance {
        self.handles += 1;
        let instance = Instance {
            id: workload.id.clone(),
            hash: workload.hash.clone(),
            handle: Handle(format!("h{:06}", self.handles).into()),
            phase: Phase::Running,
            started_at: at(self.now).wall,
            warnings: Vec::new(),
            look: 0,
            quota: Quota::Fixed,
            in_place: false,
        };
        self.instances.insert(instance.handle.clone(), instance.clone());
        let life = 1 + self.dice.below(60_000);
        if self.faulty && self.dice.one_in(3) {
            self.later(life, Due::Die(instance.handle.clone()));
        }
        instance
    }

    /// Runs for this many occurrences.
    pub fn trouble(&mut self, occurrences: usize) {
        for _ in 0..occurrences {
            self.step();
        }
    }

    /// Faults cease; long enough passes for everything to settle.
    pub fn calm_down(&mut self) {
        self.faulty = false;
        // Nobody changes anything any more; what runs, runs on.
        self.queue.retain(|_, due| !matches!(due, Due::Metric | Due::Manifests | Due::Die(_)));
        let until = self.now + 300_000;
        while self.now < until {
            self.step();
        }
    }

    fn step(&mut self) {
        self.turn();
        let wake = self.wake();
        let next = self.queue.first_key_value().map(|((at, _), _)| *at).unwrap_or(u64::MAX);
        match wake.filter(|wake| wake.0 < next) {
            Some(wake) => self.now = self.now.max(wake.0),
            None => {
                let Some(((when, _), due)) = self.queue.pop_first() else { return };
                self.now = self.now.max(when);
                self.happen(due);
            }
        }
    }

    fn wake(&mut self) -> Option<Mono> {
        let output = self.reconciler.turn(&self.gates, at(self.now));
        assert!(output.steps.is_empty(), "once the steps are begun, the next plan has none: {:?}", output.steps);
        let deadline = self.gates.next_deadline();
        match (output.wake, deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn turn(&mut self) {
        self.tally.turns += 1;
        self.gates.advance(at(self.now));
        let output = self.reconciler.turn(&self.gates, at(self.now));
        for (id, status) in output.statuses {
            match status {
                Some(status) => self.statuses.insert(id, status),
                None => self.statuses.remove(&id),
            };
        }
        for step in output.steps {
            assert!(self.busy.insert(step.id.clone()), "two operations at once on {}", step.id);
            let slow = if self.faulty && self.dice.one_in(10) { 20_000 } else { 50 };
            let takes = 1 + self.dice.below(slow);
            self.later(takes, Due::Finish(step));
        }
        if !output.relist.is_empty() {
            self.list();
        }
        self.check();
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Reach(input) => {
                if let Input::Done(step, _) = &*input {
                    self.busy.remove(&step.id);
                }
                self.reconciler.handle(*input, at(self.now));
            }
            Due::Finish(step) => self.finish(step),
            Due::Die(handle) => self.die(&handle),
            Due::Relist => {
                self.list();
                self.later(30_000, Due::Relist);
            }
            Due::Metric => {
                let name = if self.dice.one_in(2) { "x" } else { "y" };
                let value = (!self.dice.one_in(6)).then(|| self.dice.below(10) as f64);
                let ttl = self.dice.one_in(4).then(|| Duration::from_millis(1 + self.dice.below(5_000)));
                let update = MetricUpdate { name: name.into(), value, unit: None, timestamp: None, ttl };
                self.gates.apply(&[update], MetricSource::Mqtt, at(self.now)).expect("taken");
                let after = 1 + self.dice.below(4_000);
                self.later(after, Due::Metric);
            }
            Due::Manifests => self.edit(),
        }
    }

    fn edit(&mut self) {
        let name = NAMES[self.dice.below(NAMES.len() as u64) as usize];
        let id = WorkloadId::try_new("default", name).expect("a name");
        if self.dice.one_in(4) {
            self.desired.remove(&id);
        } else {
            let workload = Arc::new(self.workload(name));
            self.ever_desired.insert(workload.hash.clone());
            self.desired.insert(id, workload);
        }
        let desired = Desired { workloads: self.desired.clone(), ..Desired::default() };
        self.reconciler.handle(Input::Desired(Box::new(desired)), at(self.now));
        let after = 1 + self.dice.below(40_000);
        self.later(after, Due::Manifests);
    }

    fn fault(&mut self, n: u64) -> bool {
        let fault = self.faulty && self.dice.one_in(n);
        self.tally.faults += u64::from(fault);
        fault
    }

    fn list(&mut self) {
        let ticket = self.reconciler.ticket();
        let listed = match self.fault(8) {
            true => Err(error(Reason::ExecutorUnreachable)),
            false => Ok(self.instances.values().cloned().collect()),
        };
        let after = 1 + self.dice.below(30);
        self.later(after, Due::Reach(Box::new(Input::Listed(ExecutorId::Shell, ticket, listed))));
    }

    fn finish(&mut self, step: Step) {
        let result = match step.action.clone() {
            _ if self.fault(10) => Err(error(Reason::StartFailed)),
            StepAction::Start(workload, _) => {
                self.tally.starts += 1;
                let instance = self.put(&workload);
                match self.fault(12) {
                    true => Err(error(Reason::StartFailed)),
                    false => Ok(Outcome::Started(instance)),
                }
            }
            StepAction::Stop(handle) => {
                self.tally.stops += 1;
                let end = end(143, self.now);
                if let Some(instance) = self.instances.get_mut(&handle) {
                    instance.phase = Phase::Ended(end.clone());
                    instance.look = 1;
                }
                Ok(Outcome::Stopped(end))
            }
            StepAction::Remove(handle) => {
                let runs = self.instances.get(&handle).is_some_and(|instance| instance.phase == Phase::Running);
                assert!(!runs, "a running one was removed");
                self.instances.remove(&handle);
                Ok(Outcome::Removed)
            }
            StepAction::Resume(..) | StepAction::Limit(..) => unreachable!("not for runs that cannot do it"),
        };
        let after = self.dice.below(5);
        self.later(after, Due::Reach(Box::new(Input::Done(step, result))));
    }

    fn die(&mut self, handle: &Handle) {
        let code = if self.dice.one_in(2) { 0 } else { 3 };
        let now = self.now;
        let Some(instance) = self.instances.get_mut(handle).filter(|i| i.phase == Phase::Running) else { return };
        instance.phase = Phase::Ended(end(code, now));
        instance.look = 1;
        let told = instance.clone();
        let times = if self.fault(10) { 0 } else { 1 + u64::from(self.fault(10)) };
        for _ in 0..times {
            let after = self.dice.below(20);
            let event = ExecutorEvent::Changed(told.clone());
            self.later(after, Due::Reach(Box::new(Input::Told(ExecutorId::Shell, event))));
        }
    }

    fn check(&self) {
        let mut running = BTreeSet::new();
        for instance in self.instances.values().filter(|instance| instance.phase == Phase::Running) {
            assert!(running.insert(&instance.id), "{} runs twice at {} ms", instance.id, self.now);
            assert!(self.ever_desired.contains(&instance.hash), "{} was never desired", instance.id);
        }
    }

    pub fn check_converged(&mut self) {
        self.turn();
        let runs: BTreeMap<&WorkloadId, &Instance> =
            self.instances.values().filter(|i| i.phase == Phase::Running).map(|i| (&i.id, i)).collect();
        for (id, workload) in &self.desired {
            let status = self.statuses.get(id).unwrap_or_else(|| panic!("{id} has no status"));
            let open = matches!(self.gates.gate(&workload.gates), Gate::Open { .. });
            let valid = !matches!(workload.payload, Payload::Invalid(_));
            let instance = runs.get(id);
            match status.state {
                State::Running => {
                    let instance = instance.unwrap_or_else(|| panic!("{id} is said to run and does not: {status:?}"));
                    assert!(open && valid && instance.hash == workload.hash, "{id}: {status:?}");
                }
                State::Inactive => assert!(!open && instance.is_none(), "{id}: {status:?}"),
                State::Error => assert!(!valid && instance.is_none(), "{id}: {status:?}"),
                State::Stopped | State::Exited => {
                    assert!(
                        open && instance.is_none() && workload.restart != RestartPolicy::Always,
                        "{id}: {status:?}"
                    );
                }
                other => panic!("{id} has not settled but is {other:?}: {status:?}"),
            }
        }
        for id in runs.keys() {
            assert!(self.desired.contains_key(*id), "{id} runs and nobody wants it");
        }
        assert_eq!(
            self.statuses.keys().collect::<Vec<_>>(),
            self.desired.keys().collect::<Vec<_>>(),
            "a status for each that is wanted, and for no other"
        );
    }
}

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_790_000_000_000 + ms as i64) }
}

fn end(code: i32, now: u64) -> End {
    End {
        code: Some(code),
        at: at(now).wall,
        how: format!("exit code {code}"),
        tail: String::new(),
        cut_off: false,
        stopped: code == 143,
    }
}

fn error(reason: Reason) -> ExecutorError {
    ExecutorError { reason, message: "a fault".into() }
}
