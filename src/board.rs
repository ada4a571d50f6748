//! The board: what is said now, for whoever asks. The reconcile loop writes it; HTTP reads it; the device object is put
//! together here from the parts that each part of the agent reports about itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use crate::model::id::WorkloadId;
use crate::model::problem::Problem;
use crate::model::status::{DeviceStatus, Event, LinkStatus, ServerStatus, WorkloadStatus};
use crate::model::time::{Mono, Now, Wall};

/// Events kept for `GET /api/v1/events`; older ones are gone.
pub const RECENT_EVENTS: usize = 1_000;
/// Events a listener may lag behind before it is told that some are missing.
const STREAM_LAG: usize = 256;
/// Problems shown in the device object; the rest is counted in a last line.
pub const SHOWN_PROBLEMS: usize = 100;

/// What is said now.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
    stream: broadcast::Sender<Event>,
    /// Rung when the device object may have changed.
    pub changed: Notify,
    /// Rung when the first plan is done.
    pub planned: Notify,
    device_id: String,
    since: Wall,
    alive: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    workloads: BTreeMap<WorkloadId, WorkloadStatus>,
    recent: VecDeque<Event>,
    problems: BTreeMap<&'static str, Vec<Problem>>,
    broker: Option<LinkStatus>,
    server: Option<ServerStatus>,
    progress: Mono,
    planned: bool,
    plans: u64,
    locked: bool,
}

impl Board {
    /// An empty board. `alive`: how often the device object is said again.
    #[must_use]
    pub fn new(device_id: String, since: Wall, alive: Duration) -> Board {
        Board {
            inner: Mutex::default(),
            stream: broadcast::channel(STREAM_LAG).0,
            changed: Notify::new(),
            planned: Notify::new(),
            device_id,
            since,
            alive,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves whole values behind: each write below is one assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the device is.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// How often the device object is said again.
    #[must_use]
    pub fn alive(&self) -> Duration {
        self.alive
    }

    /// Takes over what a turn of the loop said.
    pub fn post(&self, statuses: &[(WorkloadId, Option<WorkloadStatus>)], events: &[Event], now: Mono) {
        let mut inner = self.inner();
        inner.progress = now;
        inner.plans = inner.plans.saturating_add(1);
        for (id, status) in statuses {
            match status {
                Some(status) => inner.workloads.insert(id.clone(), status.clone()),
                None => inner.workloads.remove(id),
            };
        }
        for event in events {
            if inner.recent.len() >= RECENT_EVENTS {
                inner.recent.pop_front();
            }
            inner.recent.push_back(event.clone());
            // Nobody listens: fine.
            let _ = self.stream.send(event.clone());
        }
        drop(inner);
        if !statuses.is_empty() {
            self.changed.notify_one();
        }
    }

    /// The first plan is done.
    pub fn set_planned(&self) {
        self.inner().planned = true;
        self.planned.notify_one();
    }

    /// Whether the first plan is done.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.inner().planned
    }

    /// When the loop last made progress, and how often it has planned.
    #[must_use]
    pub fn progress(&self) -> (Mono, u64) {
        let inner = self.inner();
        (inner.progress, inner.plans)
    }

    /// Replaces what one part of the agent has to complain about.
    pub fn set_problems(&self, part: &'static str, problems: Vec<Problem>) {
        let mut inner = self.inner();
        let before = if problems.is_empty() {
            inner.problems.remove(part).unwrap_or_default()
        } else {
            inner.problems.insert(part, problems.clone()).unwrap_or_default()
        };
        drop(inner);
        if before != problems {
            for problem in problems.iter().filter(|problem| !before.contains(problem)) {
                tracing::warn!(place = %problem.place, "{}", problem.message);
            }
            self.changed.notify_one();
        }
    }

    /// Whether one part of the agent has something to complain about.
    #[must_use]
    pub fn has_problems(&self, part: &str) -> bool {
        self.inner().problems.contains_key(part)
    }

    /// Whether no workload may run.
    pub fn set_locked(&self, locked: bool) {
        let before = std::mem::replace(&mut self.inner().locked, locked);
        if before != locked {
            self.changed.notify_one();
        }
    }

    /// How the broker is reached.
    pub fn set_broker(&self, link: LinkStatus) {
        let mut inner = self.inner();
        let changed = inner.broker.as_ref() != Some(&link);
        inner.broker = Some(link);
        drop(inner);
        if changed {
            self.changed.notify_one();
        }
    }

    /// How the device stands with the server. That it was heard again is no change.
    pub fn set_server(&self, server: ServerStatus) {
        let mut inner = self.inner();
        let old = inner.server.replace(server.clone());
        drop(inner);
        let heard = |status: ServerStatus| ServerStatus { last_contact: None, ..status };
        if old.map(heard) != Some(heard(server)) {
            self.changed.notify_one();
        }
    }

    /// Every workload object.
    #[must_use]
    pub fn workloads(&self) -> Vec<WorkloadStatus> {
        self.inner().workloads.values().cloned().collect()
    }

    /// One workload object.
    #[must_use]
    pub fn workload(&self, id: &WorkloadId) -> Option<WorkloadStatus> {
        self.inner().workloads.get(id).cloned()
    }

    /// The latest events, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Event> {
        self.inner().recent.iter().cloned().collect()
    }

    /// Events from now on, with the latest ones before them.
    #[must_use]
    pub fn follow(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let inner = self.inner();
        (inner.recent.iter().cloned().collect(), self.stream.subscribe())
    }

    /// The device object.
    #[must_use]
    pub fn device(&self, now: Now) -> DeviceStatus {
        let inner = self.inner();
        let mut workloads = BTreeMap::new();
        for status in inner.workloads.values() {
            *workloads.entry(status.state).or_insert(0) += 1;
        }
        let mut problems: Vec<Problem> = inner.problems.values().flatten().cloned().collect();
        let more = problems.len().saturating_sub(SHOWN_PROBLEMS);
        problems.truncate(SHOWN_PROBLEMS);
        if more > 0 {
            problems.push(Problem::new("problems", format!("{more} more are not shown here; the log has them all")));
        }
        DeviceStatus {
            device_id: self.device_id.clone(),
            state: "online".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            since: self.since,
            observed_at: now.wall,
            // Half a period of slack for a slow network.
            valid_until: now.wall.plus(self.alive.saturating_add(self.alive / 2)),
            locked: inner.locked,
            workloads,
            server: inner.server.clone().unwrap_or_else(|| ServerStatus::of("disabled")),
            broker: inner.broker.clone().unwrap_or_else(|| LinkStatus::of("disabled")),
            problems,
        }
    }
}
