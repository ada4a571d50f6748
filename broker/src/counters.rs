//! What the broker counts. Counters only grow; gauges (`connections`, `retained_*`) go both ways.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Everything that the broker refuses, drops or closes, one name each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A connection beyond `Limits::connections`, or one that had not said CONNECT when another needed its place.
    Connections,
    /// No whole CONNECT within `Limits::connect_deadline`.
    ConnectDeadline,
    /// Another protocol than MQTT 3.1.1.
    Version,
    /// A client id that is empty without a clean session, too long, or has forbidden characters.
    ClientId,
    /// A login that the rights refuse.
    Login,
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
    /// A filter beyond `Limits::filters_per_client` or `Limits::filters_bytes`.
    SubscribeLimit,
    /// A retained message beyond `Limits::retained_count` or `Limits::retained_bytes`: delivered, not kept.
    Retained,
    /// A session beyond `Limits::parked_sessions`.
    ParkedSessions,
    /// A client that did not read for `Limits::write_deadline`; the connection was closed.
    SlowReader,
    /// A client that did not end a packet within `Limits::packet_deadline`, or dawdled over a large one when
    /// `Limits::large_packets` others had one; the connection was closed.
    SlowWriter,
    /// A client that acknowledged nothing for `Limits::ack_deadline`; the connection was closed.
    Unacknowledged,
    /// A client that was silent for one and a half keep-alives; the connection was closed.
    KeepAlive,
}

impl Refusal {
    /// All of them, in the order of `Counters::refused`.
    pub const ALL: [Refusal; 19] = [
        Refusal::Connections,
        Refusal::ConnectDeadline,
        Refusal::Version,
        Refusal::ClientId,
        Refusal::Login,
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
        Refusal::SlowWriter,
        Refusal::Unacknowledged,
        Refusal::KeepAlive,
    ];

    /// The name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Connections => "connections",
            Refusal::ConnectDeadline => "connect_deadline",
            Refusal::Version => "version",
            Refusal::ClientId => "client_id",
            Refusal::Login => "login",
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
            Refusal::SlowWriter => "slow_writer",
            Refusal::Unacknowledged => "unacknowledged",
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
    /// The most that ever were connected at the same time.
    pub connections_most: u64,
    /// Clients that ever connected.
    pub connections_total: u64,
    /// Sessions kept now for clients that are away.
    pub sessions_parked: u64,
    /// Filters held now, counted for each session.
    pub subscriptions: u64,
    /// Packets of any kind from clients.
    pub packets_in: u64,
    /// Packets of any kind to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes towards clients.
    pub bytes_out: u64,
    /// PUBLISH packets taken from clients (refused ones not counted), wills and the agent's own included.
    pub messages_in: u64,
    /// Bytes of their payloads.
    pub payload_in: u64,
    /// PUBLISH packets written towards clients.
    pub messages_out: u64,
    /// Bytes of their payloads.
    pub payload_out: u64,
    /// Messages that a subscriber was too slow for: they were dropped from its queue.
    pub messages_lost: u64,
    /// Messages that wait now for clients to take them.
    pub queued_messages: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Retained messages held now.
    pub retained_count: u64,
    /// Bytes (topic and payload) of the retained messages held now.
    pub retained_bytes: u64,
    /// Files of retained messages that were written.
    pub retained_writes: u64,
    /// Bytes of these files.
    pub retained_written_bytes: u64,
    /// How often writing one failed; it is tried again.
    pub retained_failures: u64,
    /// How often what was refused, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl Counters {
    /// How often this was refused.
    pub fn refused(&self, what: Refusal) -> u64 {
        self.refused[what as usize]
    }
}

/// A count of things, and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    pub fn add(&self, bytes: usize) {
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// The live counters behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Live {
    connections: AtomicU64,
    connections_most: AtomicU64,
    connections_total: AtomicU64,
    pub packets_in: AtomicU64,
    /// Packets to clients other than PUBLISH.
    pub answers: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    pub publish_in: Traffic,
    pub publish_out: Traffic,
    pub messages_lost: AtomicU64,
    pub retained_written: Traffic,
    pub retained_failures: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Live {
    pub fn refuse(&self, what: Refusal) {
        self.refused[what as usize].fetch_add(1, Relaxed);
    }

    pub fn connected(&self) {
        let now = self.connections.fetch_add(1, Relaxed).saturating_add(1);
        self.connections_most.fetch_max(now, Relaxed);
        self.connections_total.fetch_add(1, Relaxed);
    }

    pub fn disconnected(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// All but the gauges of the retained store and of the router.
    pub fn snapshot(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Counters {
            connections: of(&self.connections),
            connections_most: of(&self.connections_most),
            connections_total: of(&self.connections_total),
            packets_in: of(&self.packets_in),
            packets_out: of(&self.answers).saturating_add(of(&self.publish_out.count)),
            bytes_in: of(&self.bytes_in),
            bytes_out: of(&self.bytes_out),
            messages_in: of(&self.publish_in.count),
            payload_in: of(&self.publish_in.bytes),
            messages_out: of(&self.publish_out.count),
            payload_out: of(&self.publish_out.bytes),
            messages_lost: of(&self.messages_lost),
            retained_writes: of(&self.retained_written.count),
            retained_written_bytes: of(&self.retained_written.bytes),
            retained_failures: of(&self.retained_failures),
            refused: std::array::from_fn(|i| of(&self.refused[i])),
            ..Counters::default()
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
