//! The reconcile loop: the shell around [`Reconciler`]. It waits for "anything changed, or the next wake-up"; nothing polls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::clock::{self, Alarm, Steps};
use crate::commands::Asked;
use crate::executor::{Executor, ExecutorError, ExecutorEvent, ExecutorId};
use crate::intake::Intake;
use crate::model::command::Command;
use crate::model::status::Reason;
use crate::model::time::Mono;
use crate::node::mounts::Mounts;
use crate::scheduler::Input;
use crate::scheduler::plan::{Step, StepAction};
use crate::scheduler::reconciler::Outcome;
use crate::state::{Counts, Saver};

use super::claims;
use super::core::{Core, News, Save};
use super::memory::Memory;
use super::signals;
use super::sources::Sources;
use super::spaced::Spaced;
use super::voice::Voice;

/// Inputs on their way to the loop; a sender waits when it is full.
pub(super) const INPUTS: usize = 1_024;
/// What events missed is caught by a list, this often (SPEC "Scheduler").
const RELIST: Duration = Duration::from_secs(30);
/// The loop shows that it lives at least this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Hears an executor.
pub(super) async fn forward(id: ExecutorId, mut heard: mpsc::Receiver<ExecutorEvent>, inputs: mpsc::Sender<Input>) {
    while let Some(event) = heard.recv().await {
        if inputs.send(Input::Told(id, event)).await.is_err() {
            return;
        }
    }
}

/// How others reach the loop.
#[derive(Clone)]
pub(super) struct Handle {
    saved: watch::Receiver<Counts>,
    end: mpsc::Sender<End>,
    done: Arc<Notify>,
}

struct End {
    stop: bool,
    grace: Duration,
}

impl Handle {
    /// What was written to disk.
    pub(super) fn saved(&self) -> Counts {
        *self.saved.borrow()
    }

    /// Ends the loop: with `stop`, when no workload runs any more; else when no operation is under way; at most after `grace`.
    pub(super) async fn end(&self, stop: bool, grace: Duration) {
        let done = self.done.notified();
        if self.end.send(End { stop, grace }).await.is_ok() {
            done.await;
        }
    }
}

/// The loop's shell.
pub(super) struct Loop {
    core: Core,
    executors: BTreeMap<ExecutorId, Arc<dyn Executor>>,
    intake: Arc<Intake>,
    voice: Voice,
    saver: Saver,
    spaced: Spaced,
    mounts: Arc<Mounts>,
    spare: Arc<AtomicBool>,
    inputs: mpsc::Sender<Input>,
    listing: BTreeSet<ExecutorId>,
    saved: watch::Sender<Counts>,
    ends: (mpsc::Sender<End>, mpsc::Receiver<End>),
    done: Arc<Notify>,
}

impl Loop {
    pub(super) fn new(
        core: Core,
        executors: BTreeMap<ExecutorId, Arc<dyn Executor>>,
        intake: Arc<Intake>,
        voice: Voice,
        saver: Saver,
        (mounts, spare): (Arc<Mounts>, Arc<AtomicBool>),
        inputs: mpsc::Sender<Input>,
    ) -> Loop {
        Loop {
            core,
            executors,
            intake,
            voice,
            saver,
            spaced: Spaced::default(),
            mounts,
            spare,
            inputs,
            listing: BTreeSet::new(),
            saved: watch::Sender::default(),
            ends: mpsc::channel(1),
            done: Arc::default(),
        }
    }

    fn tell_lock(&self) {
        let lock = self.core.reconciler().lock();
        self.voice.board.set_locked(lock.is_some());
        self.spare.store(lock.is_some(), Ordering::Relaxed);
    }

    pub(super) fn handle(&self) -> Handle {
        Handle { saved: self.saved.subscribe(), end: self.ends.0.clone(), done: self.done.clone() }
    }

    /// Runs until it is told to end; gives the saver back, for its last writes.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut asked: mpsc::Receiver<Asked>,
        mut sources: Sources,
    ) -> Saver {
        for news in sources.first() {
            self.wish(&news, &sources);
        }
        self.list_all();
        self.tell_lock();
        let (mut timer, mut steps) = (Timer::new(), listen_to_the_clock());
        let alive = self.voice.board.alive();
        let memory = Memory::default();
        let (mut relist, mut say_alive) = (clock::mono().plus(RELIST), clock::mono());
        let mut ending: Option<(bool, Mono)> = None;
        let pause = HEARTBEAT.min(signals::watchdog_period().map_or(HEARTBEAT, |period| period / 3));
        loop {
            let due = self.turn().await;
            let now = clock::now();
            signals::feed_watchdog();
            if say_alive <= now.mono {
                self.voice.device(now);
                memory.tidy();
                say_alive = now.mono.plus(alive);
            }
            if relist <= now.mono {
                self.list_all();
                relist = now.mono.plus(RELIST);
            }
            if let Some((stop, until)) = ending {
                // Before the executors were asked nobody knows what runs, so nothing can have been stopped.
                let known = self.core.reconciler();
                let stopped = known.has_planned() && known.is_idle();
                let over = if stop { stopped } else { !known.is_busy() };
                if over || until <= now.mono {
                    for save in self.spaced.rest() {
                        self.save(&save);
                    }
                    self.done.notify_one();
                    return self.saver;
                }
            }
            let until_end = ending.map_or(Mono(u64::MAX), |(_, until)| until);
            let wake = due.unwrap_or(Mono(u64::MAX)).min(relist).min(say_alive).min(until_end);
            let wake = wake.min(now.mono.plus(pause));
            tokio::select! {
                () = self.intake.changed.notified() => {}
                Some(input) = inbox.recv() => {
                    self.take(input);
                    // What else is there already goes into the same turn.
                    for _ in 0..INPUTS {
                        let Ok(input) = inbox.try_recv() else { break };
                        self.take(input);
                    }
                }
                news = sources.next() => self.wish(&news, &sources),
                Some(asked) = asked.recv() => self.carry_out(asked, &sources),
                () = self.voice.board.changed.notified() => self.voice.device(clock::now()),
                Some(end) = self.ends.1.recv() => {
                    ending = Some((end.stop, clock::mono().plus(end.grace)));
                    if end.stop {
                        self.core.handle(Input::ShutDown, clock::now());
                    } else {
                        self.core.handle(Input::Pause, clock::now());
                    }
                }
                () = step_of(&mut steps) => tracing::info!(now = clock::wall().rfc3339(), "the clock was set; schedules are held against it anew"),
                () = timer.rings(wake) => {}
            }
        }
    }

    fn take(&mut self, input: Input) {
        if let Input::Listed(executor, ..) = &input {
            self.listing.remove(executor);
        }
        self.core.handle(input, clock::now());
    }

    fn wish(&mut self, news: &News, sources: &Sources) {
        let applied = self.core.wish(news, &mut self.intake.gates(), clock::now());
        // Before anything is started that waits for one of them.
        self.mounts.want(self.core.mounts());
        self.voice.keep_profiles(&applied.profiles);
        self.voice.board.set_problems("manifests", applied.problems);
        sources.applied(news);
    }

    fn carry_out(&mut self, Asked { command, answer }: Asked, sources: &Sources) {
        if let Command::CollectVolumes { dry_run } = command {
            let known = self.core.knows_server() || !sources.has_server();
            let (executors, kept) = (self.executors.clone(), self.core.claims());
            tokio::spawn(async move {
                let said =
                    if known { claims::collect(&executors, &kept, dry_run).await } else { Err(claims::UNKNOWN.into()) };
                // Who asked may have gone: what was done is in the log.
                let _ = answer.send(said);
            });
            return;
        }
        let (save, result) = self.core.command(&command, &self.intake.gates(), clock::now());
        tracing::debug!(?command, "{}", result.as_ref().unwrap_or_else(|why| why));
        self.tell_lock();
        // Who asked may have gone: its answer is nobody's.
        let Some(save) = save else {
            let _ = answer.send(result);
            return;
        };
        // Acknowledged when it would survive a power cut.
        self.saver.save_and_tell(save.name(), &save, move |stored| {
            let _ = answer.send(match (result, stored) {
                (Ok(done), Err(why)) => Ok(format!("{done}; but a restart of the agent would forget it: {why}")),
                (result, _) => result,
            });
        });
    }

    fn save(&self, save: &Save) {
        if save.alone() {
            self.saver.save_alone(save.name(), save);
        } else {
            self.saver.save(save.name(), save);
        }
    }

    /// One turn: decide, begin, say, and only then store. When the next one is due.
    async fn turn(&mut self) -> Option<Mono> {
        let now = clock::now();
        let turn = self.core.turn(&mut self.intake.gates(), now);
        for step in turn.output.steps.iter().cloned() {
            self.begin(step);
        }
        for (executor, handle, workload) in turn.output.adopt.iter().cloned() {
            if let Some(executor) = self.executors.get(&executor) {
                executor.adopt(handle, workload);
            }
        }
        for executor in &turn.output.relist {
            self.list(*executor);
        }
        if !turn.output.steps.is_empty() {
            // What was begun gets on its way first: a slow reader of the log must not hold it up.
            tokio::task::yield_now().await;
        }
        self.voice.turn(&turn.output, now);
        self.voice.profiles(&turn.profiles);
        for save in turn.saves {
            match save {
                Save::Books(_) | Save::Truths(_) => self.spaced.hold(save),
                Save::Manifests(_) | Save::Flotta(_) | Save::Lock(_) => self.save(&save),
            }
        }
        for save in self.spaced.due(now.mono) {
            self.save(&save);
        }
        self.saved.send_if_modified(|counts| std::mem::replace(counts, self.saver.counts()) != *counts);
        if !self.voice.board.is_planned() && self.core.reconciler().has_planned() {
            self.voice.board.set_planned();
        }
        match (turn.wake, self.spaced.wake()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn begin(&self, step: Step) {
        let Some(executor) = self.executors.get(&step.executor).cloned() else { return };
        let inputs = self.inputs.clone();
        let action = step.action.clone();
        let operation = tokio::spawn(async move {
            match action {
                StepAction::Start(workload, quota) => executor.start(workload, quota).await.map(Outcome::Started),
                StepAction::Resume(handle, workload, policy) => {
                    executor.resume(handle, workload, policy).await.map(Outcome::Resumed)
                }
                StepAction::Limit(handle, quota) => executor.limit(handle, quota).await.map(Outcome::Limited),
                StepAction::Stop(handle) => executor.stop(handle).await.map(Outcome::Stopped),
                StepAction::Remove(handle) => executor.remove(handle).await.map(|()| Outcome::Removed),
            }
        });
        tokio::spawn(async move {
            let result = operation.await.unwrap_or_else(|why| Err(broken(&why)));
            // The loop is gone: the agent ends, and what was started is adopted by the next one.
            let _ = inputs.send(Input::Done(step, result)).await;
        });
    }

    fn list_all(&mut self) {
        let ids: Vec<ExecutorId> = self.executors.keys().copied().collect();
        for id in ids {
            self.list(id);
        }
    }

    fn list(&mut self, id: ExecutorId) {
        let Some(executor) = self.executors.get(&id).cloned() else { return };
        if !self.listing.insert(id) {
            return;
        }
        let (inputs, ticket) = (self.inputs.clone(), self.core.reconciler().ticket());
        let list = tokio::spawn(async move { executor.list().await });
        tokio::spawn(async move {
            let listed = list.await.unwrap_or_else(|why| Err(broken(&why)));
            let _ = inputs.send(Input::Listed(id, ticket, listed)).await;
        });
    }
}

/// An operation that panicked has an outcome all the same: one that never came would hold its workload up for ever.
fn broken(why: &tokio::task::JoinError) -> ExecutorError {
    let message = format!("an error of the agent itself, please report it: {why}");
    ExecutorError { reason: Reason::StartFailed, message }
}

/// The loop's timer: the kernel's boot-time one, which goes on through suspend; without it, the runtime's.
struct Timer(Option<Alarm>);

impl Timer {
    fn new() -> Timer {
        Timer(Alarm::new().map_err(|why| tracing::error!("no timer: {why}; suspend is not noticed")).ok())
    }

    async fn rings(&mut self, at: Mono) {
        let rung = match &mut self.0 {
            Some(alarm) => alarm.rings(at).await.is_ok(),
            None => false,
        };
        if !rung {
            self.0 = None;
            tokio::time::sleep(at.since(clock::mono())).await;
        }
    }
}

fn listen_to_the_clock() -> Option<Steps> {
    Steps::listen().map_err(|why| tracing::error!("no timer: {why}; a clock that is set is noticed late")).ok()
}

/// Waits for the wall clock to be set. What follows from it is for the next turn.
async fn step_of(steps: &mut Option<Steps>) {
    match steps {
        Some(clock) => {
            if clock.next().await.is_err() {
                *steps = None;
            }
        }
        None => std::future::pending().await,
    }
}
