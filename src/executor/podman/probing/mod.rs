//! Probing what runs: one task that waits for the next due time, tries what is due, and tells what changed.
//!
//! ```text
//!  start, resume, adopt ─► care (what a pod asks for) ─┐
//!  look (what runs) ───────────────────────────────────┴─► table: runs, each with its prober
//!        ▲                                                    │ due            ▲ results
//!        └── hint ── end (preStop, stop) ◄── liveness, startup ── follow ─► act (bounded, each with its timeout)
//!                                                                └─► Changed, as soon as readiness changes
//! ```
//!
//! Podman's own health checks are not used: they need systemd, know no readiness, quote commands wrongly, and restart at once.

mod act;
mod care;
mod hooks;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use self::act::Whom;
pub(super) use self::care::PodCare;
pub(super) use self::hooks::{start, stop};
pub(super) use self::table::Probing;
use self::table::Try;
use super::table::State;
use super::{Inner, look};
use crate::clock::{self, Alarm};
use crate::executor::{ExecutorEvent, Handle};
use crate::model::time::{Mono, Now};
use crate::model::workload::Workload;
use crate::probes::Failure;
use crate::probes::prober::Meaning;

/// Tries under way at the same time, of all pods; what else is due waits for its turn, and is counted as late.
const AT_ONCE: usize = 32;

/// The clock that tries are due on.
#[derive(Debug)]
pub(super) enum Ticks {
    /// The machine's, which goes on through suspend.
    Boot,
    /// The runtime's, from here on.
    Runtime(Instant),
}

impl Ticks {
    pub(super) fn now(&self) -> Mono {
        match self {
            Ticks::Boot => clock::mono(),
            Ticks::Runtime(base) => Mono(u64::try_from(base.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl Inner {
    pub(super) fn now(&self) -> Now {
        Now { mono: self.ticks.now(), wall: (self.clock)() }
    }
}

/// What a pod that runs, or will in a moment, asks for.
pub(super) fn adopt(inner: &Inner, handle: &Handle, workload: &Workload) {
    let now = inner.now();
    let mut state = inner.table.lock();
    let State { pods, probing, .. } = &mut *state;
    if probing.pod(handle).is_some() {
        return;
    }
    probing.know(handle, PodCare::of(workload));
    if let Some(entry) = pods.get(handle) {
        probing.seen(handle, &entry.pod, entry.stopped.is_some(), now);
        inner.probing.notify_one();
    }
}

/// Probes what is to be probed, for ever.
pub(super) async fn follow(inner: Arc<Inner>) {
    let mut alarm = match inner.ticks {
        Ticks::Boot => Alarm::new().map_err(|why| tracing::error!("no timer: {why}; suspend is not noticed")).ok(),
        Ticks::Runtime(_) => None,
    };
    let mut tries: JoinSet<Result<(), Failure>> = JoinSet::new();
    let mut under_way: HashMap<Id, Try> = HashMap::new();
    loop {
        let now = inner.ticks.now();
        let free = AT_ONCE.saturating_sub(tries.len());
        let (due, next) = {
            let mut state = inner.table.lock();
            (state.probing.take(now, free), state.probing.next())
        };
        for one in due {
            under_way.insert(tries.spawn(run(inner.clone(), one.clone())).id(), one);
        }
        let next = match next {
            Some(at) if at <= now && tries.len() >= AT_ONCE => {
                inner.setting.probes.late.fetch_add(1, Ordering::Relaxed);
                // One that is done makes room.
                Mono(u64::MAX)
            }
            next => next.unwrap_or(Mono(u64::MAX)),
        };
        tokio::select! {
            Some(done) = tries.join_next_with_id(), if !tries.is_empty() => {
                let (id, result) = match done {
                    Ok(done) => done,
                    // One that never came back would never be tried again.
                    Err(why) => (why.id(), Err(Failure::own(format!("an error of the agent itself, please report it: {why}")))),
                };
                if let Some(of) = under_way.remove(&id) {
                    learn(&inner, &of, result).await;
                }
            }
            () = inner.probing.notified() => {}
            () = rings(&mut alarm, &inner.ticks, next) => {}
        }
    }
}

async fn rings(alarm: &mut Option<Alarm>, ticks: &Ticks, at: Mono) {
    if let Some(one) = alarm {
        if one.rings(at).await.is_ok() {
            return;
        }
        *alarm = None;
    }
    if at == Mono(u64::MAX) {
        return std::future::pending().await;
    }
    tokio::time::sleep(at.since(ticks.now())).await;
}

async fn run(inner: Arc<Inner>, of: Try) -> Result<(), Failure> {
    inner.setting.probes.tried.fetch_add(1, Ordering::Relaxed);
    let whom = Whom { handle: of.handle, container: of.container, pid: of.pid, host_network: of.host_network };
    let result = match of.care.probe(of.kind) {
        Some(probe) => act::probe(&inner, &whom, &probe.action, probe.timeout).await,
        None => Ok(()),
    };
    if result.is_err() {
        inner.setting.probes.failed.fetch_add(1, Ordering::Relaxed);
    }
    result
}

async fn learn(inner: &Arc<Inner>, of: &Try, result: Result<(), Failure>) {
    if let Err(Failure { why, own }) = &result {
        tracing::debug!(container = of.container, probe = of.kind.as_str(), why, own, "a probe failed");
    }
    let now = inner.now();
    let spare = inner.setting.spare.load(Ordering::Relaxed);
    let (meaning, ending) = inner.table.lock().probing.result(of, result, now, spare);
    if let Some(ending) = ending {
        let inner = inner.clone();
        tokio::spawn(async move { hooks::end(&inner, &ending).await });
    }
    if meaning != Meaning::Nothing {
        tell(inner, &of.handle).await;
    }
}

/// Tells how a pod is now. While an operation of its workload goes on, it is looked at when that is over.
async fn tell(inner: &Inner, handle: &Handle) {
    let instance = {
        let mut state = inner.table.lock();
        let Some(id) = state.pods.get(handle).map(|entry| entry.pod.id.clone()) else { return };
        if state.is_busy(&id) {
            state.hint(id);
            return;
        }
        look::instance(inner, &state, handle)
    };
    if let Some(instance) = instance {
        let _ = inner.events.send(ExecutorEvent::Changed(instance)).await;
    }
}
