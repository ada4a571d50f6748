//! What the broker counts. Counters only grow; gauges (`connections`, `retained_*`) go both ways.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Everything that the broker refuses, drops or closes, one name each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A connection beyond `Limits::connections`.
    Connections,
    /// No whole CONNECT within `Limits::connect_deadline`.
    ConnectDeadline,
    /// Another protocol than MQTT 3.1.1.
    Version,
    /// A client id that is empty without a clean session, too long, or has forbidden characters.
    ClientId,
    /// A packet that MQTT 3.1.1 forbids; the connection was closed.
    Protocol,
    /// A packet beyond `Limits::packet_bytes`; the connection was closed.
    PacketBytes,
    /// More than `Limits::inflight_qos2` unreleased messages; the connection was closed.
    InflightQos2,
    /// A publish (or will) that the rights forbid: acknowledged, not delivered.
    PublishRights,
    /// A publish to a `$` topic or to one that is too long or too deep: acknowledged, not delivered.
    PublishTopic,
    /// A filter that the rights forbid.
    SubscribeRights,
    /// A filter that is malformed, too long or too deep.
    SubscribeFilter,
    /// A filter beyond `Limits::filters_per_client` or `Limits::distinct_filters`.
    SubscribeLimit,
    /// A retained message beyond `Limits::retained_count` or `Limits::retained_bytes`: delivered, not kept.
    Retained,
    /// A session beyond `Limits::parked_sessions`.
    ParkedSessions,
    /// A client that did not read for `Limits::write_deadline`; the connection was closed.
    SlowReader,
    /// A client that was silent for one and a half keep-alives; the connection was closed.
    KeepAlive,
}

impl Refusal {
    /// All of them, in the order of `Counters::refused`.
    pub const ALL: [Refusal; 16] = [
        Refusal::Connections,
        Refusal::ConnectDeadline,
        Refusal::Version,
        Refusal::ClientId,
        Refusal::Protocol,
        Refusal::PacketBytes,
        Refusal::InflightQos2,
        Refusal::PublishRights,
        Refusal::PublishTopic,
        Refusal::SubscribeRights,
        Refusal::SubscribeFilter,
        Refusal::SubscribeLimit,
        Refusal::Retained,
        Refusal::ParkedSessions,
        Refusal::SlowReader,
        Refusal::KeepAlive,
    ];

    /// The name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Connections => "connections",
            Refusal::ConnectDeadline => "connect_deadline",
            Refusal::Version => "version",
            Refusal::ClientId => "client_id",
            Refusal::Protocol => "protocol",
            Refusal::PacketBytes => "packet_bytes",
            Refusal::InflightQos2 => "inflight_qos2",
            Refusal::PublishRights => "publish_rights",
            Refusal::PublishTopic => "publish_topic",
            Refusal::SubscribeRights => "subscribe_rights",
            Refusal::SubscribeFilter => "subscribe_filter",
            Refusal::SubscribeLimit => "subscribe_limit",
            Refusal::Retained => "retained",
            Refusal::ParkedSessions => "parked_sessions",
            Refusal::SlowReader => "slow_reader",
            Refusal::KeepAlive => "keep_alive",
        }
    }
}

/// A snapshot of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Clients connected now (CONNECT accepted).
    pub connections: u64,
    /// Clients that ever connected.
    pub connections_total: u64,
    /// PUBLISH packets taken from clients (refused ones not counted), wills and the agent's own included.
    pub messages_in: u64,
    /// PUBLISH packets written towards clients.
    pub messages_out: u64,
    /// Messages that a subscriber was too slow for: they left the router's log before it read them.
    pub messages_lost: u64,
    /// Retained messages held now.
    pub retained_count: u64,
    /// Bytes (topic and payload) of the retained messages held now.
    pub retained_bytes: u64,
    /// How often what was refused, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl Counters {
    /// How often this was refused.
    pub fn refused(&self, what: Refusal) -> u64 {
        self.refused[what as usize]
    }
}

/// The live counters behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub connections: AtomicU64,
    pub connections_total: AtomicU64,
    pub messages_in: AtomicU64,
    pub messages_out: AtomicU64,
    pub messages_lost: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Live {
    pub fn refuse(&self, what: Refusal) {
        self.refused[what as usize].fetch_add(1, Relaxed);
    }

    /// All but the gauges of the retained store.
    pub fn snapshot(&self) -> Counters {
        Counters {
            connections: self.connections.load(Relaxed),
            connections_total: self.connections_total.load(Relaxed),
            messages_in: self.messages_in.load(Relaxed),
            messages_out: self.messages_out.load(Relaxed),
            messages_lost: self.messages_lost.load(Relaxed),
            retained_count: 0,
            retained_bytes: 0,
            refused: std::array::from_fn(|i| self.refused[i].load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_refusal_at_its_own_index() {
        for (i, what) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(what as usize, i, "{}", what.as_str());
        }
    }
}
