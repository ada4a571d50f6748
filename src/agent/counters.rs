//! Counters of the parts that HTTP does not know, for `GET /metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flotta_broker::{Broker, Refusal};

use crate::http::prometheus::{Counters, Family, as_f64};
use crate::mqtt::external::{self, ExternalOutlet};
use crate::probes;
use crate::source::flotta::Counts;

use super::reconcile::Handle;

/// The broker that is counted at.
pub(super) enum Counted {
    Embedded(Broker),
    External(Arc<ExternalOutlet>),
    None,
}

pub(super) struct OfAgent {
    broker: Counted,
    reconcile: Handle,
    server: Option<Arc<Counts>>,
    probes: Arc<probes::Counts>,
}

impl OfAgent {
    pub(super) fn new(
        broker: Counted,
        reconcile: Handle,
        server: Option<Arc<Counts>>,
        probes: Arc<probes::Counts>,
    ) -> OfAgent {
        OfAgent { broker, reconcile, server, probes }
    }
}

impl Counters for OfAgent {
    fn families(&self) -> Vec<Family> {
        let saved = self.reconcile.saved();
        let mut all = vec![
            Family::counter("flotta_state_writes", "Objects written to the state directory", saved.writes),
            Family::counter("flotta_state_bytes", "Bytes written to the state directory", saved.bytes),
            Family::counter("flotta_state_failures", "Writes to the state directory that failed", saved.failures),
            Family::counter("flotta_state_coalesced", "Values replaced before they were written", saved.coalesced),
        ];
        match &self.broker {
            Counted::Embedded(broker) => all.extend(embedded(broker)),
            Counted::External(outlet) => all.extend(elsewhere(outlet)),
            Counted::None => {}
        }
        let get = |count: &AtomicU64| count.load(Relaxed);
        all.extend([
            Family::counter("flotta_probes", "Probes of containers that were tried", get(&self.probes.tried)),
            Family::counter("flotta_probes_failed", "Probes of containers that failed", get(&self.probes.failed)),
            Family::counter("flotta_probes_late", "Times that a probe had to wait for others", get(&self.probes.late)),
        ]);
        all.extend(self.server.iter().flat_map(|counts| of_server(counts)));
        all
    }
}

fn of_server(counts: &Counts) -> [Family; 12] {
    let get = |count: &AtomicU64| count.load(Relaxed);
    let traffic = &counts.traffic;
    [
        Family::gauge("flotta_server_reached", "The last exchange reached the server", as_f64(get(&counts.reached))),
        Family::counter("flotta_server_exchanges", "Exchanges with the server", get(&traffic.exchanges)),
        Family::counter("flotta_server_unanswered", "Exchanges without an answer", get(&traffic.unanswered)),
        Family::counter("flotta_server_clients", "Times that connections were made anew", get(&traffic.clients)),
        Family::counter("flotta_server_sent_bytes", "Bytes of messages to the server", get(&traffic.sent)),
        Family::counter("flotta_server_received_bytes", "Bytes of its answers", get(&traffic.received)),
        Family::counter("flotta_server_troubles", "Exchanges that went wrong in a new way", get(&counts.troubles)),
        Family::counter("flotta_server_configurations", "Configurations with new content", get(&counts.configurations)),
        Family::counter("flotta_server_certificates", "Certificates received", get(&counts.certificates)),
        Family::gauge(
            "flotta_server_certificate_not_after_seconds",
            "When the device's certificate ends, since 1970; 0: it has none",
            as_f64(get(&counts.not_after)),
        ),
        Family::gauge("flotta_server_events_waiting", "Events not delivered", as_f64(get(&counts.events_waiting))),
        Family::counter("flotta_server_events_dropped", "Events dropped for room", get(&counts.events_dropped)),
    ]
}

fn embedded(broker: &Broker) -> Vec<Family> {
    let counters = broker.counters();
    let refused =
        Refusal::ALL.iter().map(|what| (vec![("what", what.as_str().to_owned())], as_f64(counters.refused(*what))));
    let refused = Family {
        name: "flotta_broker_refused",
        help: "What the broker refused, by what it was",
        counts: true,
        samples: refused.collect(),
    };
    let gauges = [
        ("flotta_broker_connections", "Clients connected", counters.connections),
        ("flotta_broker_connections_most", "The most that were connected at a time", counters.connections_most),
        ("flotta_broker_sessions_parked", "Sessions kept for clients that are away", counters.sessions_parked),
        ("flotta_broker_subscriptions", "Filters held", counters.subscriptions),
        ("flotta_broker_queued", "Messages that wait for clients", counters.queued_messages),
        ("flotta_broker_queued_bytes", "Their bytes", counters.queued_bytes),
        ("flotta_broker_retained", "Retained messages", counters.retained_count),
        ("flotta_broker_retained_bytes", "Their bytes", counters.retained_bytes),
    ];
    let counts = [
        ("flotta_broker_connected", "Connections accepted", counters.connections_total),
        ("flotta_broker_packets_in", "Packets of any kind from clients", counters.packets_in),
        ("flotta_broker_packets_out", "Packets of any kind to clients", counters.packets_out),
        ("flotta_broker_bytes_in", "Bytes from clients", counters.bytes_in),
        ("flotta_broker_bytes_out", "Bytes to clients", counters.bytes_out),
        ("flotta_broker_messages_in", "Messages from clients and from the agent", counters.messages_in),
        ("flotta_broker_messages_out", "Messages to clients", counters.messages_out),
        ("flotta_broker_payload_bytes_in", "Bytes of payload from clients and from the agent", counters.payload_in),
        ("flotta_broker_payload_bytes_out", "Bytes of payload to clients", counters.payload_out),
        ("flotta_broker_messages_lost", "Messages dropped, for clients too slow to read them", counters.messages_lost),
        ("flotta_broker_retained_writes", "Files of retained messages written", counters.retained_writes),
        ("flotta_broker_retained_written_bytes", "Bytes of these", counters.retained_written_bytes),
        ("flotta_broker_retained_failures", "Files that could not be written", counters.retained_failures),
    ];
    let gauges = gauges.into_iter().map(|(name, help, value)| Family::gauge(name, help, as_f64(value)));
    let counts = counts.into_iter().map(|(name, help, value)| Family::counter(name, help, value));
    gauges.chain(counts).chain([refused]).collect()
}

fn elsewhere(outlet: &ExternalOutlet) -> [Family; 6] {
    let counts = outlet.counts();
    let refused = external::Refusal::ALL
        .iter()
        .map(|what| (vec![("what", what.as_str().to_owned())], as_f64(counts.refused(*what))));
    let waiting = u64::try_from(counts.waiting).unwrap_or(u64::MAX);
    [
        Family::gauge("flotta_external_connected", "Connected to the external broker", f64::from(counts.connected)),
        Family::counter(
            "flotta_external_reconnects",
            "Connections to it after the first",
            counts.connects.saturating_sub(1),
        ),
        Family::gauge("flotta_external_events_waiting", "Events that it has not acknowledged", as_f64(waiting)),
        Family::counter("flotta_external_events_dropped", "Events dropped for room or not taken by it", counts.dropped),
        Family::counter(
            "flotta_external_retained_published",
            "Retained messages that it acknowledged",
            counts.retained,
        ),
        Family {
            name: "flotta_external_refused",
            help: "What it refused, by what it was",
            counts: true,
            samples: refused.collect(),
        },
    ]
}
