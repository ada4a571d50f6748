//! A broker on a port of its own, a tap that remembers, rights with a reserved tree, and a client that speaks bytes.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod client;
mod packets;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotta_broker::{Broker, Message, Rights, Settings, Tap};
use tokio::net::TcpStream;
use tokio::sync::Notify;

pub use client::*;
pub use flotta_broker::{Counters, Limits, Refusal};
pub use packets::*;

/// Nothing in these tests takes this long; what does, has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// `agent/#` belongs to the agent, `secret/#` may not be read.
pub struct House;

impl Rights for House {
    fn may_publish(&self, _: &flotta_broker::Client, topic: &str) -> bool {
        !topic.starts_with("agent/")
    }
    fn may_subscribe(&self, _: &flotta_broker::Client, filter: &str) -> bool {
        !filter.starts_with("secret/")
    }
}

/// A message as the tap saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub topic: String,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub client: String,
}

/// Remembers everything below `metrics/`.
#[derive(Default)]
pub struct Memory {
    pub seen: Mutex<Vec<Seen>>,
    changed: Notify,
}

impl Tap for Memory {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with("metrics/")
    }
    fn take(&self, message: &Message<'_>) {
        let Message { topic, payload, qos, retain, client } = *message;
        let (topic, client) = (topic.to_owned(), client.id.to_string());
        self.seen.lock().unwrap().push(Seen { topic, payload: payload.clone(), qos, retain, client });
        self.changed.notify_one();
    }
}

impl Memory {
    /// Waits until `count` messages were seen.
    pub async fn wait(&self, count: usize) -> Vec<Seen> {
        soon(async {
            loop {
                let seen = self.seen.lock().unwrap().clone();
                if seen.len() >= count {
                    return seen;
                }
                self.changed.notified().await;
            }
        })
        .await
    }

    /// The payloads seen until now.
    pub fn payloads(&self) -> Vec<Bytes> {
        self.seen.lock().unwrap().iter().map(|message| message.payload.clone()).collect()
    }
}

pub struct Home {
    pub broker: Broker,
    pub addr: SocketAddr,
    pub tap: Arc<Memory>,
}

pub async fn home() -> Home {
    home_with(|_| {}).await
}

pub async fn home_with(change: impl FnOnce(&mut Limits)) -> Home {
    home_of(Settings::default(), Arc::new(House), change).await
}

/// With a directory for retained messages.
pub async fn home_on(dir: &Path, change: impl FnOnce(&mut Limits)) -> Home {
    home_of(Settings { retained: Some(dir.into()), ..Settings::default() }, Arc::new(House), change).await
}

/// The same, where clients may publish what a rule says.
pub async fn home_with_rights(dir: &Path, rule: fn(&str) -> bool) -> Home {
    let settings = Settings { retained: Some(dir.into()), ..Settings::default() };
    home_of(settings, Arc::new(Rule(rule)), |_| {}).await
}

struct Rule(fn(&str) -> bool);

impl Rights for Rule {
    fn may_publish(&self, _: &flotta_broker::Client, topic: &str) -> bool {
        self.0(topic)
    }
    fn may_subscribe(&self, _: &flotta_broker::Client, _: &str) -> bool {
        true
    }
}

async fn home_of(mut settings: Settings, rights: Arc<dyn Rights>, change: impl FnOnce(&mut Limits)) -> Home {
    change(&mut settings.limits);
    let tap = Arc::new(Memory::default());
    let broker = Broker::start(settings, rights, tap.clone());
    let addr = broker.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    Home { broker, addr, tap }
}

impl Home {
    /// A connection that has not said anything.
    pub async fn raw(&self) -> Client {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream)
    }

    /// A connected client with a clean session.
    pub async fn client(&self, id: &str) -> Client {
        self.connected(&connect(id, true, 0, None)).await.0
    }

    /// A connected client whose session is kept, and whether there was one.
    pub async fn kept(&self, id: &str) -> (Client, bool) {
        self.connected(&connect(id, false, 0, None)).await
    }

    /// A client that this CONNECT connects, and whether a session was present.
    pub async fn connected(&self, connect: &[u8]) -> (Client, bool) {
        let mut client = self.raw().await;
        client.send(connect).await;
        let (byte1, body) = client.packet().await.expect("the broker has closed");
        assert_eq!((byte1, body.len(), body[1]), (CONNACK, 2, 0), "{body:02x?}");
        assert!(body[0] <= 1, "reserved flags of CONNACK: {body:02x?}");
        (client, body[0] == 1)
    }

    /// What is answered to these first bytes of a connection, up to the close (or to a CONNACK that lets it in).
    pub async fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.raw().await;
        client.try_send(bytes).await;
        let mut answer = Vec::new();
        while let Some((byte1, body)) = client.packet().await {
            answer.extend(framed(byte1, &body));
            if answer[..] == [CONNACK, 2, 0, 0] {
                break;
            }
        }
        answer
    }

    /// Expects the broker to close the connection of a client that sends this, without an answer.
    pub async fn closes(&self, packet: &[u8]) {
        self.client("c").await.is_closed_for(packet).await;
    }

    /// A client that is lost, and whose session and will have been dealt with.
    pub async fn lose(&self, client: Client) {
        let before = self.broker.counters().connections;
        drop(client);
        self.until(|counters| counters.connections < before).await;
    }

    /// Waits until a condition on the counters holds. Counters are no event, so this looks again and again.
    pub async fn until(&self, condition: impl Fn(&Counters) -> bool) {
        soon(async {
            let mut again = tokio::time::interval(Duration::from_millis(1));
            while !condition(&self.broker.counters()) {
                again.tick().await;
            }
        })
        .await;
    }

    /// A message of the agent's own.
    pub fn says(&self, topic: &str, payload: &'static str, qos: u8, retain: bool) {
        self.broker.publish(topic, Bytes::from_static(payload.as_bytes()), qos, retain);
    }
}

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not happen in time")
}
