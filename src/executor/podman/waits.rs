//! Starts that wait for a path of the device, or for a mount: told by the kernel and by whoever mounts when they may be tried
//! again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;

use super::{Inner, look};
use crate::executor::ExecutorEvent;
use crate::model::id::WorkloadId;
use crate::model::mount::Awaited;
use crate::path_watch::PathWatch;

/// What no event told is found by a look, this often.
const LOOK: Duration = Duration::from_secs(30);
/// A directory in which much happens is not looked at for each of it.
const QUIET: Duration = Duration::from_millis(20);
/// Starts that wait; further ones are tried again by the scheduler alone.
const WAITS_MAX: usize = 4_096;

/// What a start waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// That there is something at this path.
    Path(PathBuf),
    /// A mount at or above this path, of which was said why it is not there.
    Mount(PathBuf, String),
}

#[derive(Debug, Default)]
pub(super) struct Waits {
    all: Mutex<BTreeMap<WorkloadId, What>>,
    changed: Notify,
}

impl Waits {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkloadId, What>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A start waits for this.
    pub(super) fn note(&self, id: &WorkloadId, what: What) {
        let mut all = self.lock();
        if all.len() < WAITS_MAX || all.contains_key(id) {
            all.insert(id.clone(), what);
            self.changed.notify_one();
        }
    }

    /// It waits no more.
    pub(super) fn forget(&self, id: &WorkloadId) {
        self.lock().remove(id);
    }
}

async fn is_over(inner: &Inner, what: &What, awaited: &Awaited) -> bool {
    match what {
        What::Path(path) => {
            let owned = path.clone();
            inner.path_calls.call(path, move || owned.exists()).await.unwrap_or(false)
        }
        // Also for another reason: it is to be said.
        What::Mount(path, why) => awaited.at(path) != Some(why),
    }
}

/// Tells whose wait is over, for ever.
pub(super) async fn follow(inner: Arc<Inner>) {
    let (mut paths, mut awaited) = (PathWatch::new(), inner.setting.awaited.clone());
    loop {
        let all = inner.waits.lock().clone();
        // First watched, then looked at: what appears in between is told.
        paths.follow(all.values().filter_map(|what| match what {
            What::Path(path) => Some(path.as_path()),
            What::Mount(..) => None::<&Path>,
        }));
        let mounts = awaited.borrow_and_update().clone();
        for (id, what) in &all {
            if !is_over(&inner, what, &mounts).await {
                continue;
            }
            {
                let mut now = inner.waits.lock();
                if now.get(id) != Some(what) {
                    continue;
                }
                now.remove(id);
            }
            // A device may be another one than before: what is there of the pod is told first.
            if let Ok(found) = look::look(&inner, Some(id)).await
                && !inner.table.is_busy(id)
            {
                for instance in found.instances {
                    let _ = inner.events.send(ExecutorEvent::Changed(instance)).await;
                }
            }
            let _ = inner.events.send(ExecutorEvent::Retry(id.clone())).await;
        }
        tokio::select! {
            () = inner.waits.changed.notified() => continue,
            () = paths.changed() => {}
            () = news(&mut awaited) => {}
            () = tokio::time::sleep(LOOK), if !all.is_empty() => {}
        }
        tokio::time::sleep(QUIET).await;
    }
}

async fn news(awaited: &mut watch::Receiver<Awaited>) {
    if awaited.changed().await.is_err() {
        std::future::pending().await
    }
}
