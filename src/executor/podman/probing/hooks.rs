//! What is done right after a container's start, and before it is asked to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::act::{self, Whom};
use super::table::Ending;
use crate::executor::Handle;
use crate::executor::podman::client::ApiError;
use crate::executor::podman::observe::Part;
use crate::executor::podman::{Inner, files};
use crate::model::pod::Hook;
use crate::probes::Failure;

/// A container whose hook after the start takes longer has not started.
const POST_START_MAX: Duration = Duration::from_secs(300);
/// What is left of a grace period that the hook used up: Kubernetes' own.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Starts a container, and runs its hook; it is probed when that is over.
pub(in crate::executor::podman) async fn start(
    inner: &Arc<Inner>,
    handle: &Handle,
    container: &str,
    name: &str,
) -> Result<(), ApiError> {
    inner.table.lock().probing.hold(container);
    let started = inner.client.start(container).await;
    if started.is_ok() {
        after_start(inner, handle, container, name).await;
    }
    inner.table.lock().probing.release(container, started.is_ok());
    started
}

/// If the hook fails, the container is ended, and its end is a failure.
async fn after_start(inner: &Arc<Inner>, handle: &Handle, container: &str, name: &str) {
    let pod = inner.table.lock().probing.pod(handle);
    let care = pod.as_ref().and_then(|pod| pod.containers.get(name)).cloned();
    let (Some(pod), Some(care)) = (pod, care) else { return };
    let Some(hook) = &care.lifecycle.post_start else { return };
    // Its process, which the list that shows it would say later.
    let found = match inner.client.inspect(container).await {
        Ok(found) => found.state,
        Err(why) => {
            tracing::warn!(container = name, %why, "the hook after its start cannot be run");
            return;
        }
    };
    let whom = Whom {
        handle: handle.clone(),
        container: container.to_owned(),
        pid: found.pid,
        host_network: pod.host_network,
    };
    if let Err(Failure { why, .. }) = act::hook(inner, &whom, hook, POST_START_MAX).await {
        let ending = Ending {
            handle: handle.clone(),
            container: container.to_owned(),
            name: name.to_owned(),
            pid: found.pid,
            started_at: found.started_seconds(),
            grace: pod.grace,
            care,
            pod,
            why: format!("its postStart hook failed ({why})"),
        };
        end(inner, &ending).await;
    }
}

/// Asks a container to end, with its hook before that, in this grace period; one that was made with that period, and has no
/// hook, by podman's own stop.
pub(in crate::executor::podman) async fn stop(
    inner: &Arc<Inner>,
    handle: &Handle,
    part: &Part,
    grace: Duration,
) -> Result<(), ApiError> {
    let pod = inner.table.lock().probing.pod(handle);
    let care = pod.as_ref().and_then(|pod| pod.containers.get(&part.name)).cloned();
    let is_ending = inner.table.lock().probing.ending.contains(&part.at.id);
    let hook = care.as_ref().and_then(|care| care.lifecycle.pre_stop.as_ref());
    match (hook, pod) {
        (Some(hook), Some(pod)) if part.at.runs() && !is_ending => {
            let whom = Whom {
                handle: handle.clone(),
                container: part.at.id.clone(),
                pid: part.at.pid,
                host_network: pod.host_network,
            };
            let left = before_stop(inner, &whom, &part.name, hook, grace).await;
            inner.client.stop_within(&part.at.id, left).await
        }
        _ => inner.client.stop(&part.at.id, grace).await,
    }
}

/// Runs the hook; what is left of the grace period.
async fn before_stop(inner: &Arc<Inner>, whom: &Whom, name: &str, hook: &Hook, grace: Duration) -> Duration {
    let begun = Instant::now();
    if let Err(Failure { why, .. }) = act::hook(inner, whom, hook, grace).await {
        tracing::warn!(container = name, why, "its preStop hook failed; it is stopped all the same");
    }
    grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE)
}

/// The process that was to end runs still; where podman cannot be asked it is taken to.
async fn is_still(inner: &Inner, ending: &Ending) -> bool {
    match inner.client.inspect(&ending.container).await {
        Ok(found) => found.state.pid == ending.pid,
        Err(_) => true,
    }
}

/// Ends a container because a probe or a hook says so; its hook before that is run. Who restarts it is the scheduler.
pub(super) async fn end(inner: &Arc<Inner>, ending: &Ending) {
    let (begun, name) = {
        let mut state = inner.table.lock();
        state.probing.note_ended(ending.container.clone(), ending.started_at, ending.why.clone());
        let name = state.pods.get(&ending.handle).map(|entry| entry.pod.name.clone());
        (state.probing.ending.insert(ending.container.clone()), name)
    };
    let dir = name.map(|name| inner.pod_dir(&name));
    mark(dir.clone(), ending).await;
    tracing::info!(container = ending.name, pod = %ending.handle.0, why = ending.why, "is ended, to be started again as its restartPolicy says");
    let mut left = ending.grace;
    if let (true, Some(hook)) = (begun, &ending.care.lifecycle.pre_stop) {
        let whom = Whom {
            handle: ending.handle.clone(),
            container: ending.container.clone(),
            pid: ending.pid,
            host_network: ending.pod.host_network,
        };
        left = before_stop(inner, &whom, &ending.name, hook, left).await;
    }
    // While its hook ran it may have ended by itself, and another one runs in its place by now.
    let still = ending.care.lifecycle.pre_stop.is_none() || is_still(inner, ending).await;
    let stopped = if still { inner.client.stop_within(&ending.container, left).await } else { Ok(()) };
    let now = inner.now();
    if let (Err(_), Some(dir)) = (&stopped, dir) {
        files::unmark_ended(&dir, &ending.container);
    }
    let id = {
        let mut state = inner.table.lock();
        state.probing.ending.remove(&ending.container);
        if let Err(why) = stopped {
            tracing::warn!(container = ending.name, %why, "it cannot be ended: tried again when its probe has failed again");
            state.probing.spared(ending, now.mono);
        }
        state.pods.get(&ending.handle).map(|entry| entry.pod.id.clone())
    };
    inner.probing.notify_one();
    // Sooner than podman's event.
    if let Some(id) = id {
        inner.table.hint(id);
        inner.hinted.notify_one();
    }
}

/// For an agent after this one: what is ended now may say that it ended well.
async fn mark(dir: Option<PathBuf>, ending: &Ending) {
    let Some(dir) = dir else { return };
    let (container, started_at, why) = (ending.container.clone(), ending.started_at, ending.why.clone());
    let marked = tokio::task::spawn_blocking(move || files::mark_ended(&dir, &container, started_at, &why)).await;
    if let Err(why) = marked {
        tracing::error!(%why, "a mark was not written");
    }
}
