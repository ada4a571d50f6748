//! What a client has with the broker, for as long as its session lasts: subscriptions, messages on their way to it,
//! QoS 2 messages on their way from it. No I/O: the connection feeds it events and takes the bytes it wrote.
//!
//! Messages to the client go `feed → held → out`. They stay in `held` while a SUBACK or retained messages come first,
//! while `Limits::inflight_qos1` messages wait for their PUBACK, or while `out` is full; meanwhile the feed is not
//! read and the router keeps (and finally drops, counted) what comes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};

use crate::Core;
use crate::counters::Refusal;
use crate::fanout::{Event, Fanout, Feed, Gone};
use crate::frame::{self, Delivery};
use crate::hub::Hub;

/// Messages taken from the feed that cannot go out yet. A burst of the router's may go over it by a few hundred while
/// a SUBACK is awaited.
const HELD: usize = 64;

struct Subscription {
    filter: Box<str>,
    qos: u8,
    /// Live messages up to this sequence number are covered by the retained messages that were sent.
    covered: u64,
    /// The offset that comes next, once known.
    next: Option<u64>,
}

/// Retained messages that are still to be sent for a subscription.
struct Recall {
    channel: u16,
    after: Option<Arc<str>>,
    started: bool,
}

/// A SUBACK that waits for the fan-out.
struct Acknowledgement {
    pkid: u16,
    codes: Vec<u8>,
    waiting: HashSet<u16>,
}

struct Unacked {
    pkid: u16,
    topic: Bytes,
    payload: Bytes,
    retain: bool,
}

pub(crate) struct Session {
    pub client: Arc<str>,
    pub clean: bool,
    pub hub: Arc<Hub>,
    feed: Option<<Core as Fanout>::Feed>,
    subscriptions: HashMap<u16, Subscription>,
    recalls: VecDeque<Recall>,
    suback: Option<Acknowledgement>,
    held: VecDeque<(u16, frame::Frame)>,
    unacked: VecDeque<Unacked>,
    last_pkid: u16,
    /// QoS 2 messages taken and not yet released by the client.
    pub unreleased: HashSet<u16>,
}

impl Session {
    pub fn new(client: Arc<str>, clean: bool, hub: Arc<Hub>) -> Self {
        Session {
            client,
            clean,
            hub,
            feed: None,
            subscriptions: HashMap::new(),
            recalls: VecDeque::new(),
            suback: None,
            held: VecDeque::new(),
            unacked: VecDeque::new(),
            last_pkid: 0,
            unreleased: HashSet::new(),
        }
    }

    /// The client is back: sends again what it has not acknowledged.
    pub fn resume(&mut self, out: &mut BytesMut) {
        self.suback = None;
        for unacked in &self.unacked {
            let how = Delivery { pkid: Some(unacked.pkid), retain: unacked.retain, dup: true };
            frame::write_publish(out, &unacked.topic, &unacked.payload, how);
        }
    }

    /// A SUBSCRIBE: its SUBACK is written by [`Session::advance`] once the fan-out has all its filters.
    pub async fn subscribe(&mut self, pkid: u16, filters: Vec<(String, u8)>) -> Result<(), Gone> {
        let mut ack = Acknowledgement { pkid, codes: Vec::with_capacity(filters.len()), waiting: HashSet::new() };
        for (filter, qos) in filters {
            let code = match self.subscribe_one(&filter, qos.min(1), &mut ack.waiting).await? {
                Ok(()) => qos.min(1),
                Err(why) => {
                    tracing::debug!(client = %self.client, filter, why = why.as_str(), "subscription refused");
                    self.hub.counters.refuse(why);
                    0x80
                }
            };
            ack.codes.push(code);
        }
        self.suback = Some(ack);
        Ok(())
    }

    async fn subscribe_one(
        &mut self,
        filter: &str,
        qos: u8,
        waiting: &mut HashSet<u16>,
    ) -> Result<Result<(), Refusal>, Gone> {
        if let Err(why) = self.hub.may_subscribe(&self.client, filter) {
            return Ok(Err(why));
        }
        let known = self.subscriptions.iter_mut().find(|(_, held)| *held.filter == *filter);
        if let Some((&channel, held)) = known {
            held.qos = qos;
            self.recall(channel);
            return Ok(Ok(()));
        }
        if self.subscriptions.len() >= self.hub.limits.filters_per_client {
            return Ok(Err(Refusal::SubscribeLimit));
        }
        if self.feed.is_none() {
            self.feed = Some(self.hub.fanout.attach().await?);
        }
        let (Some(feed), Some(channel)) = (&mut self.feed, self.hub.hold(filter)) else {
            return Ok(Err(Refusal::SubscribeLimit));
        };
        let number = channel.number;
        waiting.insert(number);
        self.subscriptions.insert(number, Subscription { filter: filter.into(), qos, covered: 0, next: None });
        feed.subscribe(channel);
        self.recall(number);
        Ok(Ok(()))
    }

    /// Retained messages of this subscription are to be sent, from the start.
    fn recall(&mut self, channel: u16) {
        self.recalls.retain(|recall| recall.channel != channel);
        self.recalls.push_back(Recall { channel, after: None, started: false });
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        let Some(channel) = self.subscriptions.iter().find(|(_, held)| *held.filter == *filter).map(|(&c, _)| c) else {
            return;
        };
        self.subscriptions.remove(&channel);
        self.recalls.retain(|recall| recall.channel != channel);
        // First the index, then the fan-out: see `Channel`.
        self.hub.release(filter);
        if let Some(feed) = &mut self.feed {
            feed.unsubscribe(channel);
        }
    }

    /// A PUBACK. An unknown one is ignored: it may be from before a resumed session.
    pub fn acknowledged(&mut self, pkid: u16) {
        if let Some(at) = self.unacked.iter().position(|unacked| unacked.pkid == pkid) {
            self.unacked.remove(at);
        }
    }

    /// Whether packets of the client have to wait until a SUBACK is written.
    pub fn is_subscribing(&self) -> bool {
        self.suback.is_some()
    }

    /// The next event of the feed; never resolves while there is no use for one.
    pub async fn next(&mut self) -> Result<Event, Gone> {
        match &mut self.feed {
            Some(feed) if self.suback.is_some() || self.held.len() < HELD => feed.next().await,
            _ => std::future::pending().await,
        }
    }

    /// Takes an event of the feed.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Subscribed { channel } => {
                if let Some(ack) = &mut self.suback {
                    ack.waiting.remove(&channel);
                }
            }
            Event::Message { channel, offset, frame } => {
                let Some(subscription) = self.subscriptions.get_mut(&channel) else { return };
                let lost = subscription.next.map_or(0, |next| offset.saturating_sub(next));
                subscription.next = Some(offset.saturating_add(1));
                if lost > 0 {
                    self.hub.counters.messages_lost.fetch_add(lost, Relaxed);
                    tracing::debug!(client = %self.client, lost, "a slow subscriber lost messages");
                }
                if let Some(frame) = frame::decode(frame) {
                    self.held.push_back((channel, frame));
                }
            }
        }
    }

    /// Writes what can be written: a SUBACK that is due, retained messages, then live ones.
    pub fn advance(&mut self, out: &mut BytesMut) {
        if let Some(ack) = self.suback.take_if(|ack| ack.waiting.is_empty()) {
            frame::write_suback(out, ack.pkid, &ack.codes);
        }
        if self.suback.is_some() {
            return;
        }
        while let Some(mut recall) = self.recalls.pop_front() {
            if !self.has_room(out) {
                return self.recalls.push_front(recall);
            }
            if self.send_retained(&mut recall, out) {
                self.recalls.push_front(recall);
            }
        }
        while self.has_room(out)
            && let Some((channel, frame)) = self.held.pop_front()
        {
            let Some(subscription) = self.subscriptions.get(&channel) else { continue };
            if frame.seq == 0 || frame.seq > subscription.covered {
                let qos = frame.qos.min(subscription.qos);
                self.send(out, frame.topic, frame.payload, qos, false);
            }
        }
    }

    /// Sends one page; true when there is another.
    fn send_retained(&mut self, recall: &mut Recall, out: &mut BytesMut) -> bool {
        let hub = self.hub.clone();
        let Some(subscription) = self.subscriptions.get_mut(&recall.channel) else { return false };
        let (page, seq) = hub.retained(&subscription.filter, recall.after.as_ref());
        if !recall.started {
            recall.started = true;
            subscription.covered = seq;
        }
        let limit = subscription.qos;
        recall.after = page.after;
        for kept in page.messages {
            let topic = Bytes::copy_from_slice(kept.topic.as_bytes());
            self.send(out, topic, kept.payload, kept.qos.min(limit), true);
        }
        recall.after.is_some()
    }

    fn has_room(&self, out: &BytesMut) -> bool {
        out.len() < self.hub.limits.outbound_bytes && self.unacked.len() < self.hub.limits.inflight_qos1
    }

    fn send(&mut self, out: &mut BytesMut, topic: Bytes, payload: Bytes, qos: u8, retain: bool) {
        self.hub.counters.messages_out.fetch_add(1, Relaxed);
        let pkid = (qos > 0).then(|| self.free_pkid());
        frame::write_publish(out, &topic, &payload, Delivery { pkid, retain, dup: false });
        if let Some(pkid) = pkid {
            self.unacked.push_back(Unacked { pkid, topic, payload, retain });
        }
    }

    /// A packet id not in use; there is one, since far fewer than 65 535 are in flight.
    fn free_pkid(&mut self) -> u16 {
        loop {
            self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
            if self.unacked.iter().all(|unacked| unacked.pkid != self.last_pkid) {
                return self.last_pkid;
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for subscription in self.subscriptions.values() {
            self.hub.release(&subscription.filter);
        }
    }
}
