//! The limits of the broker: everything that can grow has one here, by name.

use std::time::Duration;

/// What a broker may use. The defaults suit a small device: a few MiB in all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time, those that have not said CONNECT yet included. One more is closed at once.
    pub connections: usize,
    /// Bytes of one packet after its fixed header. A longer one closes the connection before it is read.
    pub packet_bytes: usize,
    /// Bytes of a topic or a filter.
    pub topic_bytes: usize,
    /// Levels (parts between `/`) of a topic or a filter.
    pub topic_levels: usize,
    /// Bytes of a client id.
    pub client_id_bytes: usize,
    /// Filters that one client may hold.
    pub filters_per_client: usize,
    /// Distinct filters of all clients together. The router keeps up to 128 KiB of recent messages for each.
    pub distinct_filters: usize,
    /// QoS 2 messages of one client between PUBLISH and PUBREL. One more closes the connection.
    pub inflight_qos2: usize,
    /// QoS 1 messages to one client that wait for their PUBACK. At the limit that client's other messages wait.
    pub inflight_qos1: usize,
    /// Retained messages.
    pub retained_count: usize,
    /// Bytes (topic and payload) of all retained messages.
    pub retained_bytes: usize,
    /// Sessions kept for clients that are away (`clean_session = false`). The oldest makes room.
    pub parked_sessions: usize,
    /// Bytes that wait in our memory for one client to read them; beyond, its messages stay in the router.
    pub outbound_bytes: usize,
    /// From the accepted connection (TLS included) to the end of CONNECT.
    pub connect_deadline: Duration,
    /// How long a client may leave what we write unread without taking a single byte, before it is dropped.
    pub write_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            packet_bytes: 256 * 1024,
            topic_bytes: 1024,
            topic_levels: 32,
            client_id_bytes: 128,
            filters_per_client: 64,
            distinct_filters: 256,
            inflight_qos2: 64,
            inflight_qos1: 64,
            retained_count: 4096,
            retained_bytes: 4 * 1024 * 1024,
            parked_sessions: 32,
            outbound_bytes: 64 * 1024,
            connect_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
        }
    }
}
