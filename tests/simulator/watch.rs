//! What is remembered of the past to hold the present against it, and the promises that hold at every step.

use std::collections::{BTreeMap, BTreeSet};

use flotta_agent::agent::core::Turn;
use flotta_agent::executor::{ExecutorId, Handle, Phase};
use flotta_agent::gates::StoredTruths;
use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::{Reason, State, WorkloadStatus};
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::Workload;
use flotta_agent::mqtt::external::KEPT_EVENTS;
use flotta_agent::scheduler::plan::{Step, StepAction};

use crate::brain::{CLOCK_FROM, LIMITS};
use crate::machine::EXECUTORS;
use crate::store::MOST_OBJECTS;
use crate::world::World;

/// Runs and pods that may be there at once, ended ones included: two for each name, and those of a change.
const MOST_THINGS: usize = 40;
/// What is left unwritten for longer is late.
pub const SOON_ON_DISK: u64 = 3_000;

/// What a person knows of the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locked {
    #[default]
    No,
    Yes {
        keep: bool,
    },
    /// Asked for, and not heard of.
    Unsure,
}

/// An end of its own.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub at: u64,
    pub marker: u64,
}

/// What was in force, and from where.
#[derive(Clone, Debug)]
pub struct InForce {
    pub marker: u64,
    /// The file and its version; `None`: the server's.
    pub file: Option<(String, u64)>,
}

#[derive(Debug, Default)]
pub struct Watch {
    pub clock_is_odd: bool,
    /// It was, at some time.
    pub clock_was_odd: bool,
    /// Versions that run by a schedule.
    pub by_schedule: BTreeSet<u64>,
    pub asking: Option<Command>,
    pub locked: Locked,
    /// Runs that a person asked for.
    pub asked_for: BTreeSet<WorkloadId>,
    /// Those that may start again without a wait.
    pub excused: BTreeSet<WorkloadId>,
    pub ended: BTreeMap<WorkloadId, Ended>,
    /// How often its gates had fallen when it was started, in which life of the agent.
    falls: BTreeMap<WorkloadId, (u64, u64)>,
    /// When the latest run by schedule was begun, by the wall clock; and that of the latest that really was.
    begun: BTreeMap<WorkloadId, Wall>,
    ran: BTreeMap<WorkloadId, Wall>,
    /// Runs begun and times skipped.
    pub times: BTreeMap<WorkloadId, (u64, u64)>,
    pub in_force: BTreeMap<WorkloadId, InForce>,
    /// Restarts of each, and of which version, before the agent was gone.
    pub restarts: BTreeMap<WorkloadId, (String, u64)>,
    pub books_at: u64,
    pub wished_at: u64,
    pub truths: StoredTruths,
    pub truths_at: u64,
    /// Started before every executor had answered this agent.
    pub too_soon: BTreeSet<WorkloadId>,
    /// Those that run twice for a reason that nobody can help.
    unknowing: BTreeSet<WorkloadId>,
    /// The agent that died had had the time to store what it knew.
    pub stored: bool,
    pub truths_stored: bool,
    /// The start of the agent is over.
    pub recording: bool,
}

impl Watch {
    /// The clock was set: what it showed before says nothing.
    pub fn forget_times(&mut self) {
        self.begun.clear();
        self.ran.clear();
        self.ended.clear();
    }

    /// The machine was asleep for so long: nothing was stored meanwhile.
    pub fn slept(&mut self, ms: u64) {
        for at in [&mut self.books_at, &mut self.truths_at, &mut self.wished_at] {
            *at += ms;
        }
    }

    /// Runs of which nothing is there any more.
    pub fn forget_runs(&mut self, is_there: impl Fn(&WorkloadId) -> bool) {
        self.begun.retain(|id, _| is_there(id));
        self.ran.retain(|id, _| is_there(id));
    }

    /// A run that never was.
    pub fn never_ran(&mut self, id: &WorkloadId) {
        self.ran.remove(id);
    }
}

impl World {
    /// After every step.
    pub fn look(&mut self) {
        self.tally.checks += 1;
        let mut seen: Vec<&WorkloadId> = Vec::with_capacity(16);
        let mut double = None;
        for (_, thing) in self.machine.running() {
            if seen.contains(&&thing.id) {
                double = Some(thing.id.clone());
            }
            seen.push(&thing.id);
        }
        if double.is_none() && !self.watch.unknowing.is_empty() {
            self.watch.unknowing.clear();
        }
        if let Some(id) = double.filter(|id| !self.could_not_know(id)) {
            let of = |(handle, thing): (&Handle, &crate::machine::Thing)| {
                format!("{} v{} {:?}", handle.0, thing.marker, thing.phase)
            };
            let all: Vec<String> = self.machine.running().filter(|(_, thing)| thing.id == id).map(of).collect();
            self.fail(format!("{id} runs twice: {}", all.join(", ")));
        }
        if let Some(id) = self.machine.removed_running.take() {
            self.fail(format!("{id} was removed while it ran"));
        }
        if self.tally.checks.is_multiple_of(32) {
            self.look_at_queues();
        }
    }

    /// Open (found.md, seeds 338 and 1033): a workload whose kind was changed while the executor of before has not answered this
    /// agent yet. Whether it runs there nobody knows.
    fn could_not_know(&mut self, id: &WorkloadId) -> bool {
        let mut by: Vec<ExecutorId> =
            self.machine.running().map(|(_, thing)| thing).filter(|t| t.id == *id).map(|t| t.by).collect();
        let all = by.len();
        by.dedup();
        let asked = self.agent.as_ref().is_some_and(|agent| by.iter().all(|by| agent.answered.contains(by)));
        let too_soon = self.watch.too_soon.contains(id);
        if all == 2 && by.len() == 2 && (!asked || too_soon) {
            self.watch.unknowing.insert(id.clone());
        }
        self.watch.unknowing.contains(id)
    }

    fn look_at_queues(&mut self) {
        let (things, objects, calls) = (self.machine.things.len(), self.store.objects(), self.calls.len());
        self.tally.queue("runs and pods", things);
        self.tally.queue("objects to store", objects);
        self.tally.queue("calls", calls);
        if things > MOST_THINGS {
            self.fail(format!("{things} runs and pods are left on the device"));
        }
        if objects > MOST_OBJECTS {
            self.fail(format!("{objects} objects are to be stored"));
        }
        let Some(agent) = &self.agent else { return };
        let (events, statuses) = (agent.line.outlet.counts().waiting, agent.statuses.len());
        let late = self.store.late(self.clock.now, SOON_ON_DISK);
        self.tally.queue("statuses", statuses);
        if events > KEPT_EVENTS {
            self.fail(format!("{events} events wait for the broker"));
        }
        if statuses > 16 {
            self.fail(format!("{statuses} workloads have a status"));
        }
        if let Some(name) = late {
            self.fail(format!("{name} was to be stored {SOON_ON_DISK} ms ago, and the disk is well"));
        }
    }

    /// A step is begun.
    pub fn check_begun(&mut self, step: &Step) {
        let wall = self.clock.wall();
        let ends = |action: &StepAction| !matches!(action, StepAction::Start(..) | StepAction::Resume(..));
        let same = |call: &&crate::calls::Call| {
            call.life == self.life
                && !call.is_over()
                && call.step.executor == step.executor
                && ends(&call.step.action) == ends(&step.action)
        };
        let at_once = self.calls.values().filter(same).count();
        let most = if ends(&step.action) { LIMITS.ends } else { LIMITS.starts };
        if at_once >= most {
            self.fail(format!("more than {most} operations at once"));
        }
        let Some(agent) = &mut self.agent else { return };
        if !agent.at_work.insert(step.id.clone()) {
            return self.fail(format!("two operations at once on {}", step.id));
        }
        if matches!(step.action, StepAction::Stop(_)) {
            self.watch.excused.insert(step.id.clone());
        }
        if ends(&step.action) {
            return;
        }
        if matches!(self.watch.locked, Locked::Yes { .. }) {
            return self.fail(format!("{} is started, and the device is locked", step.id));
        }
        let Some(desired) = self.agent.as_ref().and_then(|agent| agent.brain.desired.workloads.get(&step.id).cloned())
        else {
            return self.fail(format!("{} is started, and nobody wants it", step.id));
        };
        if let StepAction::Start(workload, _) = &step.action {
            let answered = self.agent.as_ref().map_or(0, |agent| agent.answered.len());
            if answered < EXECUTORS.len() {
                self.watch.too_soon.insert(step.id.clone());
            }
            if workload.hash != desired.hash {
                return self.fail(format!("{} is started in a version that is not the one that is wanted", step.id));
            }
            if workload.cron.is_some() {
                self.watch.begun.insert(step.id.clone(), wall);
                self.watch.times.entry(step.id.clone()).or_default().0 += 1;
                // The run before waits for nothing: should this one have to be resumed, that is no start of it.
                self.watch.ended.remove(&step.id);
                return;
            }
        }
        self.check_waited(&desired);
        if let (StepAction::Start(..), Some(agent)) = (&step.action, &self.agent) {
            let falls = agent.brain.gates.falls(&desired.gates);
            self.watch.falls.insert(step.id.clone(), (self.life, falls));
        }
    }

    /// What ended by itself waits before it is started again.
    fn check_waited(&mut self, desired: &Workload) {
        let Some(ended) = self.watch.ended.remove(&desired.id) else { return };
        let excused = self.watch.excused.remove(&desired.id) || self.watch.clock_is_odd;
        let falls = self.agent.as_ref().map_or(0, |agent| agent.brain.gates.falls(&desired.gates));
        // A fall since it was started asks for a new run, whether a plan saw it or not.
        let at_start =
            self.watch.falls.get(&desired.id).filter(|(life, _)| *life == self.life).map_or(0, |(_, falls)| *falls);
        let fell = at_start != falls;
        if excused || fell || Some(ended.marker) != crate::machine::marker(desired) {
            return;
        }
        let least = u64::try_from(desired.retry.interval(1, 0).as_millis()).unwrap_or(u64::MAX);
        let waited = self.clock.now - ended.at;
        // The wall clock counts milliseconds, and both ends of the wait are rounded.
        if waited + 5 < least {
            self.fail(format!(
                "{} ended by itself and is started again after {waited} ms; its retry is {least} ms",
                desired.id
            ));
        }
    }

    /// Something runs that did not before.
    pub fn check_started(&mut self, workload: &Workload) {
        let id = &workload.id;
        let marker = crate::machine::marker(workload);
        let Some(marker) = marker.filter(|marker| self.operator.written.contains(&(id.name().to_owned(), *marker)))
        else {
            return self.fail(format!("{id} runs in a version that nobody ever wanted: {marker:?}"));
        };
        let Some(cron) = &workload.cron else { return };
        self.watch.by_schedule.insert(marker);
        let asked = self.watch.asked_for.remove(id);
        let Some(begun) = self.watch.begun.get(id).copied() else { return };
        let before = self.watch.ran.insert(id.clone(), begun);
        if let Some(before) = before
            && !asked
            && !self.watch.clock_is_odd
            && begun >= CLOCK_FROM
            && cron.schedule.next(before).is_none_or(|next| next > begun)
        {
            self.fail(format!(
                "{id} runs a second time for one time of its schedule: at {} and at {}",
                before.rfc3339(),
                begun.rfc3339()
            ));
        }
    }

    pub fn note_end(&mut self, handle: &Handle) {
        let now = self.clock.now;
        let Some(thing) = self.machine.things.get(handle) else { return };
        let Some(agent) = &self.agent else { return };
        if !agent.brain.desired.workloads.contains_key(&thing.id) {
            return;
        }
        let ended = Ended { at: now, marker: thing.marker };
        // The wait counts from the first end: of a later one of the same pod nobody may have heard.
        let at_once = matches!(thing.phase, Phase::Ended(_)) && thing.containers == 1;
        if at_once || !self.watch.ended.contains_key(&thing.id) {
            self.watch.ended.insert(thing.id.clone(), ended);
        }
        // Of what it takes for stopped (a stop was reported that did not take place), it hears with the next list.
        // What it has told to end, it takes for ended by that, also where the stop was reported as failed.
        let ends = [Reason::Stopping, Reason::StopFailed];
        let is_gone = |status: &WorkloadStatus| status.state == State::Inactive || ends.contains(&status.reason);
        let thinks_gone = agent.statuses.get(&thing.id).is_some_and(is_gone);
        if !agent.at_work.contains(&thing.id) && !thinks_gone {
            self.watch.excused.remove(&thing.id);
        }
    }

    /// What a turn says is true.
    pub fn check_turn(&mut self, turn: &Turn) {
        let Some(agent) = &mut self.agent else { return };
        let mut wrong = None;
        for event in &turn.output.events {
            if agent.seq.is_some_and(|last| event.seq != last + 1) {
                wrong = Some(format!("event {} follows {:?}", event.seq, agent.seq));
            }
            agent.seq = Some(event.seq);
        }
        for (id, status) in &turn.output.statuses {
            let Some(status) = status else { continue };
            if let Some((hash, restarts)) = self.watch.restarts.remove(id)
                && status.hash == hash
                && status.restarts < restarts
            {
                wrong =
                    Some(format!("{id} had {restarts} restarts, and after the agent's own it has {}", status.restarts));
            }
            if status.state == State::Inactive {
                self.watch.excused.insert(id.clone());
            }
            wrong = wrong.or_else(|| unfounded(agent, id, status));
        }
        for (id, _, _) in &turn.output.skipped {
            self.watch.times.entry(id.clone()).or_default().1 += 1;
        }
        if !turn.profiles.is_empty() {
            self.watch.truths = agent.brain.gates.truths();
            self.watch.truths_at = self.clock.now;
        }
        if let Some(why) = wrong {
            if std::env::var("SIM_MIND").is_ok() {
                eprintln!("{:#?}", agent.brain.core);
            }
            self.fail(why);
        }
        self.check_conditions(&turn.profiles);
    }

    /// Now and then: a second turn at the same moment brings nothing.
    pub fn check_nothing_left(&mut self) {
        let now = self.clock.read();
        let Some(agent) = &mut self.agent else { return };
        let turn = agent.brain.turn(now);
        let output = turn.output;
        if !output.steps.is_empty() || !output.statuses.is_empty() || !output.events.is_empty() {
            let what = format!("{:?} {:?}", output.steps, output.statuses);
            self.fail(format!("a second turn at the same moment brings something new: {what}"));
        }
    }
}

/// What a status says without having been told.
fn unfounded(agent: &crate::agent::Agent, id: &WorkloadId, status: &WorkloadStatus) -> Option<String> {
    let evidence = &agent.evidence;
    let founded = match (status.state, status.reason) {
        (State::Running, Reason::Running | Reason::Adopted) | (State::Degraded, _) => evidence.runs(id),
        (State::Stopped | State::Exited, _) => evidence.ended(id),
        (State::Ready, Reason::BackOff) => evidence.ended(id) || status.last_exit_code.is_some(),
        _ => true,
    };
    (!founded).then(|| {
        format!(
            "{id} is said to be {:?}/{:?}, and nobody told ({:?}): {}",
            status.state,
            status.reason,
            evidence.of(id),
            status.message
        )
    })
}
