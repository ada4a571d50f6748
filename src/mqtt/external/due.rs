//! What is to be said and in which order; no locks, no waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::counts::{Counts, Refusal};
use super::held_back::HeldBack;

/// Events kept while the broker is away; then the oldest is dropped, and the gap in `seq` declares it.
pub const KEPT_EVENTS: usize = 1_000;
/// Their bytes, topics not counted; the same happens.
pub const KEPT_EVENT_BYTES: usize = 1024 * 1024;
/// Cleared topics that wait for the broker to acknowledge it. One more is forgotten: it is found again among what the
/// broker holds, at the next connection.
const KEPT_CLEARS: usize = 1_000;

/// What is to be said, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) connected: bool,
    pub(super) closing: bool,
    pub(super) careful: bool,
    /// Of the connection; what an earlier one had in flight is said again.
    session: u64,
    retained: BTreeMap<String, Bytes>,
    dirty: BTreeSet<String>,
    events: VecDeque<Kept>,
    event_bytes: usize,
    next_number: u64,
    /// How many of the events, from the front, are in flight.
    sent: usize,
    /// What was said last was retained: an event's turn.
    events_turn: bool,
    pub(super) in_flight: VecDeque<Item>,
    pub(super) held_back: HeldBack,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    topic: String,
    payload: Bytes,
}

/// A message in flight.
#[derive(Clone, Debug)]
pub struct Item {
    session: u64,
    pub(super) topic: String,
    pub(super) length: usize,
    /// The number of an event; retained ones have none.
    event: Option<u64>,
}

impl Item {
    /// It is the value of a topic; else an event.
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.event.is_none()
    }

    /// Where it is said.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl Due {
    fn drop_event(&mut self, at: usize) {
        if let Some(kept) = self.events.remove(at) {
            self.event_bytes = self.event_bytes.saturating_sub(kept.payload.len());
            if at < self.sent {
                self.sent = self.sent.saturating_sub(1);
            }
        }
    }

    /// Whether a message may be said; counts it otherwise.
    fn passes(&mut self, topic: &str, length: usize) -> bool {
        let passes = self.held_back.passes(topic, length);
        if !passes {
            self.counts.refuse(Refusal::Publish);
        }
        passes
    }

    fn next_retained(&mut self) -> Option<(Item, Bytes)> {
        while let Some(topic) = self.dirty.first().cloned() {
            let payload = self.retained.get(&topic).cloned().unwrap_or_default();
            if self.passes(&topic, payload.len()) {
                return Some((Item { session: self.session, length: payload.len(), topic, event: None }, payload));
            }
            self.dirty.remove(&topic);
        }
        None
    }

    fn next_event(&mut self) -> Option<(Item, Bytes)> {
        while let Some(kept) = self.events.get(self.sent) {
            let (topic, payload, event) = (kept.topic.clone(), kept.payload.clone(), Some(kept.number));
            if self.passes(&topic, payload.len()) {
                return Some((Item { session: self.session, length: payload.len(), topic, event }, payload));
            }
            self.drop_event(self.sent);
            self.counts.dropped = self.counts.dropped.saturating_add(1);
        }
        None
    }

    /// The next message, retained ones and events in turn; it is not taken out.
    pub(super) fn next(&mut self) -> Option<(Item, Bytes)> {
        if self.events_turn {
            self.next_event().or_else(|| self.next_retained())
        } else {
            self.next_retained().or_else(|| self.next_event())
        }
    }

    /// It is in flight.
    pub(super) fn said(&mut self, item: &Item) {
        if item.event.is_some() {
            self.sent = self.sent.saturating_add(1);
        } else {
            self.dirty.remove(&item.topic);
        }
        self.events_turn = item.event.is_none();
        self.in_flight.push_back(item.clone());
    }

    pub(super) fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.events.is_empty() && self.in_flight.is_empty()
    }

    /// Whether the topic has a value, or is being cleared.
    pub(super) fn stands(&self, topic: &str) -> bool {
        self.retained.contains_key(topic)
    }

    /// Of the events.
    pub(super) fn undelivered(&self) -> Vec<Bytes> {
        self.events.iter().map(|kept| kept.payload.clone()).collect()
    }

    /// As they are now.
    pub(super) fn counted(&self) -> Counts {
        Counts { connected: self.connected, waiting: self.events.len(), ..self.counts }
    }

    /// Takes in something to say.
    pub(super) fn keep(&mut self, topic: &str, payload: Bytes, retain: bool) {
        if retain {
            let clears = self.retained.values().filter(|payload| payload.is_empty()).count();
            if payload.is_empty() && clears >= KEPT_CLEARS {
                self.retained.remove(topic);
                self.dirty.remove(topic);
                return;
            }
            self.retained.insert(topic.to_owned(), payload);
            self.dirty.insert(topic.to_owned());
        } else {
            self.event_bytes = self.event_bytes.saturating_add(payload.len());
            let number = self.next_number;
            self.next_number = number.saturating_add(1);
            self.events.push_back(Kept { number, topic: topic.to_owned(), payload });
            // The oldest that is not on its way already.
            while self.events.len() > KEPT_EVENTS
                || (self.event_bytes > KEPT_EVENT_BYTES && self.events.len() > self.sent.saturating_add(1))
            {
                let at = self.sent;
                self.drop_event(at);
                self.counts.dropped = self.counts.dropped.saturating_add(1);
            }
        }
    }

    /// A message is no longer in flight.
    pub(super) fn settled(&mut self, item: &Item, acknowledged: bool) {
        if item.session == self.session {
            self.in_flight.pop_front();
        }
        if acknowledged {
            let now = self.retained.get(&item.topic).map(Bytes::len);
            self.held_back.took(&item.topic, item.length, now);
            match item.event {
                Some(number) => {
                    if let Ok(at) = self.events.binary_search_by_key(&number, |kept| kept.number) {
                        self.drop_event(at);
                    }
                }
                None => {
                    self.counts.retained = self.counts.retained.saturating_add(1);
                    let cleared = self.retained.get(&item.topic).is_some_and(Bytes::is_empty);
                    if cleared && !self.dirty.contains(&item.topic) {
                        self.retained.remove(&item.topic);
                    }
                }
            }
        }
    }

    /// A new connection: all of it is said again, and nothing of the one before counts.
    pub(super) fn begin(&mut self) {
        self.connected = true;
        self.session = self.session.saturating_add(1);
        self.counts.connects = self.counts.connects.saturating_add(1);
        self.in_flight.clear();
        self.sent = 0;
        self.dirty = self.retained.keys().cloned().collect();
    }
}
