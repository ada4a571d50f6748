//! What is to be said on an external broker: kept while it cannot be, given out in order, forgotten once acknowledged.
//!
//! Retained topics hold their latest value and are all said again on each new connection; a cleared one stays until the
//! broker has acknowledged that. Events wait in a bounded queue, each until it is acknowledged; a bounded number of
//! messages is in flight. After a connection that the broker closed while something was in flight, messages are said one
//! at a time (*careful*), so that one that the broker does not take is found, held back and named, and the others pass.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::model::problem::Problem;
use crate::mqtt::Outlet;

use super::counts::{Counts, Refusal};
use super::due::{Due, Item};

/// What is to be said.
#[derive(Debug, Default)]
pub struct ExternalOutlet {
    due: Mutex<Due>,
    /// Rung when there may be something to say.
    pub(super) rung: Notify,
    /// Rung when the events that wait are other ones.
    pub(super) events_changed: Notify,
    /// Rung when there is nothing left to say.
    pub(super) idle: Notify,
}

/// Why a message was not handed to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// No room now.
    Later,
    /// It never can be.
    Never,
}

impl ExternalOutlet {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.due().counted()
    }

    pub(super) fn refuse(&self, what: Refusal) {
        self.due().counts.refuse(what);
    }

    /// A new connection: all of it is said again, and nothing of the one before counts.
    pub fn connected(&self) {
        self.due().begin();
        self.rung.notify_one();
    }

    /// The connection is over. From here on nothing is handed to the client.
    pub fn disconnected(&self) {
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
    #[must_use]
    pub fn stands(&self, topic: &str) -> bool {
        self.due().stands(topic)
    }

    /// The payloads of the events that wait, oldest first.
    pub fn undelivered(&self) -> Vec<Bytes> {
        self.due().undelivered()
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
    pub fn say_next<T>(&self, send: impl FnOnce(&str, Bytes, bool) -> Result<T, NotSent>) -> Option<(Item, T)> {
        let mut due = self.due();
        if !due.connected || due.closing || (due.careful && !due.in_flight.is_empty()) {
            return None;
        }
        let Some((item, payload)) = due.next() else {
            if due.in_flight.is_empty() {
                due.careful = false;
                due.held_back.forget_suspicions();
                self.idle.notify_one();
            }
            return None;
        };
        let sent = send(&item.topic, payload, item.is_retained());
        match sent {
            Ok(notice) => {
                due.said(&item);
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
    pub fn settled(&self, item: &Item, acknowledged: bool) {
        self.due().settled(item, acknowledged);
        if acknowledged && !item.is_retained() {
            self.events_changed.notify_one();
        }
        self.rung.notify_one();
    }
}

impl Outlet for ExternalOutlet {
    fn publish(&self, topic: &str, payload: Bytes, retain: bool) {
        self.due().keep(topic, payload, retain);
        if !retain {
            self.events_changed.notify_one();
        }
        self.rung.notify_one();
    }
}
