//! Containers that podman says run, and whose process is gone: where a container's monitor is killed with it (the kernel's OOM
//! killer, a careless `kill`), nobody tells podman, and it never finds out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::wire::Listed;
use super::{Inner, cpu, labels};
use crate::model::id::WorkloadId;

/// An ordinary end is known to podman long before.
const CONFIRM: Duration = Duration::from_secs(3);

/// Marks those that are lost for certain, and sees to it that suspects are looked at again.
pub(super) fn mark(inner: &Arc<Inner>, listed: &mut [Listed]) {
    let running = listed.iter_mut().filter(|one| one.runs() && one.pid > 0);
    let known = running.filter_map(|one| Some((cpu::is_process_of(one.pid, &one.id)?, one)));
    let (there, gone): (Vec<_>, Vec<_>) = known.partition(|(there, _)| *there);
    let mut state = inner.table.lock();
    // An agent in a container of its own sees none of the device's processes.
    state.sees_processes |= !there.is_empty();
    for (_, one) in there {
        state.suspected.remove(&(one.id.clone(), one.pid));
    }
    if !state.sees_processes {
        return;
    }
    for (_, one) in gone {
        let key = (one.id.clone(), one.pid);
        match state.suspected.get(&key) {
            Some(since) => one.lost = since.elapsed() >= CONFIRM,
            None => {
                state.suspected.insert(key, Instant::now());
                look_again(inner, one);
            }
        }
    }
}

fn look_again(inner: &Arc<Inner>, one: &Listed) {
    let label = |name| one.label(name).unwrap_or_default();
    let Ok(id) = WorkloadId::try_new(label(labels::NAMESPACE), label(labels::NAME)) else { return };
    let inner = inner.clone();
    tokio::spawn(async move {
        sleep(CONFIRM).await;
        inner.table.hint(id);
        inner.hinted.notify_one();
    });
}
