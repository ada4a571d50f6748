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
use crate::model::workload::{Kind, RestartPolicy, SharedWorkload, SpecHash};

/// Which executor: one for each kind, and for pods one for each podman.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Drawn by the executor before it looked: of two tellings of the same instance the one with the higher number is the
    /// newer one, in whatever order they arrive.
    pub look: u64,
    /// The CPU quota of a condition, as far as it is in force.
    pub quota: Quota,
    /// What is down of it can be started again in place ([`Executor::resume`]).
    pub in_place: bool,
    /// What runs of it and is not ready, as its probes say.
    pub unready: Vec<Unready>,
}

/// A part of an instance that runs and is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// The container's name.
    pub container: String,
    /// What is awaited, or what failed, since when, in a sentence without the container's name.
    pub why: String,
    /// It was not ready yet since it was started, and nothing says that it will not be.
    pub starting: bool,
}

/// An executor's own name for an instance; never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub Arc<str>);

/// The CPU quota of a condition on an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// This executor cannot change it on what runs.
    #[default]
    Fixed,
    /// This holds, in µs per 100 ms for all of it; `None`: no condition's quota holds.
    InForce(Option<u32>),
    /// This was told, and the machine does not keep it; telling it again is of no use now.
    Refused(Option<u32>),
    /// What holds is not what was told, or is not known: it has to be told.
    Stale,
}

/// What an instance does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its start goes on by itself: what it does, in words.
    Starting(String),
    /// Its start stands still until it is resumed ([`Executor::resume`]).
    Unfinished,
    /// Runs (or is told to stop and still there).
    Running,
    /// Some of it runs and some has ended.
    Degraded(Vec<Down>),
    /// All of it has ended; it stays listed until it is removed.
    Ended(End),
}

/// A part of an instance that has ended while others run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// The container's name.
    pub name: String,
    /// How.
    pub end: End,
}

/// How an instance, or a part of it, ended.
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
    /// What a start waited for ([`Reason::ImagePull`], [`Reason::VolumeWait`]) is over, well or not: it may be tried again
    /// now.
    Retry(WorkloadId),
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

    /// Starts one copy, held to a condition's CPU quota (µs per 100 ms) from its first moment where that can be done. Returns
    /// when it runs, when its start goes on by itself ([`Phase::Starting`]), or when it has failed; a failed start leaves
    /// nothing behind. An error with [`Reason::ImagePull`] or [`Reason::VolumeWait`] is no failure: [`ExecutorEvent::Retry`]
    /// follows.
    fn start(&self, workload: SharedWorkload, cpu_quota_us: Option<u32>) -> Call<'_, Instance>;

    /// Goes on with an unfinished start, and starts again, in place, what of it is down and may be started again by this
    /// policy. Only where [`Instance::in_place`] says so. `workload` is the version that the instance is of.
    fn resume(&self, handle: Handle, _workload: SharedWorkload, _policy: RestartPolicy) -> Call<'_, Instance> {
        Box::pin(async move { Err(unsupported(format!("{} cannot be started again in place", handle.0))) })
    }

    /// Tells what a running instance, which this executor need not have started, is a copy of: what its pod asks for from now
    /// on (probes, hooks) is carried out. May be told again.
    fn adopt(&self, _handle: Handle, _workload: SharedWorkload) {}

    /// Holds all of it to a CPU quota (µs per 100 ms), or lifts it. What the machine does not enforce is a warning of the
    /// instance. Not for [`Quota::Fixed`].
    fn limit(&self, handle: Handle, _cpu_quota_us: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move { Err(unsupported(format!("the CPU quota of {} cannot be changed", handle.0))) })
    }

    /// Asks it to end, in its grace period, then ends it. Returns its end, when nothing of it runs any more; of one that has
    /// ended already, at once.
    fn stop(&self, handle: Handle) -> Call<'_, End>;

    /// Forgets an ended instance and what it left on the device (its output too). Of one that is gone: fine.
    fn remove(&self, handle: Handle) -> Call<'_, ()>;
}

fn unsupported(message: String) -> ExecutorError {
    ExecutorError { reason: Reason::NotSupported, message }
}
