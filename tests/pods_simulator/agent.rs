//! The agent in the simulation: the real reconciler, gates and executor, joined as `src/agent/reconcile.rs` joins them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotta_agent::executor::podman::{PodmanExecutor, Setting};
use flotta_agent::executor::{Executor, ExecutorEvent, ExecutorId};
use flotta_agent::gates::{Gates, Settings, StoredTruths};
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::status::WorkloadStatus;
use flotta_agent::model::time::Mono;
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Outcome;
use flotta_agent::scheduler::{Input, Limits, Reconciler};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::podman::Podman;

const RELIST: Duration = Duration::from_secs(30);

/// What an agent says, and what it leaves on disk.
#[derive(Default)]
pub struct Said {
    pub statuses: BTreeMap<WorkloadId, WorkloadStatus>,
    pub truths: StoredTruths,
    pub said: u64,
}

pub type Board = Arc<Mutex<Said>>;

pub fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Agent {
    pub gates: Arc<Mutex<Gates>>,
    pub board: Board,
    pub executor: Arc<PodmanExecutor>,
    changed: Arc<Notify>,
    inputs: mpsc::Sender<Input>,
    clock: Clock,
    tasks: Vec<AbortHandle>,
}

/// What an agent is started with.
pub struct Start {
    pub podman: Podman,
    pub setting: Setting,
    pub clock: Clock,
    pub truths: StoredTruths,
    pub desired: Desired,
    /// Executors beside podman's.
    pub others: BTreeMap<ExecutorId, Arc<dyn Executor>>,
}

impl Agent {
    pub fn start(with: Start) -> Agent {
        let Start { podman, setting, clock, truths, desired, others } = with;
        let (inputs, inbox) = mpsc::channel(1_024);
        let (events, heard) = mpsc::channel(256);
        let wall = clock.clone();
        let clock_of_executor = Arc::new(move || wall.wall());
        let executor =
            PodmanExecutor::over(Arc::new(podman.clone()), "the simulation", setting, clock_of_executor, events);
        let executor = Arc::new(executor);
        let mut executors = others;
        executors.insert(ExecutorId::Podman, executor.clone());
        let ids: Vec<ExecutorId> = executors.keys().copied().collect();
        let board = Board::default();
        let mut gates = Gates::new(Settings::default());
        gates.restore(truths, clock.now());
        gates.set_profiles(&desired.profiles, clock.now());
        let gates = Arc::new(Mutex::new(gates));
        let changed = Arc::new(Notify::new());
        let mut reconciler = Reconciler::new(Limits { starts: 3, ends: 3 }, &ids);
        reconciler.handle(Input::Desired(Box::new(desired)), clock.now());
        let turns = Loop {
            reconciler,
            executors,
            gates: gates.clone(),
            board: board.clone(),
            podman,
            clock: clock.clone(),
            inputs: inputs.clone(),
            listing: BTreeSet::new(),
            calls: JoinSet::new(),
        };
        let forward = tokio::spawn(forward(heard, inputs.clone()));
        let turns = tokio::spawn(turns.run(inbox, changed.clone()));
        let tasks = vec![forward.abort_handle(), turns.abort_handle()];
        Agent { gates, board, executor, changed, inputs, clock, tasks }
    }

    pub async fn set_desired(&self, desired: Desired) {
        let _ = self.inputs.send(Input::Desired(Box::new(desired))).await;
    }

    pub fn metric(&self, name: &str, value: Option<f64>) {
        let update = MetricUpdate { name: name.into(), value, unit: None, timestamp: None, ttl: None };
        let applied = lock(&self.gates).apply(&[update], MetricSource::Mqtt, self.clock.now());
        assert!(applied.is_ok(), "{applied:?}");
        self.changed.notify_one();
    }
}

/// Killed: its tasks do nothing more.
impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn forward(mut heard: mpsc::Receiver<ExecutorEvent>, inputs: mpsc::Sender<Input>) {
    while let Some(event) = heard.recv().await {
        if inputs.send(Input::Told(ExecutorId::Podman, event)).await.is_err() {
            return;
        }
    }
}

struct Loop {
    reconciler: Reconciler,
    executors: BTreeMap<ExecutorId, Arc<dyn Executor>>,
    gates: Arc<Mutex<Gates>>,
    board: Board,
    podman: Podman,
    clock: Clock,
    inputs: mpsc::Sender<Input>,
    listing: BTreeSet<ExecutorId>,
    calls: JoinSet<()>,
}

impl Loop {
    async fn run(mut self, mut inbox: mpsc::Receiver<Input>, changed: Arc<Notify>) {
        self.list_all();
        let mut relist = self.clock.now().mono.plus(RELIST);
        loop {
            let due = self.turn();
            let now = self.clock.now();
            if relist <= now.mono {
                self.list_all();
                relist = now.mono.plus(RELIST);
            }
            let sleep = tokio::time::sleep(due.unwrap_or(Mono(u64::MAX)).min(relist).since(now.mono));
            tokio::select! {
                biased;
                () = changed.notified() => {}
                Some(input) = inbox.recv() => {
                    self.take(input);
                    while let Ok(input) = inbox.try_recv() {
                        self.take(input);
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
        if let Input::Done(step, result) = &input {
            let result = result.as_ref().map_err(|why| format!("{:?}: {}", why.reason, why.message)).map(|_| "done");
            let name = name_of(&step.action);
            self.podman.machine().note(&format!("= {name} {}: {result:?}", step.id));
        }
        self.reconciler.handle(input, self.clock.now());
    }

    fn turn(&mut self) -> Option<Mono> {
        while self.calls.try_join_next().is_some() {}
        let now = self.clock.now();
        let (output, deadline) = {
            let mut gates = lock(&self.gates);
            gates.advance(now);
            let output = self.reconciler.turn(&gates, now);
            if !gates.take_changed_profiles().is_empty() {
                lock(&self.board).truths = gates.truths();
            }
            (output, gates.next_deadline())
        };
        for step in output.steps {
            self.begin(step);
        }
        for executor in &output.relist {
            self.list(*executor);
        }
        let mut said = lock(&self.board);
        for (id, status) in output.statuses {
            self.podman.machine().note(&match &status {
                Some(now) => format!("> {id} {} {}: {}", now.state.as_str(), now.reason, now.message),
                None => format!("> {id} is gone"),
            });
            if status.as_ref().is_some_and(|status| !is_sentence(&status.message)) {
                self.podman.machine().violated(format!("a status of {id} that is no sentence: {status:?}"));
            }
            said.said += 1;
            match status {
                Some(status) => said.statuses.insert(id, status),
                None => said.statuses.remove(&id),
            };
        }
        match (output.wake, deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn begin(&mut self, step: Step) {
        let Some(executor) = self.executors.get(&step.executor).cloned() else { return };
        let name = name_of(&step.action);
        self.podman.machine().note(&format!("= {name} {}", step.id));
        let inputs = self.inputs.clone();
        self.calls.spawn(async move {
            let result = match step.action.clone() {
                StepAction::Start(workload, quota) => executor.start(workload, quota).await.map(Outcome::Started),
                StepAction::Resume(handle, workload, policy) => {
                    executor.resume(handle, workload, policy).await.map(Outcome::Resumed)
                }
                StepAction::Limit(handle, quota) => executor.limit(handle, quota).await.map(Outcome::Limited),
                StepAction::Stop(handle) => executor.stop(handle).await.map(Outcome::Stopped),
                StepAction::Remove(handle) => executor.remove(handle).await.map(|()| Outcome::Removed),
            };
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
        self.calls.spawn(async move {
            let listed = executor.list().await;
            let _ = inputs.send(Input::Listed(id, ticket, listed)).await;
        });
    }
}

/// It says something, and every time that it promises.
fn is_sentence(message: &str) -> bool {
    let times = message.split(" at ").skip(1).filter(|rest| rest.starts_with([' ', ';', ':', '(']) || rest.is_empty());
    !message.trim().is_empty() && !message.ends_with(" at") && times.count() == 0
}

fn name_of(action: &StepAction) -> &'static str {
    match action {
        StepAction::Start(..) => "start",
        StepAction::Resume(..) => "resume",
        StepAction::Limit(..) => "limit",
        StepAction::Stop(_) => "stop",
        StepAction::Remove(_) => "remove",
    }
}
