//! The MQTT 3.1.1 broker inside flotta-agent.
//!
//! ```text
//!  any stream: TCP (later unix socket, TLS, websocket)
//!        │  door: a permit, then one task per connection
//!        ▼
//!  connect ──► connection ◄──► session           wire: bytes both ways; packet: the codec (of rumqttc)
//!   CONNECT      packets         subscriptions, messages in flight
//!        │            │ PUBLISH, wills   ▲
//!        ▼            ▼                  │
//!    registry        hub: rights ─► tap ─► retained ─► router ─► mailbox of each session
//!    client ids,                          │            (index of filters)
//!    parked sessions                      └► keeper ─► files (store)
//! ```
//!
//! *Tasks*: one per listener, one per connection, one each of [`keeper`] and [`sys`]; all end with
//! [`Broker::shutdown`]. *Locks* are held for microseconds and never over an await; the order is hub, then mailbox.
//! *Nothing wakes up while nothing happens*, except for one keep-alive timer per client.
//!
//! What holds:
//! - A message acknowledged to its sender has been given to the tap and put into the mailboxes of those who
//!   subscribed, unless rights or a limit refused it, which is counted ([`Refusal`]). QoS 2 gets there once.
//! - Delivery has the lower QoS of publisher and subscriber, and at most 1. Overlapping filters of one client get one
//!   copy, at the highest of their QoS. Order is kept.
//! - A subscriber that reads too slowly loses its oldest messages (counted) once its mailbox is full; publishers that
//!   have more to say at once wait for it a little before; see [`mailbox`]. It is dropped (counted) if it takes nothing for
//!   `Limits::write_deadline` or acknowledges nothing for `Limits::ack_deadline`. It slows nobody else down for longer
//!   than that little.
//! - What clients retained survives a restart; the agent's own topics are never stored.
//! - Everything that grows has its limit in [`Limits`].
//!
//! Not here yet: TLS, websockets, users, sessions on disk.

mod broker;
mod bucket;
mod budget;
mod connect;
mod connection;
mod counters;
mod door;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod index;
mod keeper;
mod letter;
mod limits;
mod mailbox;
mod packet;
mod places;
mod presence;
mod registry;
mod retained;
mod rights;
mod router;
mod session;
mod store;
mod sys;
mod topic;
mod waits;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use broker::{Broker, Settings};
pub use counters::{Counters, Refusal};
pub use limits::Limits;
pub use rights::{Client, Denied, Login, Message, Peer, Rights, Tap};

/// A lock that a panic elsewhere does not take down: what it guards is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
