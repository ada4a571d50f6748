//! The limits of the broker: everything that can grow has one here, by name.

use std::time::Duration;

/// What a broker may use. The defaults suit a small device.
///
/// All of it together, at the worst: `queues_bytes` twice + `retained_bytes` + `filters_bytes` + `large_packets` ×
/// `packet_bytes` + for each connection its read buffer (16 KiB), its will, `outbound_bytes` (twice for what is written,
/// once for what is about to be) and `inflight_bytes`, the last two with one message of `packet_bytes` more if such are
/// sent. Buffers that grow may have twice of what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time. When all are taken, a new one takes the place of the oldest that has not said CONNECT yet;
    /// if there is none, it is closed at once.
    pub connections: usize,
    /// Bytes of one packet after its fixed header. A longer one closes the connection before it is read.
    pub packet_bytes: usize,
    /// Clients that may be in the midst of sending a packet of more than 16 KiB. One more closes the one that has been
    /// at it longest.
    pub large_packets: usize,
    /// Bytes of a topic or a filter.
    pub topic_bytes: usize,
    /// Levels (parts between `/`) of a topic or a filter.
    pub topic_levels: usize,
    /// Bytes of a client id.
    pub client_id_bytes: usize,
    /// Filters that one client may hold.
    pub filters_per_client: usize,
    /// Bytes of memory for the filters of all clients together. At the limit each client may have the first few only.
    pub filters_bytes: usize,
    /// PUBLISH packets a second that are taken from one client, with a burst of as many; what is more waits in its own
    /// connection. 0: no limit.
    pub messages_per_second: u32,
    /// QoS 2 messages of one client between PUBLISH and PUBREL. One more closes the connection.
    pub inflight_qos2: usize,
    /// QoS 1 messages to one client that wait for their PUBACK. At the limit that client's other messages wait.
    pub inflight_qos1: usize,
    /// Bytes of these messages. Beyond, that client's other messages wait.
    pub inflight_bytes: usize,
    /// Retained messages.
    pub retained_count: usize,
    /// Bytes (topic and payload) of all retained messages.
    pub retained_bytes: usize,
    /// Sessions kept for clients that are away (`clean_session = false`). The one whose client was connected for the
    /// shortest time makes room.
    pub parked_sessions: usize,
    /// Bytes of messages that wait for one client. Then the oldest are dropped, and counted.
    pub queue_bytes: usize,
    /// Bytes of messages that wait for all clients together. Beyond, each client may have its share only.
    pub queues_bytes: usize,
    /// Bytes written for one client that its connection has not taken yet; beyond, its messages stay in its queue.
    pub outbound_bytes: usize,
    /// From the accepted connection (TLS included) to the end of CONNECT.
    pub connect_deadline: Duration,
    /// From the first byte of a packet to its last.
    pub packet_deadline: Duration,
    /// How long a client may leave what we write unread without taking a single byte, before it is dropped.
    pub write_deadline: Duration,
    /// How long a client that has messages waiting may acknowledge none of those in flight, before it is dropped.
    pub ack_deadline: Duration,
    /// From a change of a retained message to its being on disk, apart from the writing itself.
    pub flush_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            packet_bytes: 256 * 1024,
            large_packets: 16,
            topic_bytes: 1024,
            topic_levels: 32,
            client_id_bytes: 128,
            filters_per_client: 1024,
            filters_bytes: 4 * 1024 * 1024,
            messages_per_second: 0,
            inflight_qos2: 64,
            inflight_qos1: 64,
            inflight_bytes: 128 * 1024,
            retained_count: 4096,
            retained_bytes: 4 * 1024 * 1024,
            parked_sessions: 32,
            queue_bytes: 512 * 1024,
            queues_bytes: 8 * 1024 * 1024,
            outbound_bytes: 64 * 1024,
            connect_deadline: Duration::from_secs(10),
            packet_deadline: Duration::from_secs(30),
            write_deadline: Duration::from_secs(10),
            ack_deadline: Duration::from_secs(30),
            flush_after: Duration::from_secs(2),
        }
    }
}
