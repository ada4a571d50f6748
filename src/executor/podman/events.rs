//! Following podman's events: they only say where to look.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::labels;
use super::wire::Event;
use crate::executor::ExecutorEvent;
use crate::model::id::WorkloadId;

/// Between two tries to connect: doubled each time, from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Events arrive within this time: one that is dated before a look is only known if it comes so soon after it. (Later: the
/// clock was set back.)
const LATE: Duration = Duration::from_secs(2);

/// Follows the events for ever.
pub(super) async fn follow(inner: Arc<Inner>) {
    let label = inner.owned();
    let mut wait = RETRY.0;
    // Seconds since 1970 of the last event: what came after it while nobody listened is replayed.
    let mut last: Option<i64> = None;
    let mut told: Option<String> = None;
    loop {
        // A clock that was set back must not make it wait for the future.
        let since = last.map(|last| last.min(inner.now_ns() / 1_000_000_000));
        match inner.client.events(&label, since).await {
            Ok(mut lines) => {
                told = None;
                inner.forget_abilities();
                inner.sweep_again();
                // What happened while nobody listened, and from before the agent was there.
                relist(&inner).await;
                let mut any = false;
                loop {
                    let line = tokio::select! {
                        line = lines.next() => line,
                        // A new connection finds out whether it answers again; an old one may outlive its socket.
                        () = inner.lost.notified() => break,
                    };
                    let Ok(Some(line)) = line else { break };
                    any = true;
                    if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                        last = Some(event.time_nano / 1_000_000_000);
                        heard(&inner, &event);
                    }
                }
                if any {
                    wait = RETRY.0;
                }
                // Podman ended or was ended: whether it can still be asked is to be known now.
                relist(&inner).await;
            }
            Err(why) => {
                tracing::debug!(podman = inner.shown(), %why, "no events of podman");
                // Another cause than before is to be said.
                let why = why.to_string();
                if told.replace(why.clone()).is_some_and(|before| before != why) {
                    relist(&inner).await;
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(RETRY.1);
    }
}

async fn relist(inner: &Inner) {
    // Nobody listens any more: the agent ends.
    let _ = inner.events.send(ExecutorEvent::Relist).await;
}

fn heard(inner: &Inner, event: &Event) {
    if !matches!(event.action.as_str(), "died" | "start" | "remove" | "pause" | "unpause" | "restart") {
        return;
    }
    let of = |name: &str| event.actor.attributes.get(name).map(String::as_str).unwrap_or_default();
    let Ok(id) = WorkloadId::try_new(of(labels::NAMESPACE), of(labels::NAME)) else { return };
    let looked = inner.table.lock().looked.get(&id).copied();
    if looked.is_some_and(|looked| event.time_nano < looked.at_ns && looked.at.elapsed() < LATE) {
        return;
    }
    inner.table.hint(id);
    inner.hinted.notify_one();
}
