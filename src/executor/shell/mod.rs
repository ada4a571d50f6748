//! The shell executor: commands on the device itself, each with a small parent of its own (the shim) that outlives the agent.
//!
//! ```text
//!  <runs>/<handle>/run.json     what is run; its flock lives exactly as long as the shim
//!                  shim.pid     for a restarted agent
//!                  started      the command was executed
//!                  exit.json    how it ended
//!                  output.log   bounded, with one generation before it
//! ```
//! Whether a run is alive is never guessed from a pid: the lock says it. Its end is noticed by a pidfd, at once; nothing
//! polls. One short task per living run; no disk is synced on the way to a start.

pub mod proc;
pub mod run;
pub mod tree;

mod adopt;
mod launch;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::{Payload, SharedWorkload};
use crate::readiness::readable;

use super::{Call, End, Executor, ExecutorError, ExecutorEvent, Handle, Instance, Phase};

/// How long after the grace period a shim may take before it is killed itself.
const SLACK: Duration = Duration::from_secs(10);

/// What time it is, for people.
pub type Clock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// Runs commands.
#[derive(Clone)]
pub struct ShellExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    runs_dir: PathBuf,
    shim: PathBuf,
    env: BTreeMap<String, String>,
    clock: Clock,
    events: mpsc::Sender<ExecutorEvent>,
    boot_id: String,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    known: BTreeMap<Handle, Run>,
    /// Directories of starts under way: not to be adopted.
    starting: BTreeSet<Handle>,
}

#[derive(Clone)]
struct Run {
    instance: Instance,
    grace: Duration,
    /// Of the shim; `None` once it has ended.
    shim: Option<Arc<AsyncFd<OwnedFd>>>,
    end: watch::Receiver<Option<End>>,
}

impl ShellExecutor {
    /// Keeps its runs in `runs_dir`; `env` is given to every run; `shim` is the program that becomes their parent.
    #[must_use]
    pub fn new(
        runs_dir: PathBuf,
        shim: PathBuf,
        env: BTreeMap<String, String>,
        clock: Clock,
        events: mpsc::Sender<ExecutorEvent>,
    ) -> ShellExecutor {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let runs = Mutex::default();
        ShellExecutor { inner: Arc::new(Inner { runs_dir, shim, env, clock, events, boot_id, runs }) }
    }
}

impl Inner {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a living run and waits for its end in a task of its own.
    fn watch(
        self: &Arc<Self>,
        instance: &Instance,
        grace: Duration,
        shim: OwnedFd,
        child: Option<std::process::Child>,
    ) -> std::io::Result<()> {
        let shim = Arc::new(readable(shim)?);
        let (ended, end) = watch::channel(None);
        let run = Run { instance: instance.clone(), grace, shim: Some(shim.clone()), end };
        self.runs().known.insert(instance.handle.clone(), run);
        let (inner, mut instance) = (self.clone(), instance.clone());
        tokio::spawn(async move {
            // Readable means that the process has ended; an error means that it cannot be waited for, so it is looked at.
            let _ = shim.readable().await;
            if let Some(mut child) = child {
                // It has ended, so this reaps it without waiting.
                let _ = child.wait();
            }
            let end = adopt::read_end(&inner, &instance.handle);
            instance.phase = Phase::Ended(end.clone());
            if let Some(run) = inner.runs().known.get_mut(&instance.handle) {
                run.instance = instance.clone();
                run.shim = None;
            }
            let _ = ended.send(Some(end));
            // The agent ends: the next one reads the same from disk.
            let _ = inner.events.send(ExecutorEvent::Changed(instance)).await;
        });
        Ok(())
    }

    async fn stop(&self, handle: &Handle) -> Result<End, ExecutorError> {
        let Some(mut run) = self.runs().known.get(handle).cloned() else {
            let how = "it was gone already".to_owned();
            return Ok(End { code: None, at: (self.clock)(), how, tail: String::new(), cut_off: false });
        };
        if let Phase::Ended(end) = run.instance.phase {
            return Ok(end);
        }
        if let Some(shim) = &run.shim {
            // Ended just now: its end is on its way.
            let _ = pidfd_send_signal(shim.get_ref(), Signal::TERM);
        }
        let deadline = run.grace.saturating_add(SLACK);
        if let Ok(end) = tokio::time::timeout(deadline, ended(&mut run.end)).await {
            return end;
        }
        tracing::warn!(handle = %handle.0, "the shim did not end its run in time; both are killed");
        if let Some(shim) = &run.shim {
            let _ = pidfd_send_signal(shim.get_ref(), Signal::KILL);
        }
        match tokio::time::timeout(SLACK, ended(&mut run.end)).await {
            Ok(end) => end,
            Err(_) => Err(ExecutorError {
                reason: Reason::StopFailed,
                message: "the kernel does not let it end (a process in an uninterruptible wait?)".into(),
            }),
        }
    }

    fn remove(&self, handle: &Handle) -> Result<(), ExecutorError> {
        let failed = |message: String| ExecutorError { reason: Reason::StopFailed, message };
        if self.runs().known.get(handle).is_some_and(|run| run.instance.phase == Phase::Running) {
            return Err(failed("it still runs, so its files stay".into()));
        }
        let dir = self.runs_dir.join(&*handle.0);
        match std::fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => return Err(failed(format!("the files of its last run cannot be removed: {why}"))),
        }
        self.runs().known.remove(handle);
        Ok(())
    }
}

async fn ended(end: &mut watch::Receiver<Option<End>>) -> Result<End, ExecutorError> {
    let lost = || ExecutorError { reason: Reason::StopFailed, message: "its end was not learnt".into() };
    let end = end.wait_for(Option::is_some).await.map_err(|_| lost())?;
    end.clone().ok_or_else(lost)
}

impl Executor for ShellExecutor {
    fn list(&self) -> Call<'_, Vec<Instance>> {
        Box::pin(async move {
            adopt::adopt_unknown(&self.inner).await?;
            Ok(self.inner.runs().known.values().map(|run| run.instance.clone()).collect())
        })
    }

    fn start(&self, workload: SharedWorkload) -> Call<'_, Instance> {
        Box::pin(async move {
            let Payload::Shell(spec) = &workload.payload else {
                let message = "not a shell workload: it has no command and no script".to_owned();
                return Err(ExecutorError { reason: Reason::InvalidSpec, message });
            };
            launch::launch(&self.inner, &workload, spec).await
        })
    }

    fn stop(&self, handle: Handle) -> Call<'_, End> {
        Box::pin(async move { self.inner.stop(&handle).await })
    }

    fn remove(&self, handle: Handle) -> Call<'_, ()> {
        Box::pin(async move { self.inner.remove(&handle) })
    }
}
