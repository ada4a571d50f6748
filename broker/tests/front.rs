//! What the front promises, by raw sockets: hostile clients hurt only themselves, retained messages come in full.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotta_broker::{Broker, Limits, Message, Rights, Settings, Tap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(10);

struct All;

impl Rights for All {
    fn may_publish(&self, _client: &flotta_broker::Client, topic: &str) -> bool {
        !topic.starts_with("mine/")
    }

    fn may_subscribe(&self, _client: &flotta_broker::Client, _filter: &str) -> bool {
        true
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(String, Bytes)>>);

impl Tap for Seen {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with("tap/")
    }

    fn take(&self, message: &Message<'_>) {
        self.0.lock().expect("not poisoned").push((message.topic.to_string(), message.payload.clone()));
    }
}

async fn broker(limits: Limits) -> (Broker, std::net::SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let broker = Broker::start(Settings { limits, ..Settings::default() }, Arc::new(All), seen.clone());
    let at = broker.listen("127.0.0.1:0".parse().expect("an address")).await.expect("bound");
    (broker, at, seen)
}

struct Client(TcpStream);

fn connect_packet(level: u8, id: &str, flags: u8, rest: &[u8]) -> Vec<u8> {
    let length = 12 + id.len() + rest.len();
    let mut packet = vec![0x10, u8::try_from(length).expect("short"), 0, 4];
    packet.extend(b"MQTT");
    packet.extend([level, flags, 0, 60, 0, u8::try_from(id.len()).expect("short")]);
    packet.extend(id.as_bytes());
    packet.extend(rest);
    packet
}

impl Client {
    async fn open(at: std::net::SocketAddr) -> Client {
        Client(TcpStream::connect(at).await.expect("connected"))
    }

    async fn connect(at: std::net::SocketAddr, id: &str) -> Client {
        let mut client = Client::open(at).await;
        client.send(&connect_packet(4, id, 2, b"")).await;
        assert_eq!(client.read().await, Some((0x20, vec![0, 0])), "{id} is let in");
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    /// The next packet; `None`: the connection was closed.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let first = self.0.read_u8().await.ok()?;
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let byte = self.0.read_u8().await.ok()?;
                length |= usize::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.ok()?;
            Some((first, body))
        };
        tokio::time::timeout(DEADLINE, read).await.expect("an answer or an end")
    }

    async fn subscribe(&mut self, filter: &str) -> u8 {
        let mut packet = vec![0x82, u8::try_from(5 + filter.len()).expect("short"), 0, 7, 0];
        packet.push(u8::try_from(filter.len()).expect("short"));
        packet.extend(filter.as_bytes());
        packet.push(1);
        self.send(&packet).await;
        loop {
            if let (0x90, body) = self.read().await.expect("a SUBACK") {
                return body[2];
            }
        }
    }

    async fn publish(&mut self, topic: &str, payload: &str, flags: u8) {
        let with_id = flags & 0x06 != 0;
        let length = 2 + topic.len() + payload.len() + if with_id { 2 } else { 0 };
        let mut packet = vec![0x30 | flags, u8::try_from(length).expect("short"), 0];
        packet.push(u8::try_from(topic.len()).expect("short"));
        packet.extend(topic.as_bytes());
        if with_id {
            packet.extend([0, 9]);
        }
        packet.extend(payload.as_bytes());
        self.send(&packet).await;
    }
}

#[tokio::test]
async fn a_client_of_mqtt_5_is_refused_in_words_it_understands() {
    let (_broker, at, _) = broker(Limits::default()).await;
    let mut client = Client::open(at).await;
    let mut packet = connect_packet(5, "five", 2, b"");
    packet.insert(12, 0);
    packet[1] += 1;
    client.send(&packet).await;
    let (kind, body) = client.read().await.expect("a CONNACK");
    assert_eq!(kind, 0x20);
    assert!(body[1] == 1 || body[1] == 0x84, "unsupported protocol version: {body:?}");
    assert_eq!(client.read().await, None);
}

#[tokio::test]
async fn the_three_known_outages_hurt_nobody() {
    let mut limits = Limits::default();
    limits.connections = 4;
    let (_broker, at, _) = broker(limits).await;
    for _ in 0..3 {
        let mut client = Client::open(at).await;
        client.send(&connect_packet(4, "a+b", 2, b"")).await;
        let _ = client.read().await;
    }
    // Beyond the limit a client may retry with the same id.
    let mut held = Vec::new();
    for n in 0..4 {
        held.push(Client::connect(at, &format!("c{n}")).await);
    }
    drop(held);
    for _ in 0..3 {
        let mut client = Client::open(at).await;
        let _ = client.0.write_all(&[0x20, 0x02, 0x00, 0x00]).await;
        let _ = client.read().await;
    }
    let mut good = Client::connect(at, "good").await;
    assert!(good.subscribe("t").await <= 1);
    good.publish("t", "hello", 0).await;
    assert_eq!(good.read().await.map(|(kind, _)| kind & 0xf0), Some(0x30));
}

#[tokio::test]
async fn three_hundred_retained_messages_come_in_full_and_only_a_retained_empty_one_clears() {
    let (broker, at, _) = broker(Limits::default()).await;
    for n in 0..300 {
        broker.publish(&format!("r/{n}"), Bytes::from_static(b"x"), 1, true);
    }
    let mut client = Client::connect(at, "c").await;
    client.publish("r/1", "", 0).await;
    client.publish("r/2", "", 1).await;
    // Answered in order, so both have been dealt with.
    client.send(&[0xc0, 0]).await;
    assert_eq!(client.read().await, Some((0xd0, vec![])));
    let mut reader = Client::connect(at, "reader").await;
    assert!(reader.subscribe("#").await <= 1);
    let mut topics = std::collections::BTreeSet::new();
    while topics.len() < 299 {
        let (kind, body) = reader.read().await.expect("a retained message");
        assert_eq!(kind & 0xf1, 0x31, "retained");
        if kind & 0x06 != 0 {
            // At QoS 1 only so many go unacknowledged at once.
            let id = 2 + usize::from(body[1]);
            reader.send(&[0x40, 2, body[id], body[id + 1]]).await;
        }
        topics.insert(String::from_utf8(body[2..2 + usize::from(body[1])].to_vec()).expect("text"));
    }
    assert!(topics.contains("r/1") && !topics.contains("r/2"));
}

#[tokio::test]
async fn bad_filters_are_refused_one_by_one_and_an_unknown_unsubscribe_is_answered() {
    let (_broker, at, _) = broker(Limits::default()).await;
    let mut client = Client::connect(at, "c").await;
    for filter in ["a/#/b", "a+", "#a", "a/b#"] {
        assert_eq!(client.subscribe(filter).await, 0x80, "{filter}");
    }
    assert!(client.subscribe("a/+/b").await <= 1);
    client.send(&[0xa2, 7, 0, 3, 0, 3, b'n', b'o', b'x']).await;
    assert_eq!(client.read().await, Some((0xb0, vec![0, 3])));
}

#[tokio::test]
async fn what_rights_refuse_is_acknowledged_counted_and_goes_nowhere() {
    let (broker, at, _) = broker(Limits::default()).await;
    let mut reader = Client::connect(at, "reader").await;
    assert!(reader.subscribe("#").await <= 1);
    let mut client = Client::connect(at, "c").await;
    client.publish("mine/status", "lies", 2).await;
    assert_eq!(client.read().await, Some((0x40, vec![0, 9])), "a PUBACK");
    client.publish("yours", "fine", 2).await;
    let (_, body) = reader.read().await.expect("the second");
    assert!(body.ends_with(b"fine"), "{body:?}");
    let refused: u64 = broker.counters().refused.iter().sum();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn the_tap_sees_a_qos_2_message_once_however_often_it_is_sent() {
    let (_broker, at, seen) = broker(Limits::default()).await;
    let mut client = Client::connect(at, "c").await;
    for duplicate in [0, 8, 8] {
        client.publish("tap/x", "1", 4 | duplicate).await;
        assert_eq!(client.read().await, Some((0x50, vec![0, 9])), "a PUBREC");
    }
    client.send(&[0x62, 2, 0, 9]).await;
    assert_eq!(client.read().await, Some((0x70, vec![0, 9])), "a PUBCOMP");
    assert_eq!(seen.0.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn a_will_is_published_when_the_connection_breaks_and_not_after_a_disconnect() {
    let (_broker, at, _) = broker(Limits::default()).await;
    let mut reader = Client::connect(at, "reader").await;
    assert!(reader.subscribe("will/#").await <= 1);
    let will = |topic: &str| {
        let mut rest = vec![0, u8::try_from(topic.len()).expect("short")];
        rest.extend(topic.as_bytes());
        rest.extend([0, 4]);
        rest.extend(b"gone");
        rest
    };
    for (id, topic, politely) in [("a", "will/polite", true), ("b", "will/rude", false)] {
        let mut client = Client::open(at).await;
        client.send(&connect_packet(4, id, 2 | 4, &will(topic))).await;
        assert_eq!(client.read().await, Some((0x20, vec![0, 0])));
        if politely {
            client.send(&[0xe0, 0]).await;
            assert_eq!(client.read().await, None);
        }
    }
    let (_, body) = reader.read().await.expect("a will");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("will/rude") && text.ends_with("gone"), "{text}");
}

#[tokio::test]
async fn a_second_client_of_the_same_id_takes_over() {
    let (_broker, at, _) = broker(Limits::default()).await;
    let mut first = Client::connect(at, "same").await;
    let mut second = Client::connect(at, "same").await;
    assert_eq!(first.read().await, None, "the first is closed");
    second.send(&[0xc0, 0]).await;
    assert_eq!(second.read().await, Some((0xd0, vec![])), "the second works");
}

#[tokio::test]
async fn who_does_not_say_connect_in_time_or_says_too_much_is_closed() {
    let mut limits = Limits::default();
    limits.connect_deadline = Duration::from_millis(100);
    limits.packet_bytes = 1_000;
    let (_broker, at, _) = broker(limits).await;
    assert_eq!(Client::open(at).await.read().await, None, "silence");
    let mut client = Client::connect(at, "c").await;
    client.send(&[0x30, 0xff, 0xff, 0x7f]).await;
    assert_eq!(client.read().await, None, "2 MB are announced");
}

#[tokio::test]
async fn random_bytes_hurt_nobody() {
    let (_broker, at, _) = broker(Limits::default()).await;
    let mut state = 7u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).expect("a byte")
    };
    for session in 0..500 {
        let mut client = Client::open(at).await;
        let mut bytes = if session % 2 == 0 { connect_packet(4, "r", 2, b"") } else { Vec::new() };
        for _ in 0..64 {
            bytes.push(byte());
        }
        // It may be closed while it is still talking.
        let _ = client.0.write_all(&bytes).await;
    }
    let mut good = Client::connect(at, "good").await;
    assert!(good.subscribe("t").await <= 1);
    good.publish("t", "hello", 2).await;
    let first = good.read().await.map(|(kind, _)| kind & 0xf0);
    let second = good.read().await.map(|(kind, _)| kind & 0xf0);
    assert!(matches!((first, second), (Some(0x30), Some(0x40)) | (Some(0x40), Some(0x30))));
}
