//! The pods that this agent knows, and which workloads are being worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Inner;
use super::observe::{Details, Pod};
use super::probing::Probing;
use crate::executor::Handle;
use crate::model::id::WorkloadId;
use crate::model::time::Wall;

use tokio::time::Instant;

/// Containers whose leftovers are looked for; of more the oldest are forgotten.
const GONE_MAX: usize = 1_000;

/// What podman refused is asked for again after this time: it may have been busy, and it may never be possible.
pub(super) const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// What is known of a pod.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As it was seen last.
    pub(super) pod: Pod,
    /// By which look.
    pub(super) look: u64,
    /// When it was told to stop, by us or the agent before us.
    pub(super) stopped: Option<Wall>,
    /// Which quota of a condition it was told; `None`: nothing is known (another agent started it).
    pub(super) told: Option<Option<u32>>,
    /// What was in force after that, by container: its process, and the quota that the kernel said.
    pub(super) applied: BTreeMap<String, (i64, Option<Option<u32>>)>,
    /// When podman last refused to change a running container's quota; see [`REFUSED_AGAIN`].
    pub(super) refused: Option<Instant>,
    /// What it does not enforce of a condition's quota.
    pub(super) limit_warnings: Vec<String>,
}

impl Entry {
    pub(super) fn new(pod: Pod, look: u64) -> Entry {
        Entry {
            pod,
            look,
            stopped: None,
            told: None,
            applied: BTreeMap::new(),
            refused: None,
            limit_warnings: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pods: BTreeMap<Handle, Entry>,
    pub(super) details: Details,
    /// Workloads that an operation is under way for: its outcome says more than a look in between.
    busy: BTreeSet<WorkloadId>,
    /// Something was heard of these and not looked at yet.
    hints: BTreeSet<WorkloadId>,
    /// When a workload was last looked at: events from before are known.
    pub(super) looked: BTreeMap<WorkloadId, Looked>,
    /// Since when podman says of containers that they run, and their process is not there.
    pub(super) suspected: BTreeMap<(String, i64), Instant>,
    /// Containers of pods that are gone, and not by an orderly removal: their storage may be left.
    pub(super) gone: Vec<String>,
    /// Containers, with their process, whose file with their environment is removed.
    pub(super) hidden: BTreeSet<(String, i64)>,
    /// Containers that podman is being told to start again.
    starting: BTreeSet<String>,
    /// The processes of containers can be seen from here.
    pub(super) sees_processes: bool,
    /// What is probed.
    pub(super) probing: Probing,
    /// Where pods are reached from the device, if anywhere, while their own container (id, process) is this one.
    pub(super) addresses: BTreeMap<Handle, ((String, i64), Option<IpAddr>)>,
}

/// When something was looked at, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    /// Nanoseconds since 1970, as podman dates its events.
    pub(super) at_ns: i64,
    /// The same on the clock that is never set.
    pub(super) at: Instant,
}

impl State {
    /// Takes a pod out that is no more.
    pub(super) fn forget(&mut self, handle: &Handle) -> Option<Entry> {
        let entry = self.pods.remove(handle)?;
        self.probing.forget(handle, &entry.pod);
        self.addresses.remove(handle);
        Some(entry)
    }

    pub(super) fn is_busy(&self, id: &WorkloadId) -> bool {
        self.busy.contains(id)
    }

    /// Something was heard of a workload.
    pub(super) fn hint(&mut self, id: WorkloadId) {
        self.hints.insert(id);
    }

    /// Podman is being told to start this container again.
    pub(super) fn is_starting(&self, container: &str) -> bool {
        self.starting.contains(container)
    }

    /// Takes a pod out that is gone; what is left of its containers is looked for.
    pub(super) fn take_gone(&mut self, handle: &Handle) -> Option<Entry> {
        let entry = self.forget(handle)?;
        let containers = entry.pod.parts().map(|part| &part.at).chain(&entry.pod.infra).map(|at| at.id.clone());
        self.gone.extend(containers);
        let over = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..over);
        Some(entry)
    }
}

#[derive(Debug, Default)]
pub(super) struct Table(Mutex<State>);

impl Table {
    /// Only ever held for a moment. A panic elsewhere leaves maps that are still whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, handle: &Handle) -> Option<Entry> {
        self.lock().pods.get(handle).cloned()
    }

    /// Something was heard of a workload.
    pub(super) fn hint(&self, id: WorkloadId) {
        self.lock().hints.insert(id);
    }

    /// What was heard of before a look, the look sees.
    pub(super) fn covers(&self, only: Option<&WorkloadId>) {
        let mut state = self.lock();
        match only {
            Some(id) => drop(state.hints.remove(id)),
            None => {
                let State { hints, busy, .. } = &mut *state;
                hints.retain(|id| busy.contains(id));
            }
        }
    }

    /// The next workload to look at that nobody works on.
    pub(super) fn next_hint(&self) -> Option<WorkloadId> {
        let mut state = self.lock();
        let next = state.hints.iter().find(|id| !state.busy.contains(*id)).cloned()?;
        state.hints.remove(&next);
        Some(next)
    }

    /// Whether there is a pod of this name: `None`: it may be in the making.
    pub(super) fn is_there(&self, pod_name: &str) -> Option<bool> {
        let state = self.lock();
        let in_work = |id: &WorkloadId| pod_name.rsplit_once('-').is_some_and(|(name, _)| name == id.name());
        let there = state.pods.values().any(|entry| entry.pod.name == pod_name);
        (there || !state.busy.iter().any(in_work)).then_some(there)
    }

    /// Whether there is a pod whose name ends with this version: `None`: one may be in the making.
    pub(super) fn is_version_there(&self, version: &str) -> Option<bool> {
        let state = self.lock();
        let is = |name: &str| name.rsplit_once('-').is_some_and(|(_, end)| end == version);
        let there = state.pods.values().any(|entry| is(&entry.pod.name));
        (there || state.busy.is_empty()).then_some(there)
    }

    pub(super) fn is_busy(&self, id: &WorkloadId) -> bool {
        self.lock().busy.contains(id)
    }
}

/// An operation under way; what is heard of its workload is looked at when it is over.
pub(super) struct Busy {
    inner: Arc<Inner>,
    id: WorkloadId,
}

impl Busy {
    pub(super) fn with(inner: &Arc<Inner>, id: &WorkloadId) -> Busy {
        inner.table.lock().busy.insert(id.clone());
        Busy { inner: inner.clone(), id: id.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let heard = {
            let mut state = self.inner.table.lock();
            state.busy.remove(&self.id);
            state.hints.contains(&self.id)
        };
        if heard {
            self.inner.hinted.notify_one();
        }
    }
}

/// A container that podman is told to start again, until it has answered.
pub(super) struct Starting<'a> {
    table: &'a Table,
    container: &'a str,
}

impl<'a> Starting<'a> {
    pub(super) fn again(table: &'a Table, container: &'a str) -> Starting<'a> {
        table.lock().starting.insert(container.to_owned());
        Starting { table, container }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.table.lock().starting.remove(self.container);
    }
}
