//! 3.3 PUBLISH, and 4.3.1 QoS 0.

use crate::common::*;

/// A reader of `#` at QoS 1, and a sender.
async fn pair(home: &Home) -> (Client, Client) {
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("#", 1)]).await;
    (reader, home.client("sender").await)
}

/// [MQTT-2.3.1-1] PUBLISH with QoS 1 or 2 must have a packet id other than 0.
#[tokio::test]
async fn mqtt_2_3_1_1_a_publish_with_packet_id_0_is_malformed() {
    let home = home().await;
    for qos in [1, 2] {
        home.closes(&publish("metrics/x", b"1", qos, 0, false)).await;
    }
    assert!(home.tap.payloads().is_empty());
}

/// [MQTT-2.3.1-5] PUBLISH with QoS 0 must not have a packet id: what follows the topic is payload.
#[tokio::test]
async fn mqtt_2_3_1_5_a_qos_0_publish_has_no_packet_id() {
    let home = home().await;
    let (mut reader, mut sender) = pair(&home).await;
    sender.send(&publish("a", b"\x00\x07", 0, 0, false)).await;
    assert_eq!(reader.packet().await.unwrap(), (0x30, b"\x00\x01a\x00\x07"[..].into()));
}

/// [MQTT-3.3.1-2] DUP must be 0 at QoS 0.
#[tokio::test]
async fn mqtt_3_3_1_2_a_qos_0_publish_with_dup_is_a_protocol_violation() {
    let home = home().await;
    home.closes(&again(publish("metrics/x", b"1", 0, 0, false))).await;
    assert!(home.tap.payloads().is_empty());
}

/// [MQTT-3.3.1-3] DUP of an incoming PUBLISH is not propagated to subscribers.
#[tokio::test]
async fn mqtt_3_3_1_3_dup_is_not_propagated() {
    let home = home().await;
    let (mut reader, mut sender) = pair(&home).await;
    for qos in [1, 2] {
        sender.send(&again(publish("a", b"x", qos, 1, false))).await;
        let got = reader.take().await;
        assert_eq!((got.text(), got.dup), ("x", false));
    }
}

/// [MQTT-3.3.1-4] A PUBLISH with both QoS bits set must close the connection.
#[tokio::test]
async fn mqtt_3_3_1_4_qos_3_closes_the_connection() {
    let home = home().await;
    home.closes(&publish("metrics/x", b"1", 3, 1, false)).await;
    assert!(home.tap.payloads().is_empty());
}

/// [MQTT-3.3.2-1] The topic name must be there, and must be UTF-8.
#[tokio::test]
async fn mqtt_3_3_2_1_a_publish_without_a_topic_of_utf_8_is_malformed() {
    let home = home().await;
    for (byte1, body) in [(0x30, &b""[..]), (0x30, b"\x00"), (0x30, b"\x00\x05a"), (0x32, b"\x00\x01a\x00")] {
        home.closes(&framed(byte1, body)).await;
    }
    home.closes(&publish_to(b"a\xff", b"", 1, 1, false)).await;
}

/// [MQTT-3.3.2-2] The topic name must not contain wildcards.
#[tokio::test]
async fn mqtt_3_3_2_2_a_publish_to_a_wildcard_closes_the_connection() {
    let home = home().await;
    for topic in ["#", "+", "a/#", "a/+/b", "a+", "a#"] {
        home.closes(&publish(topic, b"1", 1, 1, false)).await;
    }
}

/// [MQTT-3.3.2-3] The topic name sent to a subscriber must match its filter.
#[tokio::test]
async fn mqtt_3_3_2_3_a_delivery_has_the_topic_that_was_published() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a/+/c", 1)]).await;
    for topic in ["a/b", "a/b/c/d", "b/b/c", "a/b/c"] {
        home.says(topic, "x", 1, false);
    }
    assert_eq!(reader.take().await.topic, "a/b/c");
    home.says("a//c", "x", 1, false);
    assert_eq!(reader.take().await.topic, "a//c");
}

/// [MQTT-3.3.4-1] PUBLISH is answered by its QoS: not at all, with PUBACK, with PUBREC.
#[tokio::test]
async fn mqtt_3_3_4_1_publish_is_answered_by_its_qos() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(&publish("a", b"x", 0, 0, false)).await;
    client.ping().await;
    client.send(&publish("a", b"x", 1, 1, false)).await;
    client.acknowledged(PUBACK, 1).await;
    client.send(&publish("a", b"x", 2, 2, false)).await;
    client.acknowledged(PUBREC, 2).await;
    client.ping().await;
}

/// [MQTT-3.3.4-1] A PUBLISH without payload is valid (3.3.3), and any bytes are a payload.
#[tokio::test]
async fn mqtt_3_3_4_1_any_payload_is_delivered_as_it_is() {
    let home = home().await;
    let (mut reader, mut sender) = pair(&home).await;
    let all: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], &all, b"\x00", b"\xff\xfe"] {
        sender.send(&publish("a", payload, 1, 1, false)).await;
        sender.acknowledged(PUBACK, 1).await;
        assert_eq!(reader.take().await.payload, payload);
    }
}

/// [MQTT-3.3.5-1] With overlapping filters the message is delivered at the maximum QoS of those that match.
#[tokio::test]
async fn mqtt_3_3_5_1_overlapping_filters_deliver_at_the_maximum_qos() {
    let home = home().await;
    for filters in [[("a/#", 0), ("a/+", 1), ("a/b", 0)], [("a/b", 1), ("a/#", 0), ("#", 0)]] {
        let mut reader = home.client("reader").await;
        reader.subscribe(&filters).await;
        home.says("a/b", "one", 1, false);
        home.says("a/b", "two", 0, false);
        // One copy each: the standard allows more, this broker does not send them.
        let (one, two) = (reader.take().await, reader.take().await);
        assert_eq!((one.text(), one.qos, two.text(), two.qos), ("one", 1, "two", 0), "{filters:?}");
        reader.ping().await;
    }
}

/// [MQTT-3.3.5-2] A PUBLISH that is not authorized is acknowledged all the same, or the connection is closed.
#[tokio::test]
async fn mqtt_3_3_5_2_a_publish_without_the_right_is_acknowledged_and_dropped() {
    let home = home().await;
    let (mut reader, mut sender) = pair(&home).await;
    for qos in 0..=2 {
        sender.says("agent/status", "lie", qos, true).await;
    }
    home.says("agent/status", "truth", 1, false);
    assert_eq!(reader.texts().await, ["truth"]);
    let counters = home.broker.counters();
    assert_eq!((counters.refused(Refusal::PublishRights), counters.retained_count), (3, 0));
}

/// [MQTT-3.3.5-2] A will is a PUBLISH: without the right it is dropped.
#[tokio::test]
async fn mqtt_3_3_5_2_a_will_without_the_right_is_dropped() {
    let home = home().await;
    let (mut reader, _) = pair(&home).await;
    let (client, _) = home.connected(&connect("c", true, 0, Some(("agent/status", "lie", 1, true)))).await;
    home.lose(client).await;
    home.says("agent/status", "truth", 1, false);
    assert_eq!(reader.texts().await, ["truth"]);
    assert_eq!(home.broker.counters().refused(Refusal::PublishRights), 1);
}

/// [MQTT-4.3.1-1] QoS 0 is sent with QoS 0 and DUP 0.
#[tokio::test]
async fn mqtt_4_3_1_1_qos_0_goes_out_once_and_without_dup() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 0), ("end", 0)]).await;
    let mut sender = home.client("sender").await;
    for qos in 0..=2 {
        sender.says("a", "x", qos, false).await;
        let got = reader.message().await;
        assert_eq!((got.text(), got.qos, got.dup), ("x", 0, false));
    }
    sender.says("end", "end", 0, false).await;
    assert_eq!(reader.texts().await, ["end"]);
}
