//! Counters of the parts that HTTP does not know, for `GET /metrics`.

use std::sync::Arc;

use flotta_broker::{Broker, Refusal};

use crate::http::prometheus::{Counters, Family, as_f64};
use crate::mqtt::external::{self, ExternalOutlet};

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
}

impl OfAgent {
    pub(super) fn new(broker: Counted, reconcile: Handle) -> OfAgent {
        OfAgent { broker, reconcile }
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
        all
    }
}

fn embedded(broker: &Broker) -> [Family; 8] {
    let counters = broker.counters();
    let refused =
        Refusal::ALL.iter().map(|what| (vec![("what", what.as_str().to_owned())], as_f64(counters.refused(*what))));
    [
        Family::gauge("flotta_broker_connections", "Clients connected", as_f64(counters.connections)),
        Family::counter("flotta_broker_connected", "Connections accepted", counters.connections_total),
        Family::counter("flotta_broker_messages_in", "Messages from clients", counters.messages_in),
        Family::counter("flotta_broker_messages_out", "Messages to clients", counters.messages_out),
        Family::counter("flotta_broker_messages_lost", "Messages that a slow client lost", counters.messages_lost),
        Family::gauge("flotta_broker_retained", "Retained messages", as_f64(counters.retained_count)),
        Family::gauge("flotta_broker_retained_bytes", "Their bytes", as_f64(counters.retained_bytes)),
        Family {
            name: "flotta_broker_refused",
            help: "What the broker refused, by what it was",
            counts: true,
            samples: refused.collect(),
        },
    ]
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
