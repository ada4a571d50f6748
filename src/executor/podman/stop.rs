//! Ending a pod, and removing it.

use std::sync::Arc;

use super::client::ApiError;
use super::observe::Part;
use super::table::{Busy, Entry, Looked};
use super::{Inner, files, look, probing, provide};
use crate::executor::{End, ExecutorError, Handle, Phase};
use crate::model::status::Reason;

/// Ends one: all its containers at the same time, each in its grace period. The pod's own stop does nothing for a pod of
/// which one container is down (304), and goes through them one by one.
pub(super) async fn stop(inner: &Arc<Inner>, handle: &Handle) -> Result<End, ExecutorError> {
    let error = |why| inner.error(Reason::StopFailed, "the pod cannot be stopped", why);
    let Some(entry) = look::known(inner, handle).await.map_err(error)? else { return Ok(gone(inner)) };
    let id = entry.pod.id.clone();
    let _busy = Busy::with(inner, &id);
    let running = |entry: &Entry| -> Vec<Part> { entry.pod.parts().filter(|part| part.at.runs()).cloned().collect() };
    // From here on nothing of it is probed: what is told to end need not answer.
    inner.table.lock().probing.rest(handle);
    let all: Vec<Part> = entry.pod.parts().cloned().collect();
    let stops = each(all, |part| {
        let (inner, handle) = (inner.clone(), handle.clone());
        let grace = entry.pod.grace;
        async move {
            match probing::stop(&inner, &handle, &part, grace).await {
                // One that was never started cannot be stopped, and need not be.
                Err(ApiError::Refused(..)) | Ok(()) => Ok(()),
                Err(why) => Err(why),
            }
        }
    });
    // Beside the calls, not before them, and not on the thread that sends them.
    let dir = inner.pod_dir(&entry.pod.name);
    let mark = async {
        let marked = tokio::task::spawn_blocking(move || files::mark_stopping(&dir)).await;
        if let Err(why) = marked {
            tracing::debug!(%why, "a stop was not marked");
        }
        if let Some(entry) = inner.table.lock().pods.get_mut(handle) {
            entry.stopped = Some((inner.clock)());
        }
    };
    let (stopped, ()) = tokio::join!(stops, mark);
    if stopped.is_err() {
        inner.table.lock().probing.wake(handle);
    }
    stopped.map_err(error)?;
    for kill in [true, false] {
        let Some(instance) = look::one(inner, &id, handle).await.map_err(error)? else { return Ok(gone(inner)) };
        let left = inner.table.get(handle).map(|entry| running(&entry)).unwrap_or_default();
        match instance.phase {
            Phase::Ended(end) => return Ok(end),
            _ if kill => {
                tracing::warn!(workload = %id, containers = left.len(), "what does not stop is killed");
                let ids = left.iter().map(|part| part.at.id.clone()).collect();
                let kills = each(ids, |id| {
                    let inner = inner.clone();
                    async move { inner.client.kill(&id).await }
                });
                kills.await.map_err(error)?;
            }
            _ => {}
        }
    }
    let names: Vec<String> =
        inner.table.get(handle).map(|entry| running(&entry)).unwrap_or_default().into_iter().map(|p| p.name).collect();
    Err(ExecutorError {
        reason: Reason::StopFailed,
        message: format!("pod {}: container {} was killed and does not end", entry.pod.name, names.join(", ")),
    })
}

/// All of them at the same time; the first failure speaks for all, when all are done.
async fn each<T, F>(ids: Vec<T>, call: impl Fn(T) -> F) -> Result<(), ApiError>
where
    F: Future<Output = Result<(), ApiError>>,
{
    let results = futures_util::future::join_all(ids.into_iter().map(call)).await;
    results.into_iter().collect()
}

fn gone(inner: &Inner) -> End {
    End {
        code: None,
        at: (inner.clock)(),
        how: "it is gone, and nobody wrote down how it ended".into(),
        tail: String::new(),
        cut_off: false,
        stopped: true,
    }
}

/// Removes a pod with its containers, its volumes and its files.
pub(super) async fn remove(inner: &Arc<Inner>, handle: &Handle) -> Result<(), ExecutorError> {
    let error = |why| inner.error(Reason::StopFailed, "the pod cannot be removed", why);
    let Some(entry) = look::known(inner, handle).await.map_err(error)? else { return Ok(()) };
    let _busy = Busy::with(inner, &entry.pod.id);
    let runs = entry.pod.parts().any(|part| part.at.runs());
    inner.client.remove_pod(&handle.0, runs).await.map_err(error)?;
    let rest = remove_rest(inner, &entry).await;
    if rest.is_err() {
        // The pod is gone all the same, and nothing else would look for them.
        inner.sweep_again();
    }
    rest?;
    let mut state = inner.table.lock();
    state.forget(handle);
    state.looked.insert(entry.pod.id.clone(), Looked { at_ns: inner.now_ns(), at: tokio::time::Instant::now() });
    Ok(())
}

async fn remove_rest(inner: &Inner, entry: &Entry) -> Result<(), ExecutorError> {
    for volume in &entry.pod.volumes {
        let removed = inner.client.remove_volume(volume).await;
        removed.map_err(|why| inner.error(Reason::StopFailed, &format!("volume {volume} cannot be removed"), why))?;
    }
    provide::remove(inner, &entry.pod.name, entry.pod.secrets).await?;
    let dir = inner.pod_dir(&entry.pod.name);
    files::remove(&dir).map_err(|why| ExecutorError {
        reason: Reason::StopFailed,
        message: format!("the pod's files in {} cannot be removed: {why}", dir.display()),
    })
}
