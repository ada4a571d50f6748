//! The runs that this agent knows.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::executor::{End, Handle, Instance, Phase, Quota};
use crate::model::id::WorkloadId;
use crate::model::time::Wall;
use crate::model::workload::SpecHash;

/// A run that is going on.
#[derive(Debug)]
pub(super) struct Live {
    /// Its shim: readable when that has ended.
    pub(super) pidfd: OwnedFd,
    /// The shim's pid; certain as long as the run is in the table as running.
    pub(super) pid: i32,
    /// Between TERM and KILL.
    pub(super) grace: Duration,
    /// Turns `Some` when nothing of it runs any more.
    pub(super) end: watch::Sender<Option<End>>,
}

/// Where a run stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Its start is under way: nobody else may look at its directory.
    Starting,
    /// It goes on.
    Running(Arc<Live>),
    /// It has ended and is not removed yet.
    Ended(End),
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: WorkloadId,
    pub(super) hash: SpecHash,
    pub(super) started_at: Wall,
    pub(super) standing: Standing,
}

impl Entry {
    /// As the trait shows it; `None` while it is being started.
    pub(super) fn instance(&self, handle: &Handle) -> Option<Instance> {
        // An end is final: whatever says that it runs was looked at before.
        let (phase, look) = match &self.standing {
            Standing::Starting => return None,
            Standing::Running(_) => (Phase::Running, 0),
            Standing::Ended(end) => (Phase::Ended(end.clone()), 1),
        };
        Some(Instance {
            id: self.id.clone(),
            hash: self.hash.clone(),
            handle: handle.clone(),
            phase,
            started_at: self.started_at,
            warnings: Vec::new(),
            look,
            quota: Quota::Fixed,
            in_place: false,
            unready: Vec::new(),
        })
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<BTreeMap<Handle, Entry>>);

impl Table {
    /// Only ever held for a moment. A panic elsewhere leaves a map that is still whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<Handle, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where one stands.
    pub(super) fn standing(&self, handle: &Handle) -> Option<Standing> {
        self.lock().get(handle).map(|entry| entry.standing.clone())
    }

    /// Enters one whose start begins; it is forgotten when what is returned is dropped, unless it runs by then.
    pub(super) fn starting(&self, handle: &Handle, entry: Entry) -> Starting<'_> {
        self.lock().insert(handle.clone(), entry);
        Starting { table: self, handle: handle.clone() }
    }
}

/// A start under way.
pub(super) struct Starting<'a> {
    table: &'a Table,
    handle: Handle,
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        if table.get(&self.handle).is_some_and(|entry| matches!(entry.standing, Standing::Starting)) {
            table.remove(&self.handle);
        }
    }
}
