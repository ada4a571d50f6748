//! The shell executor: commands on the device itself.
//!
//! Each run has a small parent of its own, the shim (`flotta-shim`), which outlives the agent. What both know of a run stands
//! in its directory, and whether it is alive is never guessed:
//!
//! ```text
//! <runs_dir>/<handle>/   0700
//!   run.json      what is run (agent). Exclusively locked by the shim as long as it lives: the lock is the liveness
//!   shim.pid      the shim's pid (shim, before the command)
//!   started       the command's pid and start time (shim, once it is executed)
//!   output.log    its output, turned over at 1 MiB to output.log.1 (shim)
//!   exit.json     how it ended (shim, when nothing of it runs any more; written whole and synced)
//! ```
//!
//! | lock | files | it is |
//! |---|---|---|
//! | held | | running: adopted |
//! | free | `exit.json` | ended, as it says |
//! | free | `started`, of another boot | ended: cut off by a restart of the machine |
//! | free | `started`, of this boot | ended: its shim was killed; what it left is killed too |
//! | free | neither | a start that never was: removed |
//!
//! One task per run waits for its shim's pidfd and, when that has ended, tells how ([`ExecutorEvent::Changed`]). What
//! belongs to a run is its process group, whatever descends from its shim (a subreaper: nothing escapes by losing its
//! parent), and, when the shim is dead, whatever has the run's handle in its environment ([`run::MARK`]).
//!
//! Not here: CPU quotas (a shell run has none yet), and supplementary groups of another user (they are cleared).

mod adopt;
mod end;
pub mod proc;
pub mod run;
pub(crate) mod run_dir;
mod start;
mod stop;
mod table;
pub mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Call, End, Executor, ExecutorEvent, Handle, Instance};
use crate::model::time::Wall;
use crate::model::workload::SharedWorkload;

/// Tells the time of day, for people.
pub type Clock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// Runs commands on the device itself.
pub struct ShellExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    runs_dir: PathBuf,
    shim: PathBuf,
    device_env: BTreeMap<String, String>,
    boot_id: String,
    clock: Clock,
    events: mpsc::Sender<ExecutorEvent>,
    table: table::Table,
    /// Looking at directories that nobody knows yet: one at a time.
    listing: tokio::sync::Mutex<()>,
}

impl ShellExecutor {
    /// `runs_dir` belongs to this executor alone and is made when it is needed; `shim` is the `flotta-shim` program;
    /// `device_env` goes into the environment of every run (`DEVICE_ID`), the workload's own wins. Needs a tokio runtime.
    #[must_use]
    pub fn new(
        runs_dir: PathBuf,
        shim: PathBuf,
        device_env: BTreeMap<String, String>,
        clock: Clock,
        events: mpsc::Sender<ExecutorEvent>,
    ) -> ShellExecutor {
        let boot_id = end::boot_id().unwrap_or_default();
        let inner = Inner {
            runs_dir: absolute(&runs_dir),
            shim: absolute(&shim),
            device_env,
            boot_id,
            clock,
            events,
            table: table::Table::default(),
            listing: tokio::sync::Mutex::default(),
        };
        ShellExecutor { inner: Arc::new(inner) }
    }
}

impl Executor for ShellExecutor {
    fn list(&self) -> Call<'_, Vec<Instance>> {
        Box::pin(adopt::list(&self.inner))
    }

    fn start(&self, workload: SharedWorkload, _cpu_quota_us: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move { start::start(&self.inner, &workload).await })
    }

    fn stop(&self, handle: Handle) -> Call<'_, End> {
        Box::pin(async move { stop::stop(&self.inner, &handle).await })
    }

    fn remove(&self, handle: Handle) -> Call<'_, ()> {
        Box::pin(async move { stop::remove(&self.inner, &handle).await })
    }
}

/// A shim is started in its run's directory: what is relative would be so to that.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
