//! Looking: what podman has of ours, as instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::ApiError;
use super::observe::{self, Detail, Part, Pod};
use super::table::{Entry, Looked, REFUSED_AGAIN, State};
use super::{Inner, cpu, files, labels, lost, paths, secrets, sweep};
use crate::executor::{ExecutorError, ExecutorEvent, Handle, Instance, Quota};
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Wall;

/// The most of a container's output that goes into a status.
const TAIL_BYTES: usize = 1024;

/// A pod that runs on so long after its grace period did not stop, and is not going to.
const STOP_IS_OVER: Duration = Duration::from_secs(60);

/// Everything of ours that is there.
pub(super) async fn list(inner: &Arc<Inner>) -> Result<Vec<Instance>, ExecutorError> {
    let cannot = |why| inner.error(Reason::ExecutorUnreachable, "podman cannot be asked what is there", why);
    let found = look(inner, None).await.map_err(cannot)?;
    if !inner.swept.swap(true, Ordering::Relaxed) {
        sweep::sweep(inner).await;
    }
    Ok(found.instances)
}

/// What a look brought.
pub(super) struct Found {
    pub(super) instances: Vec<Instance>,
    /// Pods that were there and are not any more.
    gone: Vec<(WorkloadId, Handle)>,
}

/// Looks at one workload, or at all of them; what is newer than this look stays as it is.
pub(super) async fn look(inner: &Arc<Inner>, only: Option<&WorkloadId>) -> Result<Found, ApiError> {
    // Whose podman it is comes first: another's pods are none of these. (Asked once for each connection.)
    inner.abilities().await?;
    let look = inner.draw();
    inner.table.covers(only);
    let looked = Looked { at_ns: inner.now_ns(), at: tokio::time::Instant::now() };
    let mut wanted = vec![inner.owned()];
    if let Some(id) = only {
        wanted.push(format!("{}={}", labels::NAMESPACE, id.namespace()));
        wanted.push(format!("{}={}", labels::NAME, id.name()));
    }
    let mut listed = inner.client.list(&wanted).await?;
    lost::mark(inner, &mut listed);
    let pods = observe::pods(listed);
    learn_ends(inner, &pods).await?;
    let written = secrets::to_hide(&mut inner.table.lock(), &pods, only.is_none());
    secrets::hide(inner, written).await;
    let both = inner.now();
    let now = both.wall;
    let mut state = inner.table.lock();
    let concerns = |id: &WorkloadId| only.is_none_or(|only| only == id);
    let missing: Vec<Handle> = state
        .pods
        .iter()
        .filter(|(handle, entry)| {
            entry.look < look && concerns(&entry.pod.id) && !pods.iter().any(|pod| *pod.pod_id == *handle.0)
        })
        .map(|(handle, _)| handle.clone())
        .collect();
    let gone: Vec<(WorkloadId, Handle)> =
        missing.into_iter().filter_map(|handle| Some((state.take_gone(&handle)?.pod.id, handle))).collect();
    if !gone.is_empty() {
        // Whoever removed it left its files and volumes.
        inner.sweep_again();
    }
    match only {
        Some(id) => drop(state.looked.insert(id.clone(), looked)),
        None => state.looked = pods.iter().map(|pod| (pod.id.clone(), looked)).collect(),
    }
    forget_old_ends(&mut state, &pods, only.is_none());
    let mut instances = Vec::with_capacity(pods.len());
    for pod in pods {
        let handle = Handle(pod.pod_id.as_str().into());
        let known = state.pods.get(&handle);
        if known.is_none_or(|entry| entry.look < look) {
            let mut ended = Vec::new();
            let mut entry = match known {
                Some(entry) => Entry { pod, look, ..entry.clone() },
                None => {
                    // What an agent before this one left.
                    let dir = inner.pod_dir(&pod.name);
                    ended = files::were_ended(&dir);
                    Entry { stopped: files::was_stopping(&dir), ..Entry::new(pod, look) }
                }
            };
            let over = |since: Wall| now.since(since) > entry.pod.grace.saturating_add(STOP_IS_OVER);
            if entry.stopped.is_some_and(over) && entry.pod.parts().any(|part| part.at.runs()) {
                entry.stopped = None;
                files::unmark_stopping(&inner.pod_dir(&entry.pod.name));
            }
            let State { pods, probing, .. } = &mut *state;
            ended.into_iter().for_each(|(container, began, why)| probing.note_ended(container, began, why));
            probing.seen(&handle, &entry.pod, entry.stopped.is_some(), both);
            pods.insert(handle.clone(), entry);
            inner.probing.notify_one();
        }
        instances.extend(instance(inner, &state, &handle));
    }
    Ok(Found { instances, gone })
}

/// A pod of the table as an instance.
pub(super) fn instance(inner: &Inner, state: &State, handle: &Handle) -> Option<Instance> {
    let entry = state.pods.get(handle)?;
    let warnings = entry.pod.warnings.iter().chain(&entry.limit_warnings).cloned().collect();
    Some(Instance {
        id: entry.pod.id.clone(),
        hash: entry.pod.hash.clone(),
        handle: handle.clone(),
        phase: entry.pod.phase(&state.details, entry.stopped.is_some()),
        started_at: entry.pod.started_at(),
        warnings,
        // Drawn under the table's lock: of two tellings the later one was made of the later table.
        look: inner.draw(),
        quota: quota(inner, entry),
        in_place: entry.pod.in_place() && entry.stopped.is_none() && !has_other_devices(&entry.pod),
        unready: state.probing.unready(handle, &entry.pod),
    })
}

/// What is down of it was given devices that have other numbers by now. Those that run have them open.
fn has_other_devices(pod: &Pod) -> bool {
    pod.parts().filter(|part| !part.at.runs()).any(paths::has_other_devices)
}

/// Of what is there only the last end of each container is kept.
fn forget_old_ends(state: &mut State, pods: &[Pod], all: bool) {
    let parts = || pods.iter().flat_map(Pod::parts);
    let is_old = |(id, at): &(String, i64)| match parts().find(|part| part.at.id == *id) {
        Some(part) => part.at.ended() && part.at.exited_at != *at,
        None => all,
    };
    state.details.retain(|key, _| !is_old(key));
    if all {
        state.suspected.retain(|(id, pid), _| parts().any(|part| part.at.id == *id && part.at.pid == *pid));
    }
}

/// Whether what was told holds: the kernel is asked, which costs no call of podman's.
fn quota(inner: &Inner, entry: &Entry) -> Quota {
    let limits = inner.limits_cpu();
    let running = || entry.pod.parts().filter(|part| part.at.runs() && part.at.pid > 0);
    if entry.refused.is_some_and(|at| at.elapsed() >= REFUSED_AGAIN) {
        return Quota::Stale;
    }
    match entry.told {
        Some(Some(told)) if !limits => Quota::Refused(Some(told)),
        _ if !limits => Quota::InForce(None),
        Some(told) if entry.refused.is_some() => Quota::Refused(told),
        None => {
            let own = |part: &Part| cpu::in_force(part.at.pid, &part.at.id) == Some(part.own_cpu);
            if running().all(own) { Quota::InForce(None) } else { Quota::Stale }
        }
        // Without a quota of a condition podman's own values hold, through restarts too.
        Some(None) if entry.applied.is_empty() => Quota::InForce(None),
        Some(told) => {
            let as_told = |part: &Part| {
                entry.applied.get(&part.at.id).is_some_and(|(pid, kept)| {
                    *pid == part.at.pid && (kept.is_none() || *kept == cpu::in_force(part.at.pid, &part.at.id))
                })
            };
            if running().all(as_told) { Quota::InForce(told) } else { Quota::Stale }
        }
    }
}

/// Asks how those ended that ended badly; once each.
async fn learn_ends(inner: &Inner, pods: &[Pod]) -> Result<(), ApiError> {
    let key = |part: &Part| (part.at.id.clone(), part.at.exited_at);
    let unknown: Vec<Part> = {
        let state = inner.table.lock();
        let killed = |part: &Part| state.probing.why_ended(part).is_some();
        let failed = pods.iter().flat_map(Pod::ended).filter(|part| part.at.exit_code != 0 || killed(part));
        failed.filter(|part| !state.details.contains_key(&key(part))).cloned().collect()
    };
    for part in unknown {
        let inspected = match inner.client.inspect(&part.at.id).await {
            Ok(inspected) => inspected.state,
            Err(ApiError::Refused(..)) => continue,
            Err(why) => return Err(why),
        };
        // One whose log cannot be read, or hangs, must not hide all others.
        let tail = inner.client.tail(&part.at.id).await.map(|tail| shortened(&tail)).unwrap_or_default();
        let detail = Detail {
            oom_killed: inspected.oom_killed,
            error: inspected.error,
            tail,
            at: Wall::parse_rfc3339(&inspected.finished_at).ok().filter(|at| at.0 > 0),
            ended_by: None,
        };
        let mut state = inner.table.lock();
        let ended_by = state.probing.why_ended(&part).cloned();
        state.details.insert(key(&part), Detail { ended_by, ..detail });
    }
    Ok(())
}

fn shortened(output: &str) -> String {
    let text = output.trim();
    let mut from = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].trim().to_owned()
}

/// Looks at what was hinted at, for ever.
pub(super) async fn at_hints(inner: Arc<Inner>) {
    loop {
        inner.hinted.notified().await;
        while let Some(id) = inner.table.next_hint() {
            match look(&inner, Some(&id)).await {
                // An operation that began meanwhile says more.
                Ok(_) if inner.table.is_busy(&id) => {}
                Ok(found) => {
                    for instance in found.instances {
                        let _ = inner.events.send(ExecutorEvent::Changed(instance)).await;
                    }
                    for (id, handle) in found.gone {
                        let _ = inner.events.send(ExecutorEvent::Gone(id, handle)).await;
                    }
                }
                Err(why) => {
                    tracing::debug!(workload = %id, %why, "a hint could not be followed: everything is listed again");
                    let _ = inner.events.send(ExecutorEvent::Relist).await;
                }
            }
        }
    }
}

/// One pod, looked at now.
pub(super) async fn one(inner: &Arc<Inner>, id: &WorkloadId, handle: &Handle) -> Result<Option<Instance>, ApiError> {
    let found = look(inner, Some(id)).await?;
    Ok(found.instances.into_iter().find(|instance| instance.handle == *handle))
}

/// A pod by its handle, also one that was not listed yet.
pub(super) async fn known(inner: &Arc<Inner>, handle: &Handle) -> Result<Option<Entry>, ApiError> {
    if let Some(entry) = inner.table.get(handle) {
        return Ok(Some(entry));
    }
    look(inner, None).await?;
    // What that look saw of others, nobody was told.
    let _ = inner.events.try_send(ExecutorEvent::Relist);
    Ok(inner.table.get(handle))
}
