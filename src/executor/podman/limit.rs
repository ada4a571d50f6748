//! A condition's CPU quota on a running pod.

use std::sync::Arc;

use tokio::time::Instant;

use super::client::ApiError;
use super::observe::{Part, Pod};
use super::table::{Busy, Entry};
use super::{Inner, cpu, look};
use crate::executor::{ExecutorError, Handle, Instance};
use crate::model::status::Reason;

/// Holds a pod to a quota, or lifts it.
pub(super) async fn limit(
    inner: &Arc<Inner>,
    handle: &Handle,
    quota_us: Option<u32>,
) -> Result<Instance, ExecutorError> {
    let error = |why| inner.error(Reason::StartFailed, "the pod cannot be looked at", why);
    let id = look::known(inner, handle).await.map_err(error)?.ok_or_else(gone)?.pod.id;
    let _busy = Busy::with(inner, &id);
    apply(inner, handle, quota_us).await
}

fn gone() -> ExecutorError {
    ExecutorError { reason: Reason::StartFailed, message: "the pod is gone".into() }
}

/// What each running container is to be held to.
fn parts(pod: &Pod, quota_us: Option<u32>) -> Vec<(&Part, Option<u32>)> {
    let own: Vec<Option<u32>> = pod.main.iter().map(|part| part.own_cpu).collect();
    let shared = quota_us.map(|quota| cpu::shares(quota, &own));
    let main = pod.main.iter().enumerate().map(|(at, part)| match &shared {
        Some(shared) => (part, shared.get(at).copied()),
        None => (part, part.own_cpu),
    });
    // Init containers run one by one: all of it is theirs.
    let init = pod.init.iter().map(|part| match quota_us {
        Some(quota) => (part, Some(part.own_cpu.map_or(quota, |own| own.min(quota)))),
        None => (part, part.own_cpu),
    });
    init.chain(main).filter(|(part, _)| part.at.runs()).collect()
}

/// As [`limit`], within an operation.
pub(super) async fn apply(
    inner: &Arc<Inner>,
    handle: &Handle,
    quota_us: Option<u32>,
) -> Result<Instance, ExecutorError> {
    let error = |what: &str, why| inner.error(Reason::StartFailed, what, why);
    let entry = inner.table.get(handle).ok_or_else(gone)?;
    let abilities = inner.abilities().await.map_err(|why| error("podman's abilities", why))?;
    let possible = abilities.cpu;
    let wanted = if possible { parts(&entry.pod, quota_us) } else { Vec::new() };
    if let Some(entry) = inner.table.lock().pods.get_mut(handle) {
        // Until podman has answered for all of them nobody knows what holds.
        entry.told = None;
    }
    let mut refusals = Vec::new();
    for (part, quota) in &wanted {
        match inner.client.update_cpu(&part.at.id, *quota, abilities.cgroups_v1).await {
            Ok(()) => {}
            Err(ApiError::Refused(_, words)) => refusals.push((part.at.id.clone(), words)),
            Err(why) => return Err(error("the CPU quota", why)),
        }
    }
    if !refusals.is_empty() {
        // One that has ended meanwhile has no quota to be changed.
        let found = look::one(inner, &entry.pod.id, handle).await;
        found.map_err(|why| error("the pod cannot be looked at", why))?.ok_or_else(gone)?;
    }
    let mut state = inner.table.lock();
    let entry = state.pods.get_mut(handle).ok_or_else(gone)?;
    entry.told = Some(quota_us);
    note_applied(entry);
    let now = if possible { parts(&entry.pod, quota_us) } else { Vec::new() };
    refusals.retain(|(id, _)| now.iter().any(|(part, _)| part.at.id == *id));
    let mut warnings: Vec<String> =
        inner.cpu_warning().filter(|_| !possible && quota_us.is_some()).into_iter().collect();
    for (part, quota) in now {
        let name = &part.name;
        let refusal = refusals.iter().find(|(id, _)| *id == part.at.id);
        let kept = entry.applied.get(&part.at.id).and_then(|(_, kept)| *kept);
        let shown = |quota: Option<u32>| quota.map_or("none".to_owned(), |us| format!("{us} µs"));
        match (refusal, kept) {
            (Some((_, words)), _) => {
                warnings.push(format!("LimitNotEnforced: the CPU quota of container {name}: {words}"));
            }
            (None, Some(kept)) if kept != quota => warnings.push(format!(
                "LimitNotEnforced: the kernel holds container {name} to {} of CPU per 100 ms, not to {}",
                shown(kept),
                shown(quota)
            )),
            (None, _) => {}
        }
    }
    entry.refused = (!refusals.is_empty()).then(Instant::now);
    entry.limit_warnings = warnings;
    entry.look = inner.draw();
    look::instance(inner, &state, handle).ok_or_else(gone)
}

/// Notes what the kernel keeps now: if that changes, the quota has to be told again.
pub(super) fn note_applied(entry: &mut Entry) {
    let running = entry.pod.parts().filter(|part| part.at.runs() && part.at.pid > 0);
    entry.applied =
        running.map(|part| (part.at.id.clone(), (part.at.pid, cpu::in_force(part.at.pid, &part.at.id)))).collect();
}
