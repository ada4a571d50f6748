//! Keeps the connection up.

use std::time::Duration;

use backoff::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use rumqttc::{ConnectionError, Event, EventLoop};

use crate::board::Board;
use crate::clock;
use crate::model::problem::Problem;
use crate::model::status::LinkStatus;
use crate::model::time::Mono;
use crate::mqtt::Outlet;
use crate::mqtt::metrics::Metrics;

use super::External;
use super::counts::Refusal;
use super::subscriptions::Subscriptions;
use super::trouble::Trouble;

const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Jitter adds up to as much again.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one, after which the first retry is soon again. Longer than the longest
/// pause, so that two agents that take the client id from each other slow down.
const GOOD: Duration = Duration::from_secs(120);
/// Connections in a row, each closed by the broker too soon, after which it is said what that looks like.
const BRIEF: u32 = 3;
/// Silence that a broker is granted beyond the keep-alive, at least.
const GRACE: Duration = Duration::from_secs(5);

struct Driver<'a> {
    link: &'a External,
    metrics: &'a Metrics,
    board: &'a Board,
    waits: ExponentialBackoff,
    subscriptions: Subscriptions,
    /// When the connection was made, if there is one.
    since: Option<Mono>,
    /// When the broker was last heard.
    heard: Mono,
    /// Something of ours came back from the broker.
    echoed: bool,
    /// Retained messages acknowledged before this connection.
    acknowledged_before: u64,
    /// It acknowledges what we publish and hands none of it on.
    swallows: bool,
    brief: u32,
    failures: u64,
    last_words: String,
}

/// Keeps the connection up, until it is closed for good.
pub(super) async fn drive(link: &External, mut events: EventLoop, metrics: &Metrics, board: &Board) {
    let mut driver = Driver {
        link,
        metrics,
        board,
        waits: waits(),
        subscriptions: Subscriptions::new(&link.topics),
        since: None,
        heard: clock::mono(),
        echoed: false,
        acknowledged_before: 0,
        swallows: false,
        brief: 0,
        failures: 0,
        last_words: String::new(),
    };
    board.set_broker(LinkStatus::of("connecting"));
    loop {
        if driver.since.is_none() {
            log_in(link, &mut events);
        }
        match driver.next(&mut events).await {
            Ok(event) => driver.take(event),
            Err(Trouble::Closed) => return,
            Err(_) if link.outlet.is_closing() => return,
            Err(trouble) => driver.over(trouble, &mut events).await,
        }
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(LAST_RETRY)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The password is read for each connection, so that a new one needs no restart.
fn log_in(link: &External, events: &mut EventLoop) {
    let Some(user) = &link.address.username else { return };
    let password = link.address.password_file.as_deref().map(std::fs::read_to_string);
    match password {
        Some(Ok(text)) => {
            let password = Bytes::copy_from_slice(text.trim_end_matches(['\r', '\n']).as_bytes());
            events.mqtt_options.set_credentials(user.clone(), password);
        }
        // If the broker minds, the refusal says why there was none.
        Some(Err(_)) | None => {
            events.mqtt_options.set_username(user.clone());
        }
    }
}

impl Driver<'_> {
    /// The broker answers to each of our packets, and to a ping where there was none: longer silence is the end. The
    /// client itself would wait for ever for a write that is not taken.
    fn patience(&self) -> Duration {
        let keep_alive = self.link.keep_alive;
        keep_alive.saturating_add(GRACE.max(keep_alive / 2))
    }

    async fn next(&self, events: &mut EventLoop) -> Result<Event, Trouble> {
        let polled = if self.since.is_none() {
            // Has its own time limit.
            events.poll().await
        } else {
            let left = self.patience().saturating_sub(clock::mono().since(self.heard));
            match tokio::time::timeout(left, events.poll()).await {
                Ok(polled) => polled,
                Err(_) => return Err(Trouble::Silent(self.patience())),
            }
        };
        polled.map_err(|why| match why {
            ConnectionError::RequestsDone | ConnectionError::DisconnectTimeout => Trouble::Closed,
            why => Trouble::Of(why),
        })
    }

    fn take(&mut self, event: Event) {
        let Event::Incoming(packet) = event else { return };
        self.heard = clock::mono();
        match packet {
            Packet::ConnAck(_) => self.connected(),
            Packet::Publish(publish) => self.publish(&publish),
            Packet::SubAck(answer) => {
                for _ in 0..self.subscriptions.answered(&answer) {
                    self.link.outlet.refuse(Refusal::Subscribe);
                }
                self.report();
            }
            Packet::PingResp => {
                // All that was acknowledged before has come back by now, if it ever does.
                let acknowledged = self.link.outlet.counts().retained > self.acknowledged_before;
                self.swallows = self.subscriptions.has_own() && acknowledged && !self.echoed;
                self.report();
            }
            Packet::PubAck(_) => self.report(),
            _ => {}
        }
    }

    fn connected(&mut self) {
        tracing::info!(broker = %self.link.address, "connected to the broker");
        self.since = Some(self.heard);
        (self.echoed, self.swallows, self.failures) = (false, false, 0);
        self.acknowledged_before = self.link.outlet.counts().retained;
        let filters = self.subscriptions.begin();
        // The queue is the driver's own, so it must not be waited for here; it is empty on a new connection.
        if !filters.is_empty()
            && let Err(why) = self.link.client.try_subscribe_many(filters)
        {
            tracing::warn!("cannot subscribe: {why}");
        }
        self.link.outlet.connected();
        self.board.set_broker(LinkStatus::of("connected"));
        self.report();
    }

    fn publish(&mut self, publish: &Publish) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if self.metrics.wants(&topic) {
            self.metrics.take(&topic, &publish.payload, "external broker");
            return;
        }
        if !self.link.topics.is_ours(&topic) {
            return;
        }
        // As new: somebody, and it is us unless there are two of us, published it during this connection.
        self.echoed |= !publish.retain;
        if publish.retain && !self.link.outlet.stands(&topic) {
            tracing::info!(%topic, "clearing a retained status that is no longer true");
            self.link.outlet.publish(&topic, Bytes::new(), true);
        }
    }

    /// The connection is over, or did not come about: says so, and waits before the next.
    async fn over(&mut self, trouble: Trouble, events: &mut EventLoop) {
        let outlet = &self.link.outlet;
        outlet.disconnected();
        // What was handed over since the client found out.
        events.clean();
        let age = self.since.take().map(|since| clock::mono().since(since));
        if age.is_some_and(|age| age >= GOOD) {
            self.waits = waits();
            self.brief = 0;
        }
        if trouble.is_refusal() {
            outlet.refuse(Refusal::Connect);
        }
        let by_peer = age.is_some() && trouble.is_by_peer();
        let mut words = trouble.words(&self.link.address, &self.link.client_id, age.is_some());
        if by_peer {
            self.brief = self.brief.saturating_add(1);
            words.push_str(&self.looks_like());
        }
        if let (Some(length), Some(age)) = (trouble.oversize(), age)
            && self.subscriptions.too_long(length, age)
        {
            self.waits = waits();
        }
        let pause = self.waits.next().unwrap_or(LAST_RETRY);
        self.say(&words, pause);
        tokio::time::sleep(pause).await;
        // Only now, as acknowledgements that came just before the end have been heeded by now.
        if by_peer && let Some(topic) = self.link.outlet.suspect() {
            tracing::warn!(%topic, "the broker does not take it: held back");
            self.waits = waits();
        }
        self.report();
    }

    fn looks_like(&self) -> String {
        if self.link.outlet.is_careful() {
            return ", perhaps over one of our messages: they are published one at a time now".into();
        }
        if self.brief < BRIEF {
            return String::new();
        }
        let (id, device) = (&self.link.client_id, self.board.device_id());
        format!(
            ", for the {}th time in a row soon after it let us in: another client may use the client id {id}, that is, another agent may run with the device id {device}",
            self.brief
        )
    }

    fn say(&mut self, words: &str, pause: Duration) {
        self.failures = self.failures.saturating_add(1);
        let message = format!("{words}; tried again in {} s", pause.as_secs().max(1));
        // The same again is logged at the 1st, 2nd, 4th, 8th… time only.
        if self.last_words != words || self.failures.is_power_of_two() {
            tracing::warn!("not connected to the broker: {message}");
        }
        words.clone_into(&mut self.last_words);
        self.board.set_broker(LinkStatus { state: "disconnected".into(), message: Some(message) });
    }

    /// What a person should mend.
    fn report(&self) {
        let mut problems = self.link.outlet.problems();
        problems.extend(self.subscriptions.problems());
        if self.swallows {
            let message = "the broker acknowledges what we publish and does not hand it on: its access rules may forbid us to write there, or its limit of a message's size is low";
            problems.push(Problem::new(self.link.topics.own_filter(), message));
        }
        self.board.set_problems("broker", problems);
    }
}
