//! What is to be said on an external broker: kept while it cannot be, given out in order, forgotten once acknowledged.
//!
//! Retained topics hold their latest value and are all said again on each new connection; a cleared one stays until the
//! broker has acknowledged that. Events wait in a bounded queue, each until it is acknowledged; a bounded number of
//! messages is in flight. After a connection that the broker closed while something was in flight, messages are said one
//! at a time (*careful*), so that one that the broker does not take is found, held back and named, and the others pass.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::model::problem::Problem;
use crate::mqtt::Outlet;

use super::counts::{Counts, Refusal};
use super::held_back::HeldBack;

/// Events kept while the broker is away; then the oldest is dropped, and the gap in `seq` declares it.
pub const KEPT_EVENTS: usize = 1_000;
/// Their bytes, topics not counted; the same happens.
pub const KEPT_EVENT_BYTES: usize = 1024 * 1024;
/// Cleared topics that wait for the broker to acknowledge it. One more is forgotten: it is found again among what the
/// broker holds, at the next connection.
const KEPT_CLEARS: usize = 1_000;
/// What is to be said.
#[derive(Debug, Default)]
pub struct ExternalOutlet {
    due: Mutex<Due>,
    /// Rung when there may be something to say.
    pub(super) rung: Notify,
    /// Rung when there is nothing left to say.
    pub(super) idle: Notify,
}

#[derive(Debug, Default)]
struct Due {
    connected: bool,
    closing: bool,
    careful: bool,
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
    in_flight: VecDeque<Item>,
    held_back: HeldBack,
    counts: Counts,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    topic: String,
    payload: Bytes,
}

/// A message in flight.
#[derive(Clone, Debug)]
pub(super) struct Item {
    session: u64,
    topic: String,
    length: usize,
    /// The number of an event; retained ones have none.
    event: Option<u64>,
}

/// Why a message was not handed to the connection.
pub(super) enum NotSent {
    /// No room now.
    Later,
    /// It never can be.
    Never,
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

    fn said(&mut self, item: &Item) {
        if item.event.is_some() {
            self.sent = self.sent.saturating_add(1);
        } else {
            self.dirty.remove(&item.topic);
        }
        self.events_turn = item.event.is_none();
    }

    fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.events.is_empty() && self.in_flight.is_empty()
    }
}

impl ExternalOutlet {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let due = self.due();
        let mut counts = due.counts;
        (counts.connected, counts.waiting) = (due.connected, due.events.len());
        counts
    }

    pub(super) fn refuse(&self, what: Refusal) {
        self.due().counts.refuse(what);
    }

    /// A new connection: all of it is said again, and nothing of the one before counts.
    pub(super) fn connected(&self) {
        let mut due = self.due();
        due.connected = true;
        due.session = due.session.saturating_add(1);
        due.counts.connects = due.counts.connects.saturating_add(1);
        due.in_flight.clear();
        due.sent = 0;
        due.dirty = due.retained.keys().cloned().collect();
        drop(due);
        self.rung.notify_one();
    }

    /// The connection is over. From here on nothing is handed to the client.
    pub(super) fn disconnected(&self) {
        self.due().connected = false;
    }

    /// Whether messages are said one at a time because the broker closed the connection over one.
    pub(super) fn is_careful(&self) -> bool {
        self.due().careful
    }

    /// After the broker closed the connection: what was in flight may be why. Says which message is held back now.
    pub(super) fn suspect(&self) -> Option<String> {
        let mut due = self.due();
        if due.in_flight.is_empty() {
            return None;
        }
        if !due.careful {
            due.careful = true;
            return None;
        }
        let item = due.in_flight.front().cloned()?;
        due.held_back.suspect(&item.topic, item.length).then_some(item.topic)
    }

    /// Messages that are held back.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.due().held_back.problems()
    }

    /// Whether a retained topic that the broker holds is one that we stand by.
    pub(super) fn stands(&self, topic: &str) -> bool {
        self.due().retained.contains_key(topic)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.due().connected
    }

    pub(super) fn is_idle(&self) -> bool {
        self.due().is_idle()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.due().closing
    }

    /// Nothing more is said, apart from the last words.
    pub(super) fn close(&self) {
        self.due().closing = true;
    }

    /// Hands the next message to `send`, if there is one. Under the lock, so that none is handed over once the connection
    /// is known to be over: it would go out first on the next one, ahead of older ones.
    pub(super) fn say_next<T>(&self, send: impl FnOnce(&str, Bytes, bool) -> Result<T, NotSent>) -> Option<(Item, T)> {
        let mut due = self.due();
        if !due.connected || due.closing || (due.careful && !due.in_flight.is_empty()) {
            return None;
        }
        let next = if due.events_turn {
            due.next_event().or_else(|| due.next_retained())
        } else {
            due.next_retained().or_else(|| due.next_event())
        };
        let Some((item, payload)) = next else {
            if due.in_flight.is_empty() {
                due.careful = false;
                due.held_back.forget_suspicions();
                self.idle.notify_one();
            }
            return None;
        };
        let sent = send(&item.topic, payload, item.event.is_none());
        match sent {
            Ok(notice) => {
                due.said(&item);
                due.in_flight.push_back(item.clone());
                Some((item, notice))
            }
            Err(NotSent::Later) => None,
            Err(NotSent::Never) => {
                tracing::warn!(topic = %item.topic, "cannot be published there");
                due.held_back.add(&item.topic, 0);
                self.rung.notify_one();
                None
            }
        }
    }

    /// The broker has it, or the connection it went out on is over. In the order in which they were said.
    pub(super) fn settled(&self, item: &Item, acknowledged: bool) {
        let mut due = self.due();
        if item.session == due.session {
            due.in_flight.pop_front();
        }
        if acknowledged {
            let now = due.retained.get(&item.topic).map(Bytes::len);
            due.held_back.took(&item.topic, item.length, now);
            match item.event {
                Some(number) => {
                    if let Ok(at) = due.events.binary_search_by_key(&number, |kept| kept.number) {
                        due.drop_event(at);
                    }
                }
                None => {
                    due.counts.retained = due.counts.retained.saturating_add(1);
                    let cleared = due.retained.get(&item.topic).is_some_and(Bytes::is_empty);
                    if cleared && !due.dirty.contains(&item.topic) {
                        due.retained.remove(&item.topic);
                    }
                }
            }
        }
        drop(due);
        self.rung.notify_one();
    }
}

impl Outlet for ExternalOutlet {
    fn publish(&self, topic: &str, payload: Bytes, retain: bool) {
        let mut due = self.due();
        if retain {
            let clears = due.retained.values().filter(|payload| payload.is_empty()).count();
            if payload.is_empty() && clears >= KEPT_CLEARS {
                due.retained.remove(topic);
                due.dirty.remove(topic);
                return;
            }
            due.retained.insert(topic.to_owned(), payload);
            due.dirty.insert(topic.to_owned());
        } else {
            due.event_bytes = due.event_bytes.saturating_add(payload.len());
            let number = due.next_number;
            due.next_number = number.saturating_add(1);
            due.events.push_back(Kept { number, topic: topic.to_owned(), payload });
            // The oldest that is not on its way already.
            while due.events.len() > KEPT_EVENTS
                || (due.event_bytes > KEPT_EVENT_BYTES && due.events.len() > due.sent.saturating_add(1))
            {
                let at = due.sent;
                due.drop_event(at);
                due.counts.dropped = due.counts.dropped.saturating_add(1);
            }
        }
        drop(due);
        self.rung.notify_one();
    }
}
