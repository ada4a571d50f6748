//! Events that the broker has not acknowledged, on disk: so that they survive the agent.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::status::Event;
use crate::mqtt::Outlet;
use crate::state::Saves;

use super::External;

/// Its name.
pub const OBJECT: &str = "events";
/// Events are stored when they have waited this long: what a broker takes at once never gets to the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stored object: oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Where they are to be published. Those for another device id or root are no use.
    pub topic: String,
    /// As bounded as in memory.
    pub events: Vec<Event>,
}

impl External {
    /// Takes over what an earlier run did not get rid of, before anything is said.
    pub fn restore(&self, stored: Undelivered) {
        if stored.topic != self.topics.events() {
            if !stored.events.is_empty() {
                tracing::warn!(
                    events = stored.events.len(),
                    topic = stored.topic,
                    "events that were not delivered are for a topic that is not ours any more: dropped"
                );
            }
            return;
        }
        for event in &stored.events {
            if let Ok(payload) = serde_json::to_vec(event) {
                self.outlet.publish(&stored.topic, Bytes::from(payload), false);
            }
        }
    }

    /// Stores them whenever they have changed and stayed for a moment; for ever.
    pub async fn store(&self, saves: &Saves) {
        loop {
            self.outlet.events_changed.notified().await;
            tokio::time::sleep(PATIENCE).await;
            self.store_now(saves);
        }
    }

    /// Hands over for storing what is not delivered now.
    pub fn store_now(&self, saves: &Saves) {
        saves.save(OBJECT, &self.undelivered());
    }

    fn undelivered(&self) -> Undelivered {
        // Under the lock only the handles are copied.
        let payloads = self.outlet.undelivered();
        let events = payloads.iter().filter_map(|payload| serde_json::from_slice(payload).ok()).collect();
        Undelivered { topic: self.topics.events(), events }
    }
}
