//! What a client has with the broker, for as long as its session lasts: subscriptions, messages on their way to it,
//! QoS 2 messages on their way from it. No I/O: the connection takes the bytes that it wrote.
//!
//! Messages to the client go `mailbox → held → out`. They stay in the mailbox while older retained messages come first,
//! while `Limits::inflight_qos1` messages wait for their PUBACK, or while `out` is full.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use crate::Client;
use crate::counters::Refusal;
use crate::hub::Hub;
use crate::letter::{self, Delivery, Letter, Post};
use crate::mailbox::Mailbox;
use crate::router::Number;

/// Messages taken from the mailbox at a time.
const HELD: usize = 128;
/// Pages of retained messages that are looked through in a row.
const PAGES: usize = 4;
/// Packet ids are 65 535.
const MOST_IN_FLIGHT: usize = 32 * 1024;

/// Retained messages that are still to be sent for a filter: those that have not changed since `seq`.
struct Recall {
    filter: Box<str>,
    qos: u8,
    seq: u64,
    /// The messages that were in the mailbox before it, which come first: none may come after a newer one of its topic.
    later_than: u64,
    after: Option<Arc<str>>,
}

struct Unacked {
    pkid: u16,
    letter: Letter,
    retain: bool,
}

/// Where the router puts this session's messages.
struct Inbox {
    number: Number,
    mailbox: Arc<Mailbox>,
}

pub(crate) struct Session {
    pub client: Arc<Client>,
    pub clean: bool,
    pub hub: Arc<Hub>,
    /// How long its client was connected, all told.
    pub served: Duration,
    /// `None` until the first subscription.
    inbox: Option<Inbox>,
    filters: Vec<Box<str>>,
    recalls: VecDeque<Recall>,
    held: VecDeque<Post>,
    unacked: VecDeque<Unacked>,
    /// What these messages cost.
    unacked_bytes: usize,
    last_pkid: u16,
    /// How many messages the client has acknowledged.
    pub acknowledgements: u64,
    /// QoS 2 messages taken and not yet released by the client.
    pub unreleased: HashSet<u16>,
}

impl Session {
    pub fn new(client: Arc<Client>, clean: bool, hub: Arc<Hub>) -> Self {
        Session {
            client,
            clean,
            hub,
            served: Duration::ZERO,
            inbox: None,
            filters: Vec::new(),
            recalls: VecDeque::new(),
            held: VecDeque::new(),
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            last_pkid: 0,
            acknowledgements: 0,
            unreleased: HashSet::new(),
        }
    }

    /// The client is back: sends again what it has not acknowledged.
    pub fn resume(&mut self, client: Arc<Client>, out: &mut BytesMut) {
        self.client = client;
        if let Some(inbox) = &self.inbox {
            inbox.mailbox.set_away(false);
            let (_, came_in) = inbox.mailbox.passed();
            self.recalls.iter_mut().for_each(|recall| recall.later_than = came_in);
        }
        for unacked in &self.unacked {
            let how = Delivery { pkid: Some(unacked.pkid), retain: unacked.retain, dup: true };
            letter::write_publish(out, &unacked.letter, how);
        }
    }

    /// The client is away: what it was promised stays.
    pub fn park(&mut self) {
        self.held.retain(|post| post.qos > 0);
        if let Some(inbox) = &self.inbox {
            inbox.mailbox.set_away(true);
        }
    }

    /// Whether there is anything to keep for a client that is away.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty() && self.unacked.is_empty() && self.unreleased.is_empty()
    }

    /// A SUBSCRIBE: writes its SUBACK. Messages that match come after it.
    pub fn subscribe(&mut self, pkid: u16, filters: Vec<(String, u8)>, out: &mut BytesMut) {
        let mut codes = Vec::with_capacity(filters.len());
        for (filter, qos) in filters {
            let qos = qos.min(1);
            codes.push(match self.subscribe_one(&filter, qos) {
                Ok(()) => qos,
                Err(why) => {
                    tracing::debug!(client = %self.client.id, filter, why = why.as_str(), "subscription refused");
                    self.hub.counters.refuse(why);
                    0x80
                }
            });
        }
        letter::write_suback(out, pkid, &codes);
    }

    fn subscribe_one(&mut self, filter: &str, qos: u8) -> Result<(), Refusal> {
        self.hub.may_subscribe(&self.client, filter)?;
        let new = self.filters.iter().all(|held| **held != *filter);
        if new && self.filters.len() >= self.hub.limits.filters_per_client {
            return Err(Refusal::SubscribeLimit);
        }
        let hub = &self.hub;
        let inbox = self.inbox.get_or_insert_with(|| {
            let (number, mailbox) = hub.join();
            Inbox { number, mailbox }
        });
        let held = if new { self.filters.len() } else { 0 };
        let seq = hub.subscribe(filter, inbox.number, qos, held).ok_or(Refusal::SubscribeLimit)?;
        if new {
            self.filters.push(filter.into());
        }
        self.recalls.retain(|recall| *recall.filter != *filter);
        // What came in since is newer than what is retained as of `seq`: no harm if it comes first.
        let (_, later_than) = inbox.mailbox.passed();
        self.recalls.push_back(Recall { filter: filter.into(), qos, seq, later_than, after: None });
        Ok(())
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        let Some(at) = self.filters.iter().position(|held| **held == *filter) else { return };
        self.filters.swap_remove(at);
        self.recalls.retain(|recall| *recall.filter != *filter);
        if let Some(inbox) = &self.inbox {
            self.hub.unsubscribe(filter, inbox.number);
        }
    }

    /// A PUBACK. An unknown one is ignored: it may be from before a resumed session.
    pub fn acknowledged(&mut self, pkid: u16) {
        if let Some(at) = self.unacked.iter().position(|unacked| unacked.pkid == pkid) {
            let cost = self.unacked.remove(at).map_or(0, |unacked| unacked.letter.cost());
            self.unacked_bytes = self.unacked_bytes.saturating_sub(cost);
            self.acknowledgements = self.acknowledgements.wrapping_add(1);
        }
        if self.unacked.is_empty() && self.unacked.capacity() > 16 {
            self.unacked = VecDeque::new();
        }
    }

    /// Whether nothing more can be sent until the client acknowledges something.
    pub fn waits_for_acknowledgement(&self) -> bool {
        !self.may_send()
            && (!self.held.is_empty()
                || !self.recalls.is_empty()
                || self.inbox.as_ref().is_some_and(|inbox| !inbox.mailbox.is_empty()))
    }

    /// Whether there is use for more messages.
    pub fn wants_mail(&self, out: &BytesMut) -> bool {
        self.held.is_empty() && self.recalls.is_empty() && self.has_room(out)
    }

    /// Resolves when the mailbox has something. May be dropped without loss.
    pub async fn mail(&self) {
        match &self.inbox {
            Some(inbox) => inbox.mailbox.mail().await,
            None => std::future::pending().await,
        }
    }

    /// Writes what can be written, in order: what was there before a subscription, what was retained then, what came
    /// later. Returns whether there is more to do, after others had their turn.
    pub fn advance(&mut self, out: &mut BytesMut) -> bool {
        let mut pages = 0;
        while self.has_room(out) {
            let due = self.held.is_empty() && self.recalls.front().is_some_and(|recall| is_due(recall, &self.inbox));
            if due && let Some(mut recall) = self.recalls.pop_front() {
                if self.send_retained(&mut recall, out) {
                    self.recalls.push_front(recall);
                }
                pages += 1;
                if pages == PAGES {
                    return true;
                }
                continue;
            }
            let Some(post) = self.held.pop_front() else {
                let Some(inbox) = &self.inbox else { break };
                inbox.mailbox.take(HELD, self.hub.limits.outbound_bytes, &mut self.held);
                if self.held.is_empty() {
                    break;
                }
                continue;
            };
            self.send(post, out);
        }
        if self.held.is_empty() && self.held.capacity() > 16 {
            self.held = VecDeque::new();
        }
        false
    }

    /// Sends one page; true when there is another.
    fn send_retained(&mut self, recall: &mut Recall, out: &mut BytesMut) -> bool {
        let most = match recall.qos {
            0 => usize::MAX,
            _ => self.hub.limits.inflight_qos1.saturating_sub(self.unacked.len()),
        };
        let page = self.hub.retained(&recall.filter, recall.seq, recall.after.as_ref(), most);
        recall.after = page.after;
        for kept in page.messages {
            let letter = Letter::new(&kept.topic, &kept.payload);
            self.send(Post { letter, qos: kept.qos.min(recall.qos), retain: true }, out);
        }
        recall.after.is_some()
    }

    fn has_room(&self, out: &BytesMut) -> bool {
        out.len() < self.hub.limits.outbound_bytes && self.may_send()
    }

    /// Whether the client has acknowledged enough for more.
    fn may_send(&self) -> bool {
        let limits = &self.hub.limits;
        self.unacked.len() < limits.inflight_qos1.min(MOST_IN_FLIGHT) && self.unacked_bytes < limits.inflight_bytes
    }

    fn send(&mut self, post: Post, out: &mut BytesMut) {
        let Post { letter, qos, retain } = post;
        self.hub.counters.publish_out.add(letter.payload_len());
        let pkid = (qos > 0).then(|| self.free_pkid());
        letter::write_publish(out, &letter, Delivery { pkid, retain, dup: false });
        if let Some(pkid) = pkid {
            self.unacked_bytes = self.unacked_bytes.saturating_add(letter.cost());
            self.unacked.push_back(Unacked { pkid, letter, retain });
        }
    }

    /// A packet id not in use; there is one, see [`MOST_IN_FLIGHT`].
    fn free_pkid(&mut self) -> u16 {
        loop {
            self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
            if self.unacked.iter().all(|unacked| unacked.pkid != self.last_pkid) {
                return self.last_pkid;
            }
        }
    }
}

fn is_due(recall: &Recall, inbox: &Option<Inbox>) -> bool {
    inbox.as_ref().is_none_or(|inbox| inbox.mailbox.passed().0 >= recall.later_than)
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(inbox) = &self.inbox {
            self.hub.leave(inbox.number, &self.filters);
        }
    }
}
