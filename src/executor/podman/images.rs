//! Images: whether they are there, and fetching them, apart from starts.
//!
//! A start never waits for a pull: it comes back with [`Reason::ImagePull`], and [`ExecutorEvent::Retry`] follows. So a
//! profile that turns false meanwhile is obeyed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Inner;
use crate::executor::{ExecutorError, ExecutorEvent};
use crate::model::id::WorkloadId;
use crate::model::pod::PullPolicy;
use crate::model::status::Reason;
use crate::model::time::Wall;

/// Pulls at the same time.
const PULLS: usize = 3;
/// Remembered answers; more are asked for again.
const REMEMBERED: usize = 1_000;
/// A failure this old says nothing about now.
const STALE_MS: i64 = 60_000;
/// What was fetched for a start counts for it this long: another image of the same pod may take its time.
const FETCHED_MS: i64 = 3_600_000;

pub(super) struct Images {
    state: Mutex<State>,
    slots: Arc<Semaphore>,
}

impl Default for Images {
    fn default() -> Images {
        Images { state: Mutex::default(), slots: Arc::new(Semaphore::new(PULLS)) }
    }
}

#[derive(Default)]
struct State {
    /// Images that were there when somebody asked.
    there: BTreeSet<String>,
    /// Who waits for which pull.
    pulls: BTreeMap<String, BTreeSet<WorkloadId>>,
    /// How a pull went for somebody who waited for it.
    outcomes: BTreeMap<(WorkloadId, String), (Wall, Result<(), String>)>,
    tasks: JoinSet<()>,
}

impl Images {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self, image: &str) {
        self.lock().there.remove(image);
    }

    pub(super) fn forget_all(&self) {
        self.lock().there.clear();
    }

    pub(super) fn abort(&self) {
        self.lock().tasks.abort_all();
    }
}

/// Podman's own name space: what is there was built or loaded on this device, and no registry has it.
fn is_local(image: &str) -> bool {
    image.starts_with("localhost/")
}

/// An image for a workload: there (with a warning, maybe), on its way, or not to be had.
pub(super) async fn ensure(
    inner: &Arc<Inner>,
    id: &WorkloadId,
    image: &str,
    policy: PullPolicy,
) -> Result<Option<String>, ExecutorError> {
    let now = (inner.clock)();
    let key = (id.clone(), image.to_owned());
    // Kept until the start goes on: another container of the pod may ask for the same image, or have to wait for its own.
    let outcome = inner.images.lock().outcomes.get(&key).cloned();
    let fresh = |(at, outcome): &(Wall, Result<(), String>)| {
        now.0.saturating_sub(at.0) < if outcome.is_ok() { FETCHED_MS } else { STALE_MS }
    };
    let outcome = outcome.filter(fresh).map(|(_, outcome)| outcome);
    let failed =
        |why: String| ExecutorError { reason: Reason::ImagePullFailed, message: format!("image {image}: {why}") };
    match (outcome, policy) {
        (Some(Ok(())), _) => return Ok(None),
        // Better the image that is here than none: the device may be away from its registry for long.
        (Some(Err(why)), PullPolicy::Always) if there(inner, image).await? => {
            return Ok(Some(format!(
                "image {image} could not be pulled ({why}); the one that is here is used (imagePullPolicy: Always)"
            )));
        }
        (Some(Err(why)), _) => {
            inner.images.lock().outcomes.remove(&key);
            return Err(failed(format!("could not be pulled: {why}")));
        }
        (None, _) => {}
    }
    match policy {
        PullPolicy::Always if !is_local(image) => {}
        _ if there(inner, image).await? => return Ok(None),
        PullPolicy::Never => {
            return Err(failed(
                "is not here, and imagePullPolicy: Never forbids to pull it; load it with podman load".into(),
            ));
        }
        _ if is_local(image) => {
            return Err(failed(
                "is not here; names under localhost/ are this device's own: build it, or podman load it".into(),
            ));
        }
        PullPolicy::Always | PullPolicy::IfNotPresent => {}
    }
    begin(inner, id, image);
    Err(ExecutorError { reason: Reason::ImagePull, message: format!("image {image} is being pulled") })
}

/// A start goes on: the next one asks anew.
pub(super) fn used(inner: &Inner, id: &WorkloadId) {
    inner.images.lock().outcomes.retain(|(of, _), _| of != id);
}

async fn there(inner: &Arc<Inner>, image: &str) -> Result<bool, ExecutorError> {
    if inner.images.lock().there.contains(image) {
        return Ok(true);
    }
    let asked = inner.client.has_image(image).await;
    let there =
        asked.map_err(|why| inner.error(Reason::StartFailed, "podman cannot say whether an image is here", why))?;
    if there {
        let mut state = inner.images.lock();
        if state.there.len() >= REMEMBERED {
            state.there.clear();
        }
        state.there.insert(image.to_owned());
    }
    Ok(there)
}

fn begin(inner: &Arc<Inner>, id: &WorkloadId, image: &str) {
    let mut state = inner.images.lock();
    while state.tasks.try_join_next().is_some() {}
    let running = state.pulls.contains_key(image);
    state.pulls.entry(image.to_owned()).or_default().insert(id.clone());
    if running {
        return;
    }
    let (inner, image, slots) = (inner.clone(), image.to_owned(), inner.images.slots.clone());
    state.tasks.spawn(async move {
        let _slot = slots.acquire_owned().await;
        tracing::info!(image, "pulling");
        let outcome = inner.client.pull(&image).await.map_err(|why| why.to_string());
        match &outcome {
            Ok(()) => tracing::info!(image, "pulled"),
            Err(why) => tracing::warn!(image, why, "could not be pulled"),
        }
        let now = (inner.clock)();
        let waiting = {
            let mut state = inner.images.lock();
            let waiting = state.pulls.remove(&image).unwrap_or_default();
            if state.outcomes.len() >= REMEMBERED {
                state.outcomes.clear();
            }
            for id in &waiting {
                state.outcomes.insert((id.clone(), image.clone()), (now, outcome.clone()));
            }
            waiting
        };
        for id in waiting {
            let _ = inner.events.send(ExecutorEvent::Retry(id)).await;
        }
    });
}
