//! MQTT: the topics (SPEC "MQTT"), and the two brokers that carry them.
//!
//! ```text
//!  sensors ─► embedded broker ─► Tap ──────────┐
//!  sensors ─► external broker ─► client task ──┴─► Metrics ─► Intake
//!  loop ─► Outlet ─► embedded: at once to its subscribers
//!                 └► external: latest value per topic + bounded queue of events ─► client task
//! ```
//! An [`Outlet`] never blocks and never fails: what cannot be said now is said when the broker is back.

use bytes::Bytes;

pub mod embedded;
pub mod external;
pub mod metrics;
pub mod topics;

/// Where the agent says things.
pub trait Outlet: Send + Sync + 'static {
    /// Says it now, or as soon as it can be. Retained ones replace each other; an empty retained payload clears the topic.
    fn publish(&self, topic: &str, payload: Bytes, retain: bool);
}

/// For `mqtt.broker: none`.
#[derive(Debug)]
pub struct Nowhere;

impl Outlet for Nowhere {
    fn publish(&self, _topic: &str, _payload: Bytes, _retain: bool) {}
}
