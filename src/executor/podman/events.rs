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
/// An event that is older than a look, by at most this, is known. (By more: a clock jumped.)
const KNOWN_NS: i64 = 10_000_000_000;

/// Follows the events for ever.
pub(super) async fn follow(inner: Arc<Inner>) {
    let label = inner.owned();
    let mut wait = RETRY.0;
    // Seconds since 1970 of the last event: what came after it while nobody listened is replayed.
    let mut last: Option<i64> = None;
    loop {
        // Not from later than now: the clock was set back, and podman would be silent until then.
        let since = last.map(|last| last.min(inner.now_ns() / 1_000_000_000));
        match inner.client.events(&label, since).await {
            Ok(mut lines) => {
                inner.forget_abilities();
                // What happened while nobody listened, and from before the agent was there.
                relist(&inner).await;
                let mut any = false;
                while let Ok(Some(line)) = lines.next().await {
                    any = true;
                    if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                        last = last.max(Some(event.time_nano / 1_000_000_000));
                        heard(&inner, &event);
                    }
                }
                if any {
                    wait = RETRY.0;
                }
                // Podman ended or was ended: whether it can still be asked is to be known now.
                relist(&inner).await;
            }
            Err(why) => tracing::debug!(podman = inner.shown, %why, "no events of podman"),
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
    let looked = inner.table.lock().looked_ns.get(&id).copied().unwrap_or(0);
    let before = looked.saturating_sub(event.time_nano);
    if (0..KNOWN_NS).contains(&before) && before > 0 {
        return;
    }
    inner.table.hint(id);
    inner.hinted.notify_one();
}
