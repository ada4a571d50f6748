//! The plan: the decision of every workload, within the limits on what goes on at once.

use std::collections::BTreeMap;

use crate::executor::{ExecutorId, Handle};
use crate::gates::{Gate, Gates};
use crate::model::id::WorkloadId;
use crate::model::time::{Mono, Now};
use crate::model::workload::{RestartPolicy, SharedWorkload};

use super::book::{Book, Operation};
use super::decide::{Action, Lock, Reaches, Situation, Verdict, decide};

/// How much goes on at once. Starts and ends (with changes of quota) are bounded apart, so that slow ends do not hold starts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Starts, in place too, under way at once, of each executor.
    pub starts: usize,
    /// Stops, removals and changes of quota under way at once, of each executor.
    pub ends: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { starts: 16, ends: 64 }
    }
}

/// Everything a plan rests on besides the books and the gates.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Whether each executor can be asked.
    pub reaches: &'a Reaches,
    /// The agent stops and takes its workloads along.
    pub shutting_down: bool,
    /// Nothing is started until the device is unlocked.
    pub lock: Option<Lock>,
    /// How much goes on at once.
    pub limits: Limits,
}

/// One operation, to be begun now.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Of which workload.
    pub id: WorkloadId,
    /// By which executor.
    pub executor: ExecutorId,
    /// What.
    pub action: StepAction,
}

/// [`Action`] with what the executor needs for it.
#[derive(Clone, Debug, PartialEq)]
pub enum StepAction {
    /// Start one copy of this, held to a CPU quota.
    Start(SharedWorkload, Option<u32>),
    /// Go on with its start, or start again in place what is down of it and may be by this policy.
    Resume(Handle, SharedWorkload, RestartPolicy),
    /// Hold this one to a CPU quota, or lift it.
    Limit(Handle, Option<u32>),
    /// Ask this one to end.
    Stop(Handle),
    /// Take away what is left of this one.
    Remove(Handle),
}

impl StepAction {
    /// It ends something, or takes away what is left.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, StepAction::Stop(_) | StepAction::Remove(_))
    }
}

/// What is done now, what is said, and when to plan again even if nothing happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they are begun: ends, then starts by priority and name.
    pub steps: Vec<Step>,
    /// The verdict of each book, in the books' order.
    pub verdicts: Vec<Verdict>,
    /// The earliest time at which something is due.
    pub wake: Option<Mono>,
}

/// Plans. Pure: the same books, gates, world and time give the same plan, whatever order they came in.
#[must_use]
pub fn plan<'a>(books: impl ExactSizeIterator<Item = &'a Book>, gates: &Gates, world: &World<'_>, now: Now) -> Plan {
    let mut verdicts = Vec::with_capacity(books.len());
    let (mut ends, mut starts) = (Vec::new(), Vec::new());
    // Counted by executor: one that hangs holds up nothing but its own.
    let (mut ending, mut starting) = (Count::new(), Count::new());
    let mut wake: Option<Mono> = None;
    for book in books {
        match book.operation {
            Some((Operation::Start | Operation::Resume, executor)) => *starting.entry(executor).or_default() += 1,
            Some((_, executor)) => *ending.entry(executor).or_default() += 1,
            None => {}
        }
        let (gate, falls) = match &book.desired {
            Some(workload) => (gates.gate(&workload.gates), gates.falls(&workload.gates)),
            None => (Gate::Open { cpu_quota_us: None }, 0),
        };
        let World { reaches, shutting_down, lock, .. } = *world;
        let verdict = decide(&Situation { book, gate, falls, reaches, shutting_down, lock, now });
        wake = earlier(wake, verdict.wake);
        let step = |executor, action| Step { id: book.id.clone(), executor, action };
        match (&verdict.action, &book.desired) {
            (Some(Action::Start(quota)), Some(workload)) => {
                let executor = ExecutorId::of(workload.kind, workload.rootless);
                starts.push((workload.priority, step(executor, StepAction::Start(workload.clone(), *quota))));
            }
            (Some(Action::Resume(by, handle, policy)), Some(workload)) => {
                starts.push((
                    workload.priority,
                    step(*by, StepAction::Resume(handle.clone(), workload.clone(), *policy)),
                ));
            }
            (Some(Action::Limit(by, handle, quota)), _) => {
                ends.push(step(*by, StepAction::Limit(handle.clone(), *quota)));
            }
            (Some(Action::Stop(by, handle)), _) => ends.push(step(*by, StepAction::Stop(handle.clone()))),
            (Some(Action::Remove(by, handle)), _) => ends.push(step(*by, StepAction::Remove(handle.clone()))),
            (Some(Action::Start(_) | Action::Resume(..)), None) | (None, _) => {}
        }
        verdicts.push(verdict);
    }
    // What does not fit waits for an outcome, and an outcome makes a new plan.
    ends.retain(|step| fits(&mut ending, step, world.limits.ends));
    starts.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    let starts = starts.into_iter().map(|(_, step)| step);
    ends.extend(starts.filter(|step| fits(&mut starting, step, world.limits.starts)));
    Plan { steps: ends, verdicts, wake }
}

/// Operations by executor.
type Count = BTreeMap<ExecutorId, usize>;

fn fits(count: &mut Count, step: &Step, limit: usize) -> bool {
    let count = count.entry(step.executor).or_default();
    let fits = *count < limit;
    *count += usize::from(fits);
    fits
}

pub(super) fn earlier(a: Option<Mono>, b: Option<Mono>) -> Option<Mono> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
