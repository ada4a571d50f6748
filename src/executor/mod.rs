//! Executors: what carries out decisions for one kind of workload, behind one narrow trait.
//!
//! The reconcile loop gives an executor at most one call per workload at a time, each in a task of its own, and hears
//! from it by [`ExecutorEvent`]s: an executor notices an end by itself and at once. A slow relist ([`Executor::list`],
//! every 30 s) catches what events missed.

pub mod podman;
pub mod shell;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::{Kind, SharedWorkload, SpecHash};

/// Which executor: one for each kind, and for pods one for each podman.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecutorId {
    /// Commands on the device itself.
    Shell,
    /// The system's podman.
    Podman,
    /// The user's podman.
    PodmanRootless,
    /// A Kubernetes cluster.
    K8s,
    /// MicroShift.
    Microshift,
    /// Ansible playbooks.
    Ansible,
}

impl ExecutorId {
    /// Whose a workload of this kind is.
    #[must_use]
    pub fn of(kind: Kind, rootless: bool) -> ExecutorId {
        match kind {
            Kind::Shell => ExecutorId::Shell,
            Kind::Pod if rootless => ExecutorId::PodmanRootless,
            Kind::Pod => ExecutorId::Podman,
            Kind::K8s => ExecutorId::K8s,
            Kind::Microshift => ExecutorId::Microshift,
            Kind::Ansible => ExecutorId::Ansible,
        }
    }
}

/// One started copy of a workload, as its executor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Whose copy.
    pub id: WorkloadId,
    /// Of which version.
    pub hash: SpecHash,
    /// The executor's own name for it; never used twice.
    pub handle: Handle,
    /// What it does.
    pub phase: Phase,
    /// When it was started.
    pub started_at: Wall,
    /// What of the workload's wishes the machine does not enforce (`LimitNotEnforced: …`).
    pub warnings: Vec<String>,
}

/// An executor's own name for an instance; never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub Arc<str>);

/// What an instance does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Runs (or is told to stop and still there).
    Running,
    /// All of it has ended; it stays listed until it is removed.
    Ended(End),
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// 0–255; 128 + signal number where a signal ended it, as shells say; `None`: nobody could learn it (power loss, a killed parent).
    pub code: Option<i32>,
    /// When.
    pub at: Wall,
    /// How, in words: `exit code 3`, `killed by SIGKILL`, `cut off by a restart of the machine`.
    pub how: String,
    /// The last lines of its output, at most 1 KiB; empty if there were none.
    pub tail: String,
    /// It did not end: it was cut off by the machine's restart, and may start again at once.
    pub cut_off: bool,
    /// It was asked to stop: not an end of its own, and no failure.
    pub stopped: bool,
}

/// What an executor tells by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorEvent {
    /// An instance appeared or changed.
    Changed(Instance),
    /// An instance is gone without having been removed by us.
    Gone(WorkloadId, Handle),
    /// Something was missed: list again.
    Relist,
}

/// Why an executor could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExecutorError {
    /// The reason that goes into the status.
    pub reason: Reason,
    /// What could not be done to what, why, and what to do next, in a sentence.
    pub message: String,
}

/// A call under way.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, ExecutorError>> + Send + 'a>>;

/// Carries out decisions for one kind of workload.
pub trait Executor: Send + Sync + 'static {
    /// Everything of ours that is there, running or ended. Also the moment at which a restarted agent adopts.
    fn list(&self) -> Call<'_, Vec<Instance>>;

    /// Starts one copy. Returns when it runs or has failed to; a failed start leaves nothing behind.
    fn start(&self, workload: SharedWorkload) -> Call<'_, Instance>;

    /// Asks it to end, in its grace period, then ends it. Returns its end, when nothing of it runs any more; of one that has
    /// ended already, at once.
    fn stop(&self, handle: Handle) -> Call<'_, End>;

    /// Forgets an ended instance and what it left on the device (its output too). Of one that is gone: fine.
    fn remove(&self, handle: Handle) -> Call<'_, ()>;
}
