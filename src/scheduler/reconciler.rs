//! The loop's state: takes inputs in, hands steps, statuses and events out. Synchronous and without a clock; whoever drives
//! it (the agent, the simulator) calls [`Reconciler::handle`] for what happened, then [`Reconciler::turn`] once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::executor::{ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance};
use crate::gates::Gates;
use crate::model::desired::Desired;
use crate::model::id::WorkloadId;
use crate::model::status::{Event, Reason, State, WorkloadStatus};
use crate::model::time::{Mono, Now};

use super::book::{Book, Operation, Seen};
use super::decide::{Reach, Reaches, Verdict};
use super::message::{self, Facts};
use super::plan::{Limits, Plan, Step, StepAction, World, plan};

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A source's wish changed; this is all of it.
    Desired(Box<Desired>),
    /// What an executor listed, and the ticket that was drawn when the question was asked ([`Reconciler::ticket`]).
    Listed(ExecutorId, u64, Result<Vec<Instance>, ExecutorError>),
    /// An executor told something by itself.
    Told(ExecutorId, ExecutorEvent),
    /// A step came to its end.
    Done(Step, Result<Outcome, ExecutorError>),
    /// The agent stops and takes its workloads along.
    ShutDown,
    /// The agent stops and leaves its workloads: nothing new is begun.
    Pause,
}

/// What a successful step brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This runs.
    Started(Instance),
    /// What was down of it runs again, or its start went on.
    Resumed(Instance),
    /// It has another CPU quota.
    Limited(Instance),
    /// It has ended, in this way.
    Stopped(crate::executor::End),
    /// Nothing is left of it.
    Removed,
}

/// What follows from a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// To be begun now, each in a task of its own; each comes back as [`Input::Done`].
    pub steps: Vec<Step>,
    /// New statuses; `None`: the workload is gone, clear it.
    pub statuses: Vec<(WorkloadId, Option<WorkloadStatus>)>,
    /// Changes of state, in order.
    pub events: Vec<Event>,
    /// Executors that should be listed again, now.
    pub relist: Vec<ExecutorId>,
    /// The next turn is due then even if nothing happens.
    pub wake: Option<Mono>,
}

/// A quota that could not be told is told again after this time.
const LIMIT_RETRY: Duration = Duration::from_secs(10);

/// The loop's state.
#[derive(Debug)]
pub struct Reconciler {
    limits: Limits,
    desired_known: bool,
    books: BTreeMap<WorkloadId, Page>,
    reaches: Reaches,
    /// Executors that have said what is there: what was there then was not started by this agent.
    answered: BTreeSet<ExecutorId>,
    shutting_down: bool,
    paused: bool,
    planned: bool,
    relist: Vec<ExecutorId>,
    ticket: u64,
    seq: u64,
}

/// A book and what was last said of it.
#[derive(Debug)]
struct Page {
    book: Book,
    said: Option<(Facts, WorkloadStatus)>,
}

impl Page {
    fn new(id: &WorkloadId) -> Page {
        Page { book: Book::new(id.clone()), said: None }
    }
}

impl Reconciler {
    /// Executors that exist in this agent; workloads of others are `error`/NotSupported.
    #[must_use]
    pub fn new(limits: Limits, executors: &[ExecutorId]) -> Reconciler {
        Reconciler {
            limits,
            desired_known: false,
            books: BTreeMap::new(),
            reaches: executors.iter().map(|executor| (*executor, Reach::Unasked)).collect(),
            answered: BTreeSet::new(),
            shutting_down: false,
            paused: false,
            planned: false,
            relist: Vec::new(),
            ticket: 0,
            seq: 0,
        }
    }

    /// Events are numbered from the one after this.
    pub fn start_seq(&mut self, last: u64) {
        self.seq = last;
    }

    /// Drawn before an executor is asked for its list: what happens after it is newer than the list.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Whether anything of ours runs or is under way, as far as is known.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.books
            .values()
            .all(|page| page.book.operation.is_none() && !page.book.instances.iter().any(|seen| seen.runs()))
    }

    /// Whether a plan was made after every executor was asked what is there.
    #[must_use]
    pub fn has_planned(&self) -> bool {
        self.planned
    }

    /// Whether an operation is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.books.values().any(|page| page.book.operation.is_some())
    }

    /// What was last said of each workload.
    pub fn statuses(&self) -> impl Iterator<Item = &WorkloadStatus> {
        self.books.values().filter_map(|page| page.said.as_ref().map(|(_, status)| status))
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.ticket = self.ticket.saturating_add(1);
        match input {
            Input::Desired(desired) => self.set_desired(*desired, now),
            Input::Listed(executor, ticket, Ok(instances)) => self.listed(executor, ticket, instances, now),
            Input::Listed(executor, _, Err(error)) => {
                self.reaches.insert(executor, Reach::Unreachable(error.message));
            }
            Input::Told(executor, ExecutorEvent::Changed(instance)) => {
                let id = instance.id.clone();
                self.touch(&id).observe(executor, instance, now);
            }
            Input::Told(_, ExecutorEvent::Gone(id, handle)) => self.touch(&id).forget(&handle, now),
            Input::Told(_, ExecutorEvent::Retry(id)) => {
                let book = self.touch(&id);
                book.retry_heard = matches!(book.operation, Some((Operation::Start, _)));
                let backoff = &mut book.backoff;
                if matches!(backoff.error, Some((Reason::ImagePull, _))) {
                    backoff.error = None;
                    backoff.until = None;
                }
            }
            Input::Told(executor, ExecutorEvent::Relist) => self.relist.push(executor),
            Input::Done(step, result) => self.done(step, result, now),
            Input::ShutDown => self.shutting_down = true,
            Input::Pause => self.paused = true,
        }
    }

    /// Plans, and says what changed.
    pub fn turn(&mut self, gates: &Gates, now: Now) -> Output {
        let mut output = Output { relist: std::mem::take(&mut self.relist), ..Output::default() };
        if !self.desired_known || self.paused {
            return output;
        }
        let Reconciler { limits, reaches, shutting_down, .. } = self;
        let world = World { reaches, shutting_down: *shutting_down, limits: *limits };
        let Plan { steps, verdicts, wake } = plan(self.books.values().map(|page| &page.book), gates, &world, now.mono);
        output.wake = wake;
        self.planned |= self.reaches.values().all(|reach| *reach != Reach::Unasked);
        for step in &steps {
            if let Some(page) = self.books.get_mut(&step.id) {
                begin(&mut page.book, step, gates);
            }
        }
        output.steps = steps;
        let seq = &mut self.seq;
        let mut gone = Vec::new();
        for (page, verdict) in self.books.values_mut().zip(verdicts) {
            say(page, &verdict, &self.reaches, gates, now, seq, &mut output);
            if page.book.is_blank() {
                gone.push(page.book.id.clone());
            }
        }
        for id in gone {
            self.books.remove(&id);
        }
        output
    }

    fn touch(&mut self, id: &WorkloadId) -> &mut Book {
        let ticket = self.ticket;
        let page = self.books.entry(id.clone()).or_insert_with(|| Page::new(id));
        page.book.touched = ticket;
        &mut page.book
    }

    fn set_desired(&mut self, desired: Desired, now: Now) {
        self.desired_known = true;
        for (id, page) in &mut self.books {
            if !desired.workloads.contains_key(id) {
                page.book.set_desired(None, now);
            }
        }
        for (id, workload) in desired.workloads {
            self.books.entry(id.clone()).or_insert_with(|| Page::new(&id)).book.set_desired(Some(workload), now);
        }
    }

    fn listed(&mut self, executor: ExecutorId, ticket: u64, instances: Vec<Instance>, now: Now) {
        self.reaches.insert(executor, Reach::Reachable);
        // It may not have answered at first.
        let first = self.answered.insert(executor);
        for instance in &instances {
            self.books.entry(instance.id.clone()).or_insert_with(|| Page::new(&instance.id));
        }
        let mut by_id: BTreeMap<WorkloadId, Vec<Instance>> = BTreeMap::new();
        for instance in instances {
            by_id.entry(instance.id.clone()).or_default().push(instance);
        }
        for (id, page) in &mut self.books {
            let book = &mut page.book;
            let there = by_id.remove(id).unwrap_or_default();
            if book.operation.is_some() || book.touched > ticket {
                // Something happened since the question was asked, or goes on: what is gone, or new, its outcome tells. How
                // what is known is, the numbers of the looks put in order.
                let known = |i: &Instance| book.instances.iter().any(|seen| seen.instance.handle == i.handle);
                for instance in there.into_iter().filter(known).collect::<Vec<_>>() {
                    book.observe(executor, instance, now);
                }
                if book.operation.is_none() {
                    self.relist.extend(book.uncertain.filter(|uncertain| *uncertain == executor));
                }
                continue;
            }
            if book.uncertain == Some(executor) {
                book.uncertain = None;
            }
            let gone = |seen: &&Seen| seen.by == executor && !there.iter().any(|i| i.handle == seen.instance.handle);
            let missing: Vec<Handle> =
                book.instances.iter().filter(gone).map(|seen| seen.instance.handle.clone()).collect();
            for handle in missing {
                book.forget(&handle, now);
            }
            for instance in there {
                if first {
                    book.adopted = Some(instance.handle.clone());
                }
                book.observe(executor, instance, now);
            }
        }
    }

    fn done(&mut self, step: Step, result: Result<Outcome, ExecutorError>, now: Now) {
        let book = self.touch(&step.id);
        match result {
            // It runs as before, and nothing but its quota is at stake.
            Ok(Outcome::Limited(instance)) => {
                book.limit_retry = None;
                book.limit_error = None;
                book.observe(step.executor, instance, now);
            }
            Err(error) if matches!(step.action, StepAction::Limit(..)) => {
                book.limit_retry = Some(now.mono.plus(LIMIT_RETRY));
                book.limit_error = Some(error.message);
                book.news = book.news.saturating_add(1);
                self.relist.push(step.executor);
            }
            Err(error) if error.reason == Reason::ImagePull => {
                book.note_waiting(error.reason, error.message, now);
            }
            Ok(outcome) => {
                book.note_success(step.action.is_end());
                match (outcome, step.action) {
                    (Outcome::Started(instance), _) => {
                        book.restarts = book.restarts.saturating_add(u64::from(book.ended_by_itself));
                        book.ended_by_itself = false;
                        book.observe(step.executor, instance, now);
                    }
                    (Outcome::Resumed(instance), _) => {
                        let was_down = book.instances.iter().any(|seen| {
                            seen.instance.handle == instance.handle && !(seen.runs() && seen.down().is_empty())
                        });
                        book.restarts = book.restarts.saturating_add(u64::from(was_down));
                        book.ended_by_itself = false;
                        if was_down && book.adopted.as_ref() == Some(&instance.handle) {
                            book.adopted = None;
                        }
                        let same = |seen: &Seen| {
                            seen.instance.handle == instance.handle && seen.instance.phase == instance.phase
                        };
                        if was_down && book.instances.iter().any(same) {
                            let message = "it was started again, and is as it was".to_owned();
                            book.note_failure(Reason::StartFailed, message, now);
                        }
                        book.observe(step.executor, instance, now);
                    }
                    (Outcome::Stopped(end), StepAction::Stop(handle)) => {
                        let known = book.instances.iter().find(|seen| seen.instance.handle == handle);
                        if let Some(mut instance) = known.map(|seen| seen.instance.clone()) {
                            instance.phase = crate::executor::Phase::Ended(end);
                            // Nothing brings it back: all other news of it are older.
                            instance.look = u64::MAX;
                            book.observe(step.executor, instance, now);
                        }
                    }
                    (_, StepAction::Remove(handle)) => book.forget(&handle, now),
                    (_, _) => {}
                }
            }
            Err(error) if step.action.is_end() => {
                book.note_end_failure(error.message, now);
                book.uncertain = Some(step.executor);
            }
            // No failure of the workload's: whether the executor can be asked, the list tells that is asked for now.
            Err(error) if error.reason == Reason::ExecutorUnreachable => {
                book.note_unreachable(error.message, now);
                book.uncertain = Some(step.executor);
            }
            Err(error) => {
                book.note_failure(error.reason, error.message, now);
                book.uncertain = Some(step.executor);
            }
        }
        let book = self.touch(&step.id);
        book.operation = None;
        let uncertain = book.uncertain;
        self.relist.extend(uncertain);
    }
}

fn begin(book: &mut Book, step: &Step, gates: &Gates) {
    let operation = match &step.action {
        StepAction::Resume(..) => Operation::Resume,
        StepAction::Limit(..) => Operation::Limit,
        StepAction::Start(workload, _) => {
            book.falls = Some(gates.falls(&workload.gates));
            book.retry_heard = false;
            Operation::Start
        }
        StepAction::Stop(_) => Operation::Stop,
        StepAction::Remove(_) => Operation::Remove,
    };
    book.operation = Some((operation, step.executor));
}

/// Says what changed of one workload. What is begun in this turn is said in this turn.
fn say(
    page: &mut Page,
    verdict: &Verdict,
    reaches: &Reaches,
    gates: &Gates,
    now: Now,
    seq: &mut u64,
    out: &mut Output,
) {
    let mut verdict = verdict.clone();
    if page.book.operation.is_some_and(|(operation, _)| operation == Operation::Stop) {
        verdict.say = Some((State::Running, Reason::Stopping));
    }
    let from = page.said.as_ref().map(|(_, status)| status.state);
    let Some((state, reason)) = verdict.say else {
        if page.book.is_blank()
            && let Some((_, last)) = page.said.take()
        {
            out.events.push(event(seq, now, &page.book.id, from, None, None, format!("{} is gone", last.name)));
            out.statuses.push((page.book.id.clone(), None));
        }
        return;
    };
    let facts = Facts::of(&page.book, (state, reason), &verdict, reaches, gates);
    if page.said.as_ref().is_some_and(|(last, _)| *last == facts) {
        return;
    }
    let before = page.said.as_ref().map(|(_, status)| status);
    let Some(status) = message::status(&page.book, &facts, before, reaches, gates, now) else { return };
    let changed = before.is_none_or(|last| (last.state, last.reason) != (state, reason));
    if changed {
        out.events.push(event(seq, now, &page.book.id, from, Some(state), Some(reason), status.message.clone()));
    }
    out.statuses.push((page.book.id.clone(), Some(status.clone())));
    page.said = Some((facts, status));
}

fn event(
    seq: &mut u64,
    now: Now,
    id: &WorkloadId,
    from: Option<State>,
    to: Option<State>,
    reason: Option<Reason>,
    message: String,
) -> Event {
    *seq = seq.saturating_add(1);
    Event {
        seq: *seq,
        time: now.wall,
        namespace: id.namespace().into(),
        name: id.name().into(),
        from,
        to,
        reason,
        message,
    }
}
