//! The reconcile loop: the shell around [`Reconciler`]. It waits for "anything changed, or the next wake-up"; nothing polls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::clock;
use crate::executor::{Executor, ExecutorError, ExecutorEvent, ExecutorId};
use crate::intake::Intake;
use crate::model::desired::Desired;
use crate::model::policy::Policy;
use crate::model::status::Reason;
use crate::model::time::Mono;
use crate::scheduler::plan::{Step, StepAction};
use crate::scheduler::reconciler::Outcome;
use crate::scheduler::{Input, Reconciler};
use crate::state::{Counts, Saver};

use super::memory::Memory;
use super::object;
use super::signals;
use super::sources::{News, Sources};
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
    reconciler: Reconciler,
    policy: Policy,
    executors: BTreeMap<ExecutorId, Arc<dyn Executor>>,
    intake: Arc<Intake>,
    voice: Voice,
    saver: Saver,
    inputs: mpsc::Sender<Input>,
    listing: BTreeSet<ExecutorId>,
    saved: watch::Sender<Counts>,
    ends: (mpsc::Sender<End>, mpsc::Receiver<End>),
    done: Arc<Notify>,
}

impl Loop {
    pub(super) fn new(
        reconciler: Reconciler,
        policy: Policy,
        executors: BTreeMap<ExecutorId, Arc<dyn Executor>>,
        intake: Arc<Intake>,
        voice: Voice,
        saver: Saver,
        inputs: mpsc::Sender<Input>,
    ) -> Loop {
        Loop {
            reconciler,
            policy,
            executors,
            intake,
            voice,
            saver,
            inputs,
            listing: BTreeSet::new(),
            saved: watch::Sender::default(),
            ends: mpsc::channel(1),
            done: Arc::default(),
        }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle { saved: self.saved.subscribe(), end: self.ends.0.clone(), done: self.done.clone() }
    }

    /// Runs until it is told to end; gives the saver back, for its last writes.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Input>, mut sources: Sources) -> Saver {
        for news in sources.first() {
            self.set_desired(&news, &mut sources);
        }
        self.list_all();
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
                let stopped = self.reconciler.has_planned() && self.reconciler.is_idle();
                let over = if stop { stopped } else { !self.reconciler.is_busy() };
                if over || until <= now.mono {
                    self.done.notify_one();
                    return self.saver;
                }
            }
            let until_end = ending.map_or(Mono(u64::MAX), |(_, until)| until);
            let wake = due.unwrap_or(Mono(u64::MAX)).min(relist).min(say_alive).min(until_end);
            let sleep = tokio::time::sleep(wake.since(now.mono).min(pause));
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
                news = sources.next() => self.set_desired(&news, &mut sources),
                () = self.voice.board.changed.notified() => self.voice.device(clock::now()),
                Some(end) = self.ends.1.recv() => {
                    ending = Some((end.stop, clock::mono().plus(end.grace)));
                    if end.stop {
                        self.reconciler.handle(Input::ShutDown, clock::now());
                    } else {
                        self.reconciler.handle(Input::Pause, clock::now());
                    }
                }
                () = sleep => {}
            }
        }
    }

    fn take(&mut self, input: Input) {
        if let Input::Listed(executor, ..) = &input {
            self.listing.remove(executor);
        }
        self.reconciler.handle(input, clock::now());
    }

    fn set_desired(&mut self, news: &News, sources: &mut Sources) {
        let mut desired = sources.take(news);
        self.policy.apply(&mut desired.workloads);
        let now = clock::now();
        let Desired { profiles, problems, .. } = &desired;
        self.intake.gates().set_profiles(profiles, now);
        self.voice.keep_profiles(&profiles.iter().map(|profile| profile.name.clone()).collect());
        self.voice.board.set_problems("manifests", problems.clone());
        match news {
            News::Manifests(update) => self.saver.save(object::MANIFESTS, &update.stored),
            // Removed: the Secrets of then do not stay behind.
            News::Flotta(update) if update.stored.is_none() => self.saver.save_alone(object::FLOTTA, &update.stored),
            News::Flotta(update) => self.saver.save(object::FLOTTA, &update.stored),
        }
        self.reconciler.handle(Input::Desired(Box::new(desired)), now);
        sources.applied(news);
    }

    /// One turn: decide, begin, say, and only then store. When the next one is due.
    async fn turn(&mut self) -> Option<Mono> {
        let now = clock::now();
        let (output, profiles, truths, deadline) = {
            let mut gates = self.intake.gates();
            gates.advance(now);
            let output = self.reconciler.turn(&gates, now);
            let profiles = gates.take_changed_profiles();
            let truths = (!profiles.is_empty()).then(|| gates.truths());
            (output, profiles, truths, gates.next_deadline())
        };
        for step in output.steps.iter().cloned() {
            self.begin(step);
        }
        for executor in &output.relist {
            self.list(*executor);
        }
        if !output.steps.is_empty() {
            // What was begun gets on its way first: a slow reader of the log must not hold it up.
            tokio::task::yield_now().await;
        }
        self.voice.turn(&output, now);
        self.voice.profiles(&profiles);
        if let Some(truths) = truths {
            self.saver.save(object::TRUTHS, &truths);
        }
        self.saved.send_if_modified(|counts| std::mem::replace(counts, self.saver.counts()) != *counts);
        if !self.voice.board.is_planned() && self.reconciler.has_planned() {
            self.voice.board.set_planned();
        }
        match (output.wake, deadline) {
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
                StepAction::Resume(handle, policy) => executor.resume(handle, policy).await.map(Outcome::Resumed),
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
        let (inputs, ticket) = (self.inputs.clone(), self.reconciler.ticket());
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
