//! The fan-out on rumqttd's router, used for what it is good at: a thread with a bounded log per filter and a cursor
//! per reader. It sees no client id, no topic and no filter of a client's: links are `link-N`, topics and filters are
//! channel numbers. So nothing a client sends can reach its panics (it slices topics by bytes, for one), and what it
//! never frees (ids, topics, filters) is bounded by how many were in use at the same time.
//!
//! ```text
//! publish ──► publisher link ──► router thread ──► one link per subscriber ──► RouterFeed::next
//!                  ▲ fences (PINGREQ → PINGRESP) tell how far the router has come: `Backlog`
//! RouterFeed dropped ──► janitor task: unsubscribes, drains up to a fence, keeps the link for the next subscriber
//! ```
//!
//! Rules that keep the router alive, each from reading its source:
//! - `ready()` is sent once per `Unschedule` and never after a disconnect (it unwraps on an unknown connection).
//! - a link is only disconnected when drained, so it is in no queue of the router when its number is used again.
//! - an event is sent only if the link's buffer was empty, else one is on its way already; there are at most a few
//!   events per link, so the router's channel of 1 000 does not fill up and sending does not block.
//!
//! The router thread cannot be ended: after a shutdown it stays parked on its channel.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Filter, Packet, PingReq, Publish, QoS, RetainForwardRule, Subscribe, Unsubscribe};
use rumqttd::{Notification, RouterConfig};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::backlog::Backlog;
use super::{Channel, Event, Fanout, Feed, Gone, Numbers};
use crate::{Limits, StartError, lock};

/// Bytes of one segment of a channel's log, and how many are kept (the last two).
const SEGMENT_BYTES: usize = 65_536;
const SEGMENTS: usize = 2;
/// How many messages the router reads from a log at a time.
const READ_AT_ONCE: u64 = 100;
/// Drained links that wait for the next subscriber; more are given back to the router.
const IDLE_LINKS: usize = 4;
/// How long the router may take to let go of a link.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

type Connect = dyn Fn(&str) -> Option<(LinkTx, LinkRx)> + Send + Sync;

struct Link {
    number: u16,
    tx: LinkTx,
    rx: LinkRx,
}

/// What a feed leaves behind: its link, and the channels it may still be subscribed to.
type Left = (Link, HashMap<u16, (Arc<Channel>, usize)>);

struct Shared {
    connect: Box<Connect>,
    /// One link is built at a time: it takes a thread.
    building: Semaphore,
    numbers: Arc<Numbers>,
    idle: Mutex<Vec<Link>>,
}

pub(crate) struct Router {
    publisher: Mutex<LinkTx>,
    backlog: Arc<Backlog>,
    channels: Arc<Numbers>,
    shared: Arc<Shared>,
    janitor: mpsc::UnboundedSender<Left>,
    tasks: [AbortHandle; 2],
}

impl Fanout for Router {
    type Feed = RouterFeed;

    fn start(limits: &Limits) -> Result<Self, StartError> {
        let links = limits.connections.saturating_add(limits.parked_sessions).saturating_add(IDLE_LINKS + 1);
        let config = RouterConfig {
            max_connections: links.saturating_add(1),
            max_outgoing_packet_count: READ_AT_ONCE,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        };
        // `spawn` unwraps when the system gives no thread.
        let events = catch_unwind(AssertUnwindSafe(|| rumqttd::Router::new(0, config).spawn()));
        let events = events.map_err(|_| StartError::Router)?;
        let connect = move |id: &str| LinkBuilder::new(id, events.clone()).build().map(|(tx, rx, _)| (tx, rx)).ok();
        let (tx, rx) = connect("publisher").ok_or(StartError::Router)?;
        let backlog = Arc::new(Backlog::default());
        let fences = tokio::spawn(watch_fences(rx, backlog.clone())).abort_handle();
        let shared = Arc::new(Shared {
            connect: Box::new(connect),
            building: Semaphore::new(1),
            numbers: Numbers::new(links),
            idle: Mutex::default(),
        });
        let (janitor, left) = mpsc::unbounded_channel();
        let cleaner = tokio::spawn(clean_up(left, shared.clone())).abort_handle();
        let channels = Numbers::new(limits.distinct_filters);
        let tasks = [fences, cleaner];
        Ok(Router { publisher: Mutex::new(tx), backlog, channels, shared, janitor, tasks })
    }

    fn open(&self) -> Option<Arc<Channel>> {
        Channel::open(&self.channels)
    }

    fn publish(&self, channel: &Arc<Channel>, frame: &Bytes) {
        let mut tx = lock(&self.publisher);
        send(&mut tx, publication(channel.name.clone(), frame.clone()));
        if self.backlog.pushed(frame.len()) {
            send(&mut tx, Packet::PingReq(PingReq));
        }
    }

    fn is_full(&self) -> bool {
        self.backlog.is_full()
    }

    async fn room(&self) {
        self.backlog.room().await;
    }

    fn stop(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    async fn attach(&self) -> Result<RouterFeed, Gone> {
        let idle = lock(&self.shared.idle).pop();
        let link = match idle {
            Some(link) => link,
            None => build(&self.shared).await?,
        };
        Ok(RouterFeed { link: Some(link), channels: HashMap::new(), janitor: self.janitor.clone() })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn build(shared: &Arc<Shared>) -> Result<Link, Gone> {
    let _one_at_a_time = shared.building.acquire().await.map_err(|_| Gone)?;
    let shared = shared.clone();
    let built = tokio::task::spawn_blocking(move || {
        let number = shared.numbers.take()?;
        let link = (shared.connect)(&format!("link-{number}")).map(|(tx, rx)| Link { number, tx, rx });
        if link.is_none() {
            shared.numbers.give_back(number);
        }
        link
    });
    built.await.ok().flatten().ok_or(Gone)
}

/// Puts a packet into the link's buffer, and tells the router if it does not know yet that there is something.
fn send(tx: &mut LinkTx, packet: Packet) {
    let mut buffer = tx.buffer();
    if !buffer.is_empty() {
        return buffer.push_back(packet);
    }
    drop(buffer);
    // `LinkTx::send` is async by name only: it never waits, so one poll is enough.
    let mut sending = std::pin::pin!(tx.send(packet));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    if sending.as_mut().poll(&mut context).is_pending() {
        tracing::error!("the message router took a packet without its event");
    }
}

fn publication(topic: Bytes, payload: Bytes) -> Packet {
    Packet::Publish(Publish::new(topic, payload, false), None)
}

fn subscription(channel: &Channel) -> Packet {
    let path = channel.number.to_string();
    let retain_forward_rule = RetainForwardRule::Never;
    let filter = Filter { path, qos: QoS::AtMostOnce, nolocal: false, preserve_retain: false, retain_forward_rule };
    Packet::Subscribe(Subscribe { pkid: channel.number + 1, filters: vec![filter] }, None)
}

fn unsubscription(channel: u16) -> Packet {
    Packet::Unsubscribe(Unsubscribe { pkid: channel + 1, filters: vec![channel.to_string()] }, None)
}

/// One subscriber's link to the router.
pub(crate) struct RouterFeed {
    /// `None` only while it is dropped.
    link: Option<Link>,
    /// Channels that the router has for this link, with the subscriptions not yet taken back.
    channels: HashMap<u16, (Arc<Channel>, usize)>,
    janitor: mpsc::UnboundedSender<Left>,
}

impl Feed for RouterFeed {
    fn subscribe(&mut self, channel: Arc<Channel>) {
        if let Some(link) = &mut self.link {
            send(&mut link.tx, subscription(&channel));
            let held = self.channels.entry(channel.number).or_insert((channel, 0));
            held.1 = held.1.saturating_add(1);
        }
    }

    fn unsubscribe(&mut self, channel: u16) {
        if let Some(link) = &mut self.link {
            send(&mut link.tx, unsubscription(channel));
        }
    }

    async fn next(&mut self) -> Result<Event, Gone> {
        loop {
            let link = self.link.as_mut().ok_or(Gone)?;
            match link.rx.next().await.map_err(|_| Gone)? {
                Some(Notification::Forward(forward)) => {
                    let number = std::str::from_utf8(&forward.publish.topic).ok().and_then(|name| name.parse().ok());
                    if let (Some(channel), Some((_, offset))) = (number, forward.cursor) {
                        return Ok(Event::Message { channel, offset, frame: forward.publish.payload });
                    }
                }
                Some(Notification::Unschedule) => link.rx.ready().map_err(|_| Gone)?,
                Some(Notification::Disconnect(..)) => return Err(Gone),
                Some(other) => match Option::<Packet>::from(other) {
                    Some(Packet::SubAck(ack, _)) => return Ok(Event::Subscribed { channel: ack.pkid.wrapping_sub(1) }),
                    Some(Packet::UnsubAck(ack, _)) => self.let_go(ack.pkid.wrapping_sub(1)),
                    _ => {}
                },
                None => {}
            }
        }
    }
}

impl RouterFeed {
    fn let_go(&mut self, channel: u16) {
        if let Some(held) = self.channels.get_mut(&channel) {
            held.1 = held.1.saturating_sub(1);
            if held.1 == 0 {
                self.channels.remove(&channel);
            }
        }
    }
}

impl Drop for RouterFeed {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            // Nobody receives after a shutdown; then the numbers need not come back.
            self.janitor.send((link, std::mem::take(&mut self.channels))).ok();
        }
    }
}

/// Reads the publisher link, on which only the answers to fences arrive.
async fn watch_fences(mut rx: LinkRx, backlog: Arc<Backlog>) {
    while let Ok(notification) = rx.next().await {
        let packet = notification.and_then(Option::<Packet>::from);
        if matches!(packet, Some(Packet::PingResp(_))) {
            backlog.passed();
        }
    }
}

/// Takes links back from feeds that ended; ends with the last sender.
async fn clean_up(mut left: mpsc::UnboundedReceiver<Left>, shared: Arc<Shared>) {
    while let Some((mut link, channels)) = left.recv().await {
        for channel in channels.keys() {
            send(&mut link.tx, unsubscription(*channel));
        }
        send(&mut link.tx, Packet::PingReq(PingReq));
        if !matches!(tokio::time::timeout(DRAIN_DEADLINE, drain(&mut link)).await, Ok(Ok(()))) {
            tracing::error!(link = link.number, "the message router does not let go of a subscriber");
            // Neither the link nor its channels may be used again.
            channels.into_values().for_each(std::mem::forget);
            continue;
        }
        drop(channels);
        let mut idle = lock(&shared.idle);
        if idle.len() < IDLE_LINKS {
            idle.push(link);
            continue;
        }
        drop(idle);
        send(&mut link.tx, disconnect());
        shared.numbers.give_back(link.number);
    }
}

fn disconnect() -> Packet {
    use rumqttd::protocol::{Disconnect, DisconnectReasonCode};
    Packet::Disconnect(Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection }, None)
}

/// Reads a link up to the answer to its fence.
async fn drain(link: &mut Link) -> Result<(), Gone> {
    loop {
        match link.rx.next().await.map_err(|_| Gone)? {
            Some(Notification::Unschedule) => link.rx.ready().map_err(|_| Gone)?,
            Some(Notification::Forward(_)) | None => {}
            Some(other) => {
                if matches!(Option::<Packet>::from(other), Some(Packet::PingResp(_))) {
                    return Ok(());
                }
            }
        }
    }
}
