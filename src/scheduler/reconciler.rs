//! The loop's state: takes inputs in, hands steps, statuses and events out. Synchronous and without a clock; whoever drives
//! it (the agent, the simulator) calls [`Reconciler::handle`] for what happened, then [`Reconciler::turn`] once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::executor::{ExecutorError, ExecutorEvent, ExecutorId, Instance};
use crate::gates::Gates;
use crate::model::desired::Desired;
use crate::model::id::WorkloadId;
use crate::model::status::{Event, Reason, WorkloadStatus};
use crate::model::time::{Mono, Now, Wall};

use super::book::{Book, Operation, Seen};
use super::decide::{Lock, Reach, Reaches};
use super::memory::{Memory, StoredBooks};
use super::message::{Facts, Sky};
use super::plan::{Limits, Plan, Step, StepAction, World, plan};
use super::times::{Hands, Skipped, Times};

mod asked;
mod heard;
mod said;

use said::say;

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
    /// Times of schedules that were skipped: whose, which, why.
    pub skipped: Vec<(WorkloadId, Wall, Skipped)>,
    /// What has to survive the agent, if it changed.
    pub remember: Option<StoredBooks>,
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
    lock: Option<Lock>,
    /// Before this the wall clock is not believed.
    not_before: Wall,
    /// Both clocks at the last turn.
    last: Option<Now>,
    /// Of before a restart, until its workload is desired.
    recalled: BTreeMap<WorkloadId, Memory>,
    same_boot: bool,
    boot: String,
    seed: u64,
    /// A book that had something to remember was closed.
    forgot: bool,
}

/// A wall clock that goes off by more than this, in ms, between two turns was set.
const STEP: i64 = 1_000;

/// A book and what was last said of it.
#[derive(Debug)]
struct Page {
    book: Book,
    said: Option<(Facts, WorkloadStatus)>,
    kept: Option<Memory>,
    /// Its schedule was held against the clock before.
    timed: bool,
}

impl Page {
    fn new(id: &WorkloadId) -> Page {
        Page { book: Book::new(id.clone()), said: None, kept: None, timed: false }
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
            lock: None,
            not_before: Wall(i64::MIN),
            last: None,
            recalled: BTreeMap::new(),
            same_boot: false,
            boot: String::new(),
            seed: 0,
            forgot: false,
        }
    }

    /// With what was remembered before a restart, and which boot this is.
    #[must_use]
    pub fn remembering(mut self, stored: StoredBooks, lock: Option<Lock>, boot: &str) -> Reconciler {
        self.same_boot = !boot.is_empty() && stored.boot == boot;
        boot.clone_into(&mut self.boot);
        self.recalled = stored.workloads;
        self.lock = lock;
        self
    }

    /// Schedules wait until the wall clock shows at least this.
    #[must_use]
    pub fn with_clock_from(mut self, not_before: Wall) -> Reconciler {
        self.not_before = not_before;
        self
    }

    /// Randomised waits of this device differ from those of one with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Reconciler {
        self.seed = seed;
        self
    }

    /// Whether and how the device is locked.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        self.lock
    }

    /// Holds the schedules against the clock.
    fn tell_time(&mut self, now: Now, output: &mut Output) {
        let stepped = self.last.replace(now).map_or(0, |last| now.set_since(last));
        let stepped = if stepped.abs() < STEP { 0 } else { stepped };
        if self.shutting_down {
            // What comes from here on is for the next agent: one that was not there.
            return;
        }
        let (plausible, locked) = (now.wall >= self.not_before, self.lock.is_some());
        for page in self.books.values_mut() {
            let Page { book, timed, .. } = page;
            let cron = book.desired.as_ref().and_then(|workload| workload.cron.as_ref());
            let Some(cron) = cron else { continue };
            let runs = book.operation.is_some_and(|(operation, _)| operation == Operation::Start)
                || book.instances.iter().any(Seen::runs);
            let answers = book.executor().is_some_and(|executor| self.answered.contains(&executor));
            let known = answers && book.uncertain.is_none();
            let (first, begun, last_run) = (!*timed, book.begun, book.last_run);
            let hands = Hands { now, plausible, stepped, first, runs, known, begun, locked, last_run };
            let Some(times) = &mut book.times else { continue };
            let before = times.skips;
            times.advance(cron, &hands);
            *timed |= plausible;
            if let (true, Some((at, why))) = (times.skips > before, times.skipped) {
                output.skipped.push((book.id.clone(), at, why));
            }
        }
    }

    /// What goes on under a lock is not asked for again since its gates fell meanwhile.
    fn suspend_gates(&mut self, gates: &Gates) {
        for Page { book, .. } in self.books.values_mut() {
            let Some(workload) = &book.desired else { continue };
            if book.falls.is_some() && book.instances.iter().any(Seen::runs) {
                book.falls = Some(gates.falls(&workload.gates));
            }
        }
    }

    /// What changed of what has to survive.
    fn remember(&mut self) -> Option<StoredBooks> {
        let mut changed = false;
        for page in self.books.values_mut() {
            let same = match &page.kept {
                Some(kept) => kept.is_of(&page.book),
                None => Memory::is_nothing(&page.book),
            };
            if !same {
                page.kept = Memory::of(&page.book);
                changed = true;
            }
        }
        if !std::mem::take(&mut self.forgot) && !changed {
            return None;
        }
        let kept = |(id, page): (&WorkloadId, &Page)| Some((id.clone(), page.kept.clone()?));
        let mut workloads: BTreeMap<WorkloadId, Memory> = self.books.iter().filter_map(kept).collect();
        // A source that has not said its wish yet may still want them.
        for (id, memory) in &self.recalled {
            workloads.entry(id.clone()).or_insert_with(|| memory.clone());
        }
        Some(StoredBooks { boot: self.boot.clone(), workloads })
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
                if matches!(backoff.error, Some((Reason::ImagePull | Reason::VolumeWait, _))) {
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
        if !self.desired_known {
            return output;
        }
        if self.paused {
            // What was under way has its outcome.
            output.remember = self.remember();
            return output;
        }
        self.tell_time(now, &mut output);
        if self.lock.is_some() {
            self.suspend_gates(gates);
        }
        self.books.values_mut().for_each(|page| page.book.note_time(now.mono));
        let Reconciler { limits, reaches, shutting_down, lock, .. } = self;
        let world = World { reaches, shutting_down: *shutting_down, lock: *lock, limits: *limits };
        let Plan { steps, verdicts, wake } = plan(self.books.values().map(|page| &page.book), gates, &world, now);
        output.wake = wake;
        if !self.planned && self.reaches.values().all(|reach| *reach != Reach::Unasked) {
            self.planned = true;
            self.forgot |= !self.recalled.is_empty();
            self.recalled.clear();
        }
        for step in &steps {
            if let Some(page) = self.books.get_mut(&step.id) {
                begin(&mut page.book, step, gates);
            }
        }
        output.steps = steps;
        let seq = &mut self.seq;
        let mut gone = Vec::new();
        let sky = Sky { reaches: &self.reaches, gates, lock: self.lock, not_before: self.not_before };
        for (page, verdict) in self.books.values_mut().zip(verdicts) {
            say(page, &verdict, &sky, now, seq, &mut output);
            if page.book.is_blank() {
                gone.push(page.book.id.clone());
            }
        }
        for id in gone {
            self.forgot |= self.books.remove(&id).is_some_and(|page| page.kept.is_some());
        }
        output.remember = self.remember();
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
            let page = self.books.entry(id.clone()).or_insert_with(|| Page::new(&id));
            page.book.luck = luck(self.seed, &id);
            let hash = workload.hash.clone();
            let other = page.book.desired.as_ref().is_none_or(|before| before.hash != hash);
            page.book.set_desired(Some(workload), now);
            // One that two sources want is first seen as the one says it, and then as the other does.
            if let Some(memory) = self.recalled.get(&id).filter(|_| other).cloned() {
                page.book.changed_away = memory.hash != hash;
                if memory.hash == hash {
                    self.recalled.remove(&id);
                }
                page.kept = Some(memory.clone());
                memory.recall(&mut page.book, self.same_boot);
            }
        }
    }
}

fn begin(book: &mut Book, step: &Step, gates: &Gates) {
    let operation = match &step.action {
        StepAction::Resume(..) => Operation::Resume,
        StepAction::Limit(..) => Operation::Limit,
        StepAction::Start(workload, _) => {
            book.falls = Some(gates.falls(&workload.gates));
            book.asked = false;
            book.begun = book.times.as_mut().and_then(Times::begin);
            book.retry_heard = false;
            book.running_since = None;
            Operation::Start
        }
        StepAction::Stop(_) => Operation::Stop,
        StepAction::Remove(_) => Operation::Remove,
    };
    book.operation = Some((operation, step.executor));
}

/// Where in its share a randomised wait of this workload falls on this device.
fn luck(seed: u64, id: &WorkloadId) -> u64 {
    // FNV-1a: the same in every release and on every machine.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    id.to_string().bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, step)
}
