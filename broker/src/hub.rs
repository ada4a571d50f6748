//! Where every message goes through: rights, tap, retained store, router.
//!
//! One lock orders the retained store and the mailboxes, so that a topic's last retained value is always the one that
//! subscribers saw last. It is held for about a microsecond and never over an await.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::counters::{Counters, Live, Refusal};
use crate::mailbox::Mailbox;
use crate::places::Places;
use crate::registry::Registry;
use crate::retained::{Outcome, Owner, Page, Retained};
use crate::router::{Number, Router};
use crate::store::Entry;
use crate::topic::Bad;
use crate::{Client, Limits, Message, Peer, Rights, Tap, index, lock, sys, topic};

/// Filters that a client may have however many others hold.
const CERTAIN_FILTERS: usize = 8;
/// Filters that are removed in a row.
const LEAVE_AT_ONCE: usize = 64;

pub(crate) struct Hub {
    pub limits: Limits,
    pub counters: Live,
    pub registry: Arc<Registry>,
    /// Clients in the midst of a large packet.
    pub large: Arc<Places>,
    /// Rung when a retained message of a client's changes.
    pub changed: Notify,
    /// Rung when somebody subscribes below `$SYS`.
    pub watched: Notify,
    pub rights: Arc<dyn Rights>,
    pub started: Instant,
    /// When the figures were last worked out for a new subscription.
    sys_published: Mutex<Option<Instant>>,
    tap: Arc<dyn Tap>,
    state: Mutex<State>,
}

struct State {
    router: Router,
    retained: Retained,
}

/// A PUBLISH or a will as it came from a client.
pub(crate) struct Incoming<'a> {
    pub client: &'a Client,
    pub topic: &'a [u8],
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
}

/// A mailbox that a publisher should wait for before it says more.
pub(crate) type Congested = Option<Arc<Mailbox>>;

impl Hub {
    pub fn new(limits: Limits, rights: Arc<dyn Rights>, tap: Arc<dyn Tap>) -> Self {
        let router = Router::new(Budget::new(&limits));
        let state = Mutex::new(State { router, retained: Retained::default() });
        let (changed, watched) = (Notify::new(), Notify::new());
        let large = Places::new(limits.large_packets);
        Hub {
            limits,
            counters: Live::default(),
            registry: Arc::default(),
            large,
            changed,
            watched,
            rights,
            started: Instant::now(),
            sys_published: Mutex::default(),
            tap,
            state,
        }
    }

    /// Takes a client's message. What the rights or our own limits refuse is counted and dropped, since MQTT 3.1.1 has
    /// no negative acknowledgement; `Err` means that the client broke the protocol.
    pub fn take(&self, message: Incoming<'_>) -> Result<Congested, Bad> {
        let topic = match topic::topic(message.topic, &self.limits) {
            Ok(topic) => topic,
            Err(Bad::Unwelcome) => {
                self.counters.refuse(Refusal::PublishTopic);
                return Ok(None);
            }
            Err(bad) => return Err(bad),
        };
        if !self.rights.may_publish(message.client, topic) {
            tracing::debug!(client = %message.client.id, topic, "publish refused: no right to this topic");
            self.counters.refuse(Refusal::PublishRights);
            return Ok(None);
        }
        if self.tap.wants(topic) {
            let Incoming { client, ref payload, qos, retain, .. } = message;
            self.tap.take(&Message { topic, payload, qos, retain, client });
        }
        Ok(self.route(topic, &message.payload, message.qos, message.retain, Owner::Client(&self.limits)))
    }

    /// Keeps and spreads a message.
    pub fn route(&self, topic: &str, payload: &[u8], qos: u8, retain: bool, owner: Owner<'_>) -> Congested {
        self.counters.publish_in.add(payload.len());
        let mut state = lock(&self.state);
        let State { router, retained } = &mut *state;
        let mut changed = false;
        if retain {
            if retained.put(topic, payload, qos, owner) == Outcome::Refused {
                self.counters.refuse(Refusal::Retained);
            }
            changed = retained.is_dirty();
        }
        let spread = router.spread(topic, payload, qos);
        drop(state);
        if changed {
            self.changed.notify_one();
        }
        if spread.lost > 0 {
            self.counters.messages_lost.fetch_add(spread.lost, Relaxed);
        }
        spread.congested
    }

    /// Keeps and spreads one of the broker's own figures, if it has changed.
    pub fn say(&self, topic: &str, payload: &str) {
        let State { router, retained } = &mut *lock(&self.state);
        if retained.payload(topic) != Some(payload.as_bytes()) {
            retained.put(topic, payload.as_bytes(), 0, Owner::Agent);
            router.spread(topic, payload.as_bytes(), 0);
        }
    }

    /// Takes what an earlier run of the agent had kept for clients: not what the rights give to somebody else by now.
    pub fn restore(&self, entries: Vec<Entry>) {
        let client = Client { id: "$restored".into(), name: None, peer: Peer::default() };
        let mut state = lock(&self.state);
        for Entry { topic, payload, qos } in entries {
            if topic::topic(topic.as_bytes(), &self.limits).is_ok() && self.rights.may_publish(&client, &topic) {
                state.retained.put(&topic, &payload, qos, Owner::Client(&self.limits));
            }
        }
        // They come from the files: these are not behind.
        state.retained.set_clean();
    }

    /// Whether this client may subscribe, and if the filter can be one.
    pub fn may_subscribe(&self, client: &Client, filter: &str) -> Result<(), Refusal> {
        topic::filter(filter, &self.limits).map_err(|_| Refusal::SubscribeFilter)?;
        if self.rights.may_subscribe(client, filter) { Ok(()) } else { Err(Refusal::SubscribeRights) }
    }

    /// A number and a mailbox for a session.
    pub fn join(&self) -> (Number, Arc<Mailbox>) {
        lock(&self.state).router.join()
    }

    /// A filter of a session that holds `held` others. From here on nothing that matches is missed; what was retained
    /// until the sequence number returned is to be sent. `None` when there is no room for it: that is for everybody, but
    /// a few each client may have in any case.
    pub fn subscribe(&self, filter: &str, session: Number, qos: u8, held: usize) -> Option<u64> {
        if sys::is_of(filter) {
            if self.is_sys_stale() {
                sys::publish(self);
            }
            self.watched.notify_one();
        }
        let mut state = lock(&self.state);
        let (_, bytes) = state.router.subscriptions();
        if held >= CERTAIN_FILTERS && bytes.saturating_add(index::cost(filter)) > self.limits.filters_bytes {
            return None;
        }
        state.router.subscribe(filter, session, qos);
        Some(state.retained.seq())
    }

    pub fn unsubscribe(&self, filter: &str, session: Number) {
        lock(&self.state).router.unsubscribe(filter, session);
    }

    /// The session is over.
    pub fn leave(&self, session: Number, filters: &[Box<str>]) {
        // In parts: others have their turn in between.
        for filters in filters.chunks(LEAVE_AT_ONCE) {
            let mut state = lock(&self.state);
            filters.iter().for_each(|filter| state.router.unsubscribe(filter, session));
        }
        lock(&self.state).router.leave(session);
    }

    /// A page of at most so many retained messages that have not changed since `seq`.
    pub fn retained(&self, filter: &str, seq: u64, after: Option<&Arc<str>>, most: usize) -> Page {
        lock(&self.state).retained.page(filter, seq, after, most)
    }

    /// What belongs into a file of retained messages, if that is behind.
    pub fn take_dirty(&self, shard: usize) -> Option<Vec<Entry>> {
        lock(&self.state).retained.take_dirty(shard)
    }

    pub fn set_dirty(&self, shard: usize) {
        lock(&self.state).retained.set_dirty(shard);
    }

    /// Whether the figures are older than [`sys::FRESH`]; then they count as published now.
    fn is_sys_stale(&self) -> bool {
        let mut published = lock(&self.sys_published);
        let now = Instant::now();
        let stale = published.is_none_or(|at| now.duration_since(at) >= sys::FRESH);
        if stale {
            *published = Some(now);
        }
        stale
    }

    /// Whether somebody listens below `$SYS`.
    pub fn is_watched(&self) -> bool {
        lock(&self.state).router.has_listeners_below(sys::ROOT)
    }

    pub fn counters(&self) -> Counters {
        let state = lock(&self.state);
        let (count, bytes) = state.retained.size();
        let ((subscriptions, _), (queued, queued_bytes)) = (state.router.subscriptions(), state.router.queued());
        drop(state);
        Counters {
            sessions_parked: self.registry.parked() as u64,
            retained_count: count as u64,
            retained_bytes: bytes as u64,
            subscriptions: subscriptions as u64,
            queued_messages: queued as u64,
            queued_bytes: queued_bytes as u64,
            ..self.counters.snapshot()
        }
    }
}
