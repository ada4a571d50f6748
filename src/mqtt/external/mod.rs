//! A broker elsewhere: one connection, kept up with backoff and jitter, behind an [`Outlet`] that never waits for it.
//!
//! ```text
//!  loop ─► ExternalOutlet (latest value per topic, bounded queue of events)
//!            └─► sayer ─► client's queue ─► driver ◄─► broker
//!                  └─ bounded: in flight ─► heeder (acknowledged: forgotten)
//! ```
//! Three tasks, joined: the *driver* owns the connection, hands metrics to the intake and clears retained topics of ours
//! that are no longer true; the *sayer* says what is due; the *heeder* waits for acknowledgements, in order.
//!
//! Each connection has a clean session, so the client replays nothing of an earlier one: what was not acknowledged is said
//! again by the outlet, and by nobody else. All subscriptions are made anew.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, ClientError, EventLoop, LastWill, MqttOptions, PublishNotice, PublishOptions, QoS};
use tokio::sync::mpsc;

use crate::board::Board;

use super::metrics::Metrics;
use super::topics::Topics;

mod counts;
mod driver;
mod due;
mod held_back;
mod kept;
mod outlet;
mod subscriptions;
mod trouble;

pub use counts::{Counts, Refusal};
pub use due::{Item, KEPT_EVENT_BYTES, KEPT_EVENTS};
pub use kept::{OBJECT, Undelivered};
pub use outlet::{ExternalOutlet, NotSent};

/// A packet larger than this is not sent, and ends the connection when it comes in.
const MAX_PACKET: usize = 256 * 1024;
/// Messages that wait for their acknowledgement: what a far broker is told per round trip.
const WINDOW: usize = 16;
/// Requests between the sayer and the driver; more than are in flight, so that none is refused.
const QUEUE: usize = 64;
/// For all of name, connection and the broker's answer; and for a write that it does not take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const OFFLINE: &[u8] = br#"{"state":"offline"}"#;

/// Where the broker is and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `mqtt.username`, if it wants one.
    pub username: Option<String>,
    /// `mqtt.password_file`, read anew for each connection.
    pub password_file: Option<PathBuf>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "mqtt://[{}]:{}", self.host, self.port);
        }
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

/// The link to an external broker.
#[derive(Debug)]
pub struct External {
    client: AsyncClient,
    client_id: String,
    keep_alive: Duration,
    address: Address,
    outlet: Arc<ExternalOutlet>,
    topics: Arc<Topics>,
}

/// Opens the link; it connects by and by. The client id is of this device, so that a second agent of the same id is noticed.
#[must_use]
pub fn open(address: Address, keep_alive: Duration, device_id: &str, topics: Arc<Topics>) -> (External, EventLoop) {
    let client_id = format!("flotta-agent-{device_id}");
    let seconds = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX).max(1);
    let mut options = MqttOptions::new(client_id.clone(), rumqttc::Broker::tcp(address.host.clone(), address.port));
    options.set_keep_alive(seconds);
    options.set_clean_session(true);
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    options.set_last_will(LastWill::new(topics.status(), OFFLINE, QoS::AtLeastOnce, true));
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).build();
    events.network_options.set_connection_timeout(CONNECT_PATIENCE.as_secs());
    // Small messages, one after the other: none waits for the acknowledgement of the one before.
    events.network_options.set_tcp_nodelay(true);
    let keep_alive = Duration::from_secs(seconds.into());
    (External { client, client_id, keep_alive, address, outlet: Arc::default(), topics }, events)
}

impl External {
    /// Where to say things.
    #[must_use]
    pub fn outlet(&self) -> Arc<ExternalOutlet> {
        self.outlet.clone()
    }

    /// Keeps the connection up and says what is due; until it is closed.
    pub async fn keep(&self, events: EventLoop, metrics: &Metrics, board: &Board) {
        let (said, heard) = mpsc::channel(WINDOW);
        tokio::select! {
            () = driver::drive(self, events, metrics, board) => {}
            () = self.say(said) => {}
            () = self.heed(heard) => {}
        }
    }

    /// Says what is still due, then the last words, and closes; within `deadline`.
    pub async fn close(&self, deadline: Duration) {
        if self.outlet.is_connected() {
            let all = async {
                while !self.outlet.is_idle() {
                    self.outlet.idle.notified().await;
                }
            };
            // The rest of the time is for the last words.
            let _ = tokio::time::timeout(deadline / 2, all).await;
            self.outlet.close();
            let _ = tokio::time::timeout(deadline / 2, self.say_goodbye()).await;
        }
        let waiting = self.outlet.counts().waiting;
        if waiting > 0 {
            tracing::warn!(events = waiting, "the broker has not got the last events");
        }
    }

    /// Not acknowledged in time: the last will says it.
    async fn say_goodbye(&self) {
        let options = PublishOptions::at_least_once().retained();
        if let Ok(notice) = self.client.publish_tracked(self.topics.status(), OFFLINE, options).await {
            let _ = notice.wait_async().await;
        }
        let _ = self.client.disconnect().await;
        // Until the driver has sent it.
        std::future::pending::<()>().await;
    }

    async fn say(&self, said: mpsc::Sender<(Item, PublishNotice)>) {
        while let Ok(room) = said.reserve().await {
            let next = self.outlet.say_next(|topic, payload, retain| self.hand_over(topic, payload, retain));
            match next {
                Some(in_flight) => room.send(in_flight),
                None => {
                    drop(room);
                    self.outlet.rung.notified().await;
                }
            }
        }
    }

    fn hand_over(&self, topic: &str, payload: Bytes, retain: bool) -> Result<PublishNotice, NotSent> {
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.try_publish_tracked(topic, payload, options).map_err(|why| match why {
            ClientError::InvalidRequest(_) => NotSent::Never,
            _ => NotSent::Later,
        })
    }

    async fn heed(&self, mut heard: mpsc::Receiver<(Item, PublishNotice)>) {
        while let Some((item, notice)) = heard.recv().await {
            let acknowledged = notice.wait_async().await.is_ok();
            self.outlet.settled(&item, acknowledged);
        }
    }
}
