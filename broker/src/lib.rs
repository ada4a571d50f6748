//! The MQTT 3.1.1 broker inside flotta-agent: a front of our own around the router of rumqttd.
//!
//! ```text
//!  TCP (later: unix socket, TLS, websocket)
//!        │  permit, then one task per connection
//!        ▼
//!  connect ──► connection ◄──► session          wire: bytes both ways; packet: the codec and its missing checks
//!   CONNECT      packets         subscriptions, messages in flight
//!        │            │ PUBLISH, wills
//!        ▼            ▼
//!    registry        hub: rights ─► tap ─► retained ─► index ─► fan-out ─► session of each subscriber
//!    client ids,                                                (rumqttd's router, one thread)
//!    parked sessions
//! ```
//!
//! *Tasks*: one per listener, one per connection, two of the fan-out; all end with [`Broker::shutdown`]. One thread,
//! the router's, does not. *Locks* are held for microseconds and never over an await; the order is hub, then
//! fan-out. *Nothing wakes up while nothing happens*, except for one keep-alive timer per client.
//!
//! What holds:
//! - A message acknowledged to its sender has been given to the tap and to the router, unless rights or a limit
//!   refused it, which is counted ([`Refusal`]). QoS 2 gets there once.
//! - With no subscriber for a topic, the router never hears of it.
//! - Delivery has the lower QoS of publisher and subscriber, and at most 1. Overlapping filters of one client get one
//!   copy each. Order is kept per topic.
//! - A subscriber that reads too slowly loses messages (counted) once it is 64 to 128 KiB per filter behind, and is
//!   dropped (counted) if it takes nothing for `Limits::write_deadline`. It slows nobody else.
//! - No input reaches a panic: the router sees channel numbers only, never what a client wrote.
//! - Everything that grows has its limit in [`Limits`].
//!
//! Not here yet: retained messages and sessions on disk, users, TLS, `$SYS`.

mod broker;
mod connect;
mod connection;
mod counters;
mod fanout;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod index;
mod limits;
mod packet;
mod registry;
mod retained;
mod session;
#[cfg_attr(not(test), expect(dead_code, reason = "the hub does not call it yet"))]
mod store;
mod topic;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use broker::Broker;
pub use counters::{Counters, Refusal};
pub use limits::Limits;

/// What spreads the messages: the one place to name another.
type Core = fanout::router::Router;

/// A message from a client, as the tap sees it.
#[derive(Debug, Clone)]
pub struct Message {
    /// A valid topic: no wildcards, no `$` in front, within the limits.
    pub topic: Arc<str>,
    /// May be a slice of a read buffer: copy what is to be kept for long.
    pub payload: Bytes,
    /// 0, 1 or 2, as published.
    pub qos: u8,
    /// The retain flag, as published.
    pub retain: bool,
    /// The client id of the sender; one that the broker made up begins with `$`.
    pub client: Arc<str>,
}

/// Who may do what. Asked for each publish (wills too) and each subscription, in the connection's task: be quick.
pub trait Rights: Send + Sync + 'static {
    /// Whether the client may publish to the topic. If not, the message is acknowledged, counted and dropped.
    fn may_publish(&self, client: &str, topic: &str) -> bool;
    /// Whether the client may subscribe to the filter. If not, it gets 0x80 in the SUBACK.
    fn may_subscribe(&self, client: &str, filter: &str) -> bool;
}

/// Sees publishes of clients that the rights allow, before the router does, and before they are acknowledged. Called in the
/// connection's task: the time it takes is back-pressure on that one client.
pub trait Tap: Send + Sync + 'static {
    /// Whether [`Tap::take`] is to be called for this topic.
    fn wants(&self, topic: &str) -> bool;
    /// Takes the message; subscribers get it as well.
    fn take(&self, message: &Message);
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No thread for the router, or it did not answer.
    #[error("cannot start the thread of the message router")]
    Router,
}

/// A lock that a panic elsewhere does not take down: what it guards is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
