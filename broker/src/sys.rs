//! `$SYS`: the broker's figures under the names that mosquitto gave them, so that dashboards made for it work.
//!
//! They are worked out when somebody subscribes, and every [`INTERVAL`] while somebody is subscribed: a broker that
//! nobody watches does nothing for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::Refusal;
use crate::counters::Counters;
use crate::hub::Hub;

/// The first level.
pub(crate) const ROOT: &str = "$SYS";
/// As mosquitto's `sys_interval`.
const INTERVAL: Duration = Duration::from_secs(10);

/// A new subscription gets figures that are at most so old: thousands of them in one packet are not worked out anew each.
pub(crate) const FRESH: Duration = Duration::from_millis(100);

/// Whether a filter is about these topics.
pub(crate) fn is_of(filter: &str) -> bool {
    filter.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Publishes the figures that have changed.
pub(crate) fn publish(hub: &Hub) {
    let counters = hub.counters();
    let uptime = hub.started.elapsed().as_secs();
    hub.say("$SYS/broker/version", concat!("flotta-broker ", env!("CARGO_PKG_VERSION")));
    hub.say("$SYS/broker/uptime", &format!("{uptime} seconds"));
    for (name, value) in figures(&counters) {
        hub.say(&format!("$SYS/broker/{name}"), &value.to_string());
    }
    for what in Refusal::ALL {
        hub.say(&format!("$SYS/broker/refused/{}", what.as_str()), &counters.refused(what).to_string());
    }
}

fn figures(counters: &Counters) -> [(&'static str, u64); 21] {
    let known = counters.connections.saturating_add(counters.sessions_parked);
    [
        ("clients/connected", counters.connections),
        ("clients/active", counters.connections),
        ("clients/disconnected", counters.sessions_parked),
        ("clients/inactive", counters.sessions_parked),
        ("clients/total", known),
        ("clients/maximum", counters.connections_most),
        ("connections/total", counters.connections_total),
        ("messages/received", counters.packets_in),
        ("messages/sent", counters.packets_out),
        ("publish/messages/received", counters.messages_in),
        ("publish/messages/sent", counters.messages_out),
        ("publish/messages/dropped", counters.messages_lost),
        ("publish/bytes/received", counters.payload_in),
        ("publish/bytes/sent", counters.payload_out),
        ("bytes/received", counters.bytes_in),
        ("bytes/sent", counters.bytes_out),
        ("subscriptions/count", counters.subscriptions),
        ("retained messages/count", counters.retained_count),
        ("retained messages/bytes", counters.retained_bytes),
        ("store/messages/bytes", counters.queued_bytes.saturating_add(counters.retained_bytes)),
        ("store/messages/count", counters.queued_messages.saturating_add(counters.retained_count)),
    ]
}

/// Keeps the figures fresh for those who watch.
pub(crate) async fn refresh(hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    let refresh = async {
        loop {
            if !hub.is_watched() {
                hub.watched.notified().await;
            }
            tokio::time::sleep(INTERVAL).await;
            publish(&hub);
        }
    };
    tokio::select! {
        () = refresh => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
