//! Images: whether they are there, and fetching them, apart from starts.
//!
//! A start never waits for a pull: it comes back with [`Reason::ImagePull`], and [`ExecutorEvent::Retry`] follows. So a
//! profile that turns false meanwhile is obeyed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Inner, credentials};
use crate::executor::{ExecutorError, ExecutorEvent};
use crate::model::hidden::Hidden;
use crate::model::id::WorkloadId;
use crate::model::pod::PullPolicy;
use crate::model::registry::Registries;
use crate::model::status::Reason;

/// Pulls at the same time.
const PULLS: usize = 3;
/// A pull that takes longer lets another one begin beside it: a registry that hangs does not hold up the others.
const SLOW: Duration = Duration::from_secs(300);
/// How a pull went long ago says nothing about now. (Longer than the pulls of a pod's other images may take.)
const STALE: Duration = Duration::from_secs(600);
/// Remembered answers; more are asked for again.
const REMEMBERED: usize = 1_000;

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
    pulls: BTreeMap<Pull, BTreeSet<WorkloadId>>,
    /// How a pull went for somebody who waited for it; kept until its start has used it.
    outcomes: BTreeMap<(WorkloadId, String), (Instant, Result<(), String>)>,
    tasks: JoinSet<()>,
}

/// An image, and the header for its registry: one workload's wrong password does not fail another's pull, nor does its right
/// one fetch for another.
type Pull = (String, Option<Hidden>);

impl Images {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self, image: &str) {
        let mut state = self.lock();
        state.there.remove(image);
        state.outcomes.retain(|(_, of), _| of != image);
    }

    pub(super) fn forget_all(&self) {
        self.lock().there.clear();
    }

    /// A start has got what it waited for: the next one asks anew.
    pub(super) fn used(&self, by: &WorkloadId) {
        self.lock().outcomes.retain(|(id, _), _| id != by);
    }

    pub(super) fn abort(&self) {
        self.lock().tasks.abort_all();
    }
}

/// Podman's own name space: what is there was built or loaded on this device, and no registry has it.
fn is_local(image: &str) -> bool {
    image.starts_with("localhost/")
}

enum Standing {
    /// It is there; with a warning, maybe.
    There(Option<String>),
    /// It has to be fetched.
    Wanted,
    /// It cannot be had.
    Lost(String),
}

/// All images of a workload: there (with warnings, maybe), on their way, or not to be had. What is missing is fetched at the
/// same time.
pub(super) async fn ensure(
    inner: &Arc<Inner>,
    id: &WorkloadId,
    wanted: &BTreeMap<&str, PullPolicy>,
    registries: &Registries,
) -> Result<Vec<String>, ExecutorError> {
    let (mut warnings, mut missing, mut lost) = (Vec::new(), Vec::new(), None);
    for (image, policy) in wanted {
        match standing(inner, id, image, *policy).await? {
            Standing::There(warning) => warnings.extend(warning),
            Standing::Wanted => missing.push(*image),
            Standing::Lost(why) => lost = lost.or(Some(format!("image {image}: {why}"))),
        }
    }
    if let Some(message) = lost {
        // The next try asks anew.
        inner.images.used(id);
        return Err(ExecutorError { reason: Reason::ImagePullFailed, message });
    }
    if missing.is_empty() {
        return Ok(warnings);
    }
    missing.iter().for_each(|image| begin(inner, id, image, credentials::header(registries, image)));
    let plural = if missing.len() == 1 { "image" } else { "images" };
    let message = format!("{plural} {} on the way", missing.join(", "));
    Err(ExecutorError { reason: Reason::ImagePull, message })
}

async fn standing(
    inner: &Arc<Inner>,
    id: &WorkloadId,
    image: &str,
    policy: PullPolicy,
) -> Result<Standing, ExecutorError> {
    let outcome = inner.images.lock().outcomes.get(&(id.clone(), image.to_owned())).cloned();
    let outcome = outcome.filter(|(at, _)| at.elapsed() < STALE).map(|(_, outcome)| outcome);
    match (outcome, policy) {
        (Some(Ok(())), _) => return Ok(Standing::There(None)),
        // Better the image that is here than none: the device may be away from its registry for long.
        (Some(Err(why)), PullPolicy::Always) if there(inner, image).await? => {
            return Ok(Standing::There(Some(format!(
                "image {image} could not be pulled ({why}); the one that is here is used (imagePullPolicy: Always)"
            ))));
        }
        (Some(Err(why)), _) => return Ok(Standing::Lost(format!("could not be pulled: {why}"))),
        (None, _) => {}
    }
    Ok(match policy {
        PullPolicy::Always if !is_local(image) => Standing::Wanted,
        _ if there(inner, image).await? => Standing::There(None),
        PullPolicy::Never => Standing::Lost(
            "is not here, and imagePullPolicy: Never forbids to pull it; load it with podman load".into(),
        ),
        _ if is_local(image) => Standing::Lost(
            "is not here; names under localhost/ are this device's own: build it, or podman load it".into(),
        ),
        PullPolicy::Always | PullPolicy::IfNotPresent => Standing::Wanted,
    })
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

fn begin(inner: &Arc<Inner>, id: &WorkloadId, image: &str, registry_auth: Option<Hidden>) {
    let mut state = inner.images.lock();
    while state.tasks.try_join_next().is_some() {}
    let pull = (image.to_owned(), registry_auth);
    let running = state.pulls.contains_key(&pull);
    state.pulls.entry(pull.clone()).or_default().insert(id.clone());
    if running {
        return;
    }
    let (inner, slots) = (inner.clone(), inner.images.slots.clone());
    state.tasks.spawn(async move {
        let slot = slots.acquire_owned().await;
        let (image, registry_auth) = &pull;
        tracing::info!(image, "pulling");
        let mut fetching = std::pin::pin!(inner.client.pull(image, registry_auth.as_ref()));
        let outcome = match timeout(SLOW, &mut fetching).await {
            Ok(outcome) => outcome,
            Err(_) => {
                drop(slot);
                tracing::warn!(image, "is still being pulled");
                fetching.await
            }
        };
        let outcome = outcome.map_err(|why| why.to_string());
        match &outcome {
            Ok(()) => tracing::info!(image, "pulled"),
            Err(why) => tracing::warn!(image, why, "could not be pulled"),
        }
        let waiting = {
            let mut state = inner.images.lock();
            let waiting = state.pulls.remove(&pull).unwrap_or_default();
            if state.outcomes.len() >= REMEMBERED {
                state.outcomes.clear();
            }
            for id in &waiting {
                state.outcomes.insert((id.clone(), image.clone()), (Instant::now(), outcome.clone()));
            }
            waiting
        };
        for id in waiting {
            let _ = inner.events.send(ExecutorEvent::Retry(id)).await;
        }
    });
}
