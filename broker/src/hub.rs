//! Where every message goes through: rights, tap, retained store, index, fan-out.
//!
//! One lock orders the retained store, the index and the hand-over to the fan-out, so that a topic's last retained
//! value is always the one that subscribers saw last. It is held for about a microsecond and never over an await.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::counters::{Counters, Live, Refusal};
use crate::fanout::{Channel, Fanout};
use crate::index::Index;
use crate::retained::{Page, Retained};
use crate::topic::Bad;
use crate::{Core, Limits, Message, Rights, Tap, frame, lock, topic};

pub(crate) struct Hub {
    pub limits: Limits,
    pub counters: Live,
    pub fanout: Core,
    rights: Arc<dyn Rights>,
    tap: Arc<dyn Tap>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Index,
    retained: Retained,
}

/// A PUBLISH or a will as it came from a client.
pub(crate) struct Incoming<'a> {
    pub client: &'a Arc<str>,
    pub topic: &'a [u8],
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
}

impl Hub {
    pub fn new(limits: Limits, fanout: Core, rights: Arc<dyn Rights>, tap: Arc<dyn Tap>) -> Self {
        Hub { limits, counters: Live::default(), fanout, rights, tap, state: Mutex::default() }
    }

    /// Takes a client's message. What the rights or our own limits refuse is counted and dropped, since MQTT 3.1.1 has
    /// no negative acknowledgement; `Err` means that the client broke the protocol.
    pub fn take(&self, message: Incoming<'_>) -> Result<(), Bad> {
        let topic = match topic::topic(message.topic, &self.limits) {
            Ok(topic) => topic,
            Err(Bad::Unwelcome) => {
                self.counters.refuse(Refusal::PublishTopic);
                return Ok(());
            }
            Err(bad) => return Err(bad),
        };
        if !self.rights.may_publish(message.client, topic) {
            tracing::debug!(client = %message.client, topic, "publish refused: no right to this topic");
            self.counters.refuse(Refusal::PublishRights);
            return Ok(());
        }
        if self.tap.wants(topic) {
            self.tap.take(&Message {
                topic: Arc::from(topic),
                payload: message.payload.clone(),
                qos: message.qos,
                retain: message.retain,
                client: message.client.clone(),
            });
        }
        self.route(topic, &message.payload, message.qos, message.retain, Some(&self.limits));
        Ok(())
    }

    /// Keeps and spreads a message; `limits` for the retained store are not the agent's own concern.
    pub fn route(&self, topic: &str, payload: &Bytes, qos: u8, retain: bool, limits: Option<&Limits>) {
        self.counters.messages_in.fetch_add(1, Relaxed);
        let mut state = lock(&self.state);
        let mut seq = 0;
        if retain {
            let (kept_as, room) = state.retained.put(topic, payload, qos, limits);
            seq = kept_as;
            if !room {
                self.counters.refuse(Refusal::Retained);
            }
        }
        let mut encoded = None;
        state.index.matching(topic, &mut |channel| {
            let encoded = encoded.get_or_insert_with(|| frame::encode(topic, payload, qos, seq));
            self.fanout.publish(channel, encoded);
        });
    }

    /// Whether this client may subscribe, and if the filter can be one.
    pub fn may_subscribe(&self, client: &str, filter: &str) -> Result<(), Refusal> {
        topic::filter(filter, &self.limits).map_err(|_| Refusal::SubscribeFilter)?;
        if self.rights.may_subscribe(client, filter) { Ok(()) } else { Err(Refusal::SubscribeRights) }
    }

    /// One more holder of a filter; `None` at `Limits::distinct_filters`.
    pub fn hold(&self, filter: &str) -> Option<Arc<Channel>> {
        lock(&self.state).index.hold(filter, || self.fanout.open())
    }

    /// One holder less.
    pub fn release(&self, filter: &str) {
        lock(&self.state).index.release(filter);
    }

    /// A page of retained messages and the store's sequence number now.
    pub fn retained(&self, filter: &str, after: Option<&Arc<str>>) -> (Page, u64) {
        let state = lock(&self.state);
        (state.retained.page(filter, after), state.retained.seq())
    }

    pub fn counters(&self) -> Counters {
        let (count, bytes) = lock(&self.state).retained.size();
        Counters { retained_count: count as u64, retained_bytes: bytes as u64, ..self.counters.snapshot() }
    }
}
