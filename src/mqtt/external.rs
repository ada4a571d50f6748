//! A broker elsewhere: one connection, kept up with backoff and jitter, behind an [`Outlet`] that never waits for it.
//!
//! Tasks: the *driver* polls the connection and hands metrics to the intake; the *teller* says what is due while the broker
//! is there. Retained topics hold their latest value and are all said again after a reconnect; events wait in a bounded
//! queue, each until the broker has acknowledged it. When it connects, retained topics of ours that are no longer true are
//! cleared. At the end the teller says what is still due, then that we are offline, and nothing after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backoff::BackoffBuilder;
use bytes::Bytes;
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, PublishOptions, QoS};
use tokio::sync::Notify;

use crate::board::Board;
use crate::model::status::LinkStatus;

use super::Outlet;
use super::metrics::Metrics;
use super::topics::Topics;

/// Events kept while the broker is away; then the oldest is dropped, and the gap in `seq` declares it.
pub const KEPT_EVENTS: usize = 1_000;
/// A packet larger than this, in either direction, ends the connection.
const MAX_PACKET: usize = 256 * 1024;
/// Requests between the teller and the driver.
const QUEUE: usize = 64;
const KEEP_ALIVE_SECONDS: u16 = 30;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Where the broker is and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User, if it wants one.
    pub username: Option<String>,
    /// Password, read from `mqtt.password_file`.
    pub password: Option<String>,
}

/// What is to be said, kept while it cannot be.
#[derive(Debug, Default)]
pub struct ExternalOutlet {
    due: Mutex<Due>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct Due {
    connected: bool,
    closing: bool,
    retained: BTreeMap<String, Bytes>,
    dirty: BTreeSet<String>,
    events: VecDeque<(String, Bytes)>,
    dropped: u64,
}

impl ExternalOutlet {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that were dropped while the broker was away.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.due().dropped
    }

    fn set_connected(&self, connected: bool) {
        let mut due = self.due();
        due.connected = connected;
        if connected {
            due.dirty = due.retained.keys().cloned().collect();
        }
        drop(due);
        self.rung.notify_one();
    }

    /// Whether a retained topic that the broker holds is one that we stand by.
    fn stands(&self, topic: &str) -> bool {
        self.due().retained.contains_key(topic)
    }

    fn is_connected(&self) -> bool {
        self.due().connected
    }

    fn is_closing(&self) -> bool {
        self.due().closing
    }

    fn close(&self) {
        self.due().closing = true;
        self.rung.notify_one();
    }

    fn next(&self) -> Option<(String, Bytes, bool)> {
        let mut due = self.due();
        if !due.connected {
            return None;
        }
        if let Some(topic) = due.dirty.pop_first() {
            let payload = due.retained.get(&topic).cloned().unwrap_or_default();
            if payload.is_empty() {
                due.retained.remove(&topic);
            }
            return Some((topic, payload, true));
        }
        due.events.front().map(|(topic, payload)| (topic.clone(), payload.clone(), false))
    }

    fn acknowledged(&self, topic: &str, payload: &Bytes) {
        let mut due = self.due();
        // The front may have been dropped for room meanwhile.
        if due.events.front().is_some_and(|(t, p)| t == topic && p == payload) {
            due.events.pop_front();
        }
    }
}

impl Outlet for ExternalOutlet {
    fn publish(&self, topic: &str, payload: Bytes, retain: bool) {
        let mut due = self.due();
        if retain {
            due.retained.insert(topic.to_owned(), payload);
            due.dirty.insert(topic.to_owned());
        } else {
            if due.events.len() >= KEPT_EVENTS {
                due.events.pop_front();
                due.dropped = due.dropped.saturating_add(1);
            }
            due.events.push_back((topic.to_owned(), payload));
        }
        drop(due);
        self.rung.notify_one();
    }
}

/// The link to an external broker.
#[derive(Debug)]
pub struct External {
    client: AsyncClient,
    outlet: Arc<ExternalOutlet>,
    topics: Arc<Topics>,
    closed: Notify,
}

/// Opens the link; it connects by and by. The client id is of this device, so that a second agent of the same id is noticed.
#[must_use]
pub fn open(address: &Address, device_id: &str, topics: Arc<Topics>) -> (External, EventLoop) {
    let mut options =
        MqttOptions::new(format!("flotta-agent-{device_id}"), rumqttc::Broker::tcp(address.host.clone(), address.port));
    options.set_keep_alive(KEEP_ALIVE_SECONDS);
    options.set_clean_session(true);
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    options.set_last_will(LastWill::new(topics.status(), r#"{"state":"offline"}"#, QoS::AtLeastOnce, true));
    match (&address.username, &address.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), Bytes::from(password.clone()));
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, _) => {}
    }
    let (client, events) = AsyncClient::builder(options).capacity(QUEUE).build();
    (External { client, outlet: Arc::default(), topics, closed: Notify::new() }, events)
}

impl External {
    /// Where to say things.
    #[must_use]
    pub fn outlet(&self) -> Arc<ExternalOutlet> {
        self.outlet.clone()
    }

    /// Has the teller say what is due, then the last words, and closes; what `deadline` cuts off, the last will says.
    pub async fn close(&self, deadline: Duration) {
        if !self.outlet.is_connected() {
            return;
        }
        self.outlet.close();
        if tokio::time::timeout(deadline, self.closed.notified()).await.is_err() {
            tracing::warn!("the broker was not told everything within {} s", deadline.as_secs());
        }
    }

    async fn say_goodbye(&self) {
        let options = PublishOptions::at_least_once().retained();
        let offline = Bytes::from_static(br#"{"state":"offline"}"#);
        if let Ok(notice) = self.client.publish_tracked(self.topics.status(), offline, options).await {
            // Not acknowledged: the last will says it.
            let _ = notice.wait_async().await;
        }
        let _ = self.client.disconnect().await;
    }

    /// Says what is due, until it is closed.
    pub async fn tell(&self) {
        loop {
            let Some((topic, payload, retain)) = self.outlet.next() else {
                if self.outlet.is_closing() {
                    self.say_goodbye().await;
                    self.closed.notify_one();
                    return;
                }
                self.outlet.rung.notified().await;
                continue;
            };
            let options = PublishOptions::at_least_once().retain(retain);
            let sent = self.client.publish_tracked(topic.clone(), payload.clone(), options).await;
            // One retained value is replaced by the next, so only an event waits for its acknowledgement.
            if let (Ok(notice), false) = (sent, retain)
                && notice.wait_async().await.is_ok()
            {
                self.outlet.acknowledged(&topic, &payload);
            }
        }
    }

    /// Keeps the connection up, for ever.
    pub async fn drive(&self, mut events: EventLoop, metrics: Metrics, board: &Board) {
        let waits = || {
            let policy = backoff::ExponentialBuilder::default().with_min_delay(FIRST_RETRY).with_max_delay(LAST_RETRY);
            policy.with_jitter().without_max_times().build()
        };
        let mut wait = waits();
        board.set_broker(LinkStatus::of("connecting"));
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    wait = waits();
                    self.connected(board).await;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    if metrics.wants(&topic) {
                        metrics.take(&topic, &publish.payload, "external broker");
                    } else if publish.retain && self.topics.is_ours(&topic) && !self.outlet.stands(&topic) {
                        tracing::info!(%topic, "clearing a retained status that is no longer true");
                        self.outlet.publish(&topic, Bytes::new(), true);
                    }
                }
                Ok(_) => {}
                Err(why) => {
                    self.outlet.set_connected(false);
                    let pause = wait.next().unwrap_or(LAST_RETRY);
                    let message = format!("{why}; tried again in {} s", pause.as_secs().max(1));
                    tracing::warn!("the broker cannot be reached: {message}");
                    board.set_broker(LinkStatus { state: "disconnected".into(), message: Some(message) });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn connected(&self, board: &Board) {
        tracing::info!("connected to the broker");
        let [shared, own] = self.topics.metric_filters();
        for filter in [shared, own, self.topics.own_filter()] {
            // The queue is the driver's own, so it must not be waited for here.
            if let Err(why) = self.client.try_subscribe(filter.clone(), QoS::AtLeastOnce) {
                tracing::warn!(%filter, "cannot subscribe: {why}");
            }
        }
        self.outlet.set_connected(true);
        board.set_broker(LinkStatus::of("connected"));
    }
}
