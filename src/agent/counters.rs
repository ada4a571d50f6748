//! Counters of the parts that HTTP does not know, for `GET /metrics`.

use flotta_broker::{Broker, Refusal};

use crate::http::prometheus::{Counters, Family, as_f64};

use super::reconcile::Handle;

pub(super) struct OfAgent {
    broker: Option<Broker>,
    reconcile: Handle,
}

impl OfAgent {
    pub(super) fn new(broker: Option<Broker>, reconcile: Handle) -> OfAgent {
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
        let Some(broker) = &self.broker else { return all };
        let counters = broker.counters();
        let refused =
            Refusal::ALL.iter().map(|what| (vec![("what", what.as_str().to_owned())], as_f64(counters.refused(*what))));
        all.extend([
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
        ]);
        all
    }
}
