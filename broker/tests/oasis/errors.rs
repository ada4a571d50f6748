//! 4.8 Handling errors.

use crate::common::*;

/// [MQTT-4.8.0-1] A protocol violation closes the connection: packets that only a server sends.
#[tokio::test]
async fn mqtt_4_8_0_1_packets_that_only_a_server_sends_are_a_protocol_violation() {
    let home = home().await;
    for packet in [&[CONNACK, 2, 0, 0][..], &[SUBACK, 3, 0, 1, 0], &[UNSUBACK, 2, 0, 1], &[PINGRESP, 0]] {
        home.closes(packet).await;
    }
}

/// [MQTT-4.8.0-1] … acknowledgements that are too short or too long,
#[tokio::test]
async fn mqtt_4_8_0_1_acknowledgements_of_a_wrong_length_are_malformed() {
    let home = home().await;
    for byte1 in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
        for body in [&b""[..], b"\x00", b"\x00\x01\x00"] {
            home.closes(&framed(byte1, body)).await;
        }
    }
}

/// [MQTT-4.8.0-1] … and packets with a body that have none in MQTT.
#[tokio::test]
async fn mqtt_4_8_0_1_pingreq_and_disconnect_with_a_body_are_malformed() {
    let home = home().await;
    for byte1 in [0xc0, 0xe0] {
        let mut watcher = home.client("watcher").await;
        watcher.subscribe(&[("wills/c", 1)]).await;
        let (mut client, _) = home.connected(&connect("c", true, 0, Some(("wills/c", "gone", 1, false)))).await;
        client.is_closed_for(&framed(byte1, b"\x00")).await;
        home.says("wills/c", "end", 1, false);
        assert_eq!(watcher.take().await.text(), "gone", "{byte1:#x}");
    }
}

/// [MQTT-4.8.0-1] What was due for packets before the violation is sent before the close.
#[tokio::test]
async fn mqtt_4_8_0_1_acknowledgements_that_are_due_go_out_before_the_close() {
    let home = home().await;
    let mut client = home.client("c").await;
    let before = [publish("metrics/x", b"1", 1, 1, false), publish("metrics/x", b"2", 2, 2, false)].concat();
    client.send(&[&before[..], PINGREQ, &publish("#", b"", 1, 3, false)].concat()).await;
    assert_eq!(client.rest().await, [ack(PUBACK, 1), ack(PUBREC, 2), vec![PINGRESP, 0]].concat());
    assert_eq!(home.tap.payloads(), ["1", "2"]);
}

/// [MQTT-4.8.0-1] Only the connection that broke the rules is closed.
#[tokio::test]
async fn mqtt_4_8_0_1_a_violation_does_not_touch_other_connections() {
    let home = home().await;
    let mut good = home.client("good").await;
    good.subscribe(&[("a", 1)]).await;
    for bad in [&b"\xff\xff"[..], b"\x00\x00", &publish("a/#", b"", 3, 0, true), b"\x10\x00", b"\x82\x00"] {
        let mut client = home.client("bad").await;
        client.send(bad).await;
        assert!(client.is_closed().await, "{bad:02x?}");
        home.says("a", "x", 1, false);
        assert_eq!(good.texts().await, ["x"]);
    }
    home.client("bad").await.ping().await;
}

/// [MQTT-4.8.0-1] A session that is kept survives the violation of its client.
#[tokio::test]
async fn mqtt_4_8_0_1_a_kept_session_survives_a_violation() {
    let home = home().await;
    let (mut client, _) = home.kept("c").await;
    client.subscribe(&[("a", 1)]).await;
    client.send(b"\xff\xff").await;
    assert!(client.is_closed().await);
    let (mut client, present) = home.kept("c").await;
    assert!(present);
    home.says("a", "x", 1, false);
    assert_eq!(client.texts().await, ["x"]);
}

/// [MQTT-4.8.0-2] Where the server cannot take a packet (a limit is reached), it closes that connection.
#[tokio::test]
async fn mqtt_4_8_0_2_too_many_unreleased_messages_close_the_connection() {
    let home = home_with(|limits| limits.inflight_qos2 = 3).await;
    let mut other = home.client("other").await;
    let mut client = home.client("c").await;
    for pkid in 1..=4 {
        client.send(&publish("metrics/x", b"1", 2, pkid, false)).await;
    }
    for pkid in 1..=3 {
        client.acknowledged(PUBREC, pkid).await;
    }
    assert!(client.is_closed().await);
    other.ping().await;
    assert_eq!(home.broker.counters().refused(Refusal::InflightQos2), 1);
    assert_eq!(home.tap.payloads().len(), 3);
}

/// [MQTT-4.8.0-2] … and for a packet that is larger than it takes, before it is read.
#[tokio::test]
async fn mqtt_4_8_0_2_a_packet_too_large_closes_the_connection() {
    let home = home_with(|limits| limits.packet_bytes = 1000).await;
    let mut other = home.client("other").await;
    let mut client = home.client("c").await;
    client.says("a", &"x".repeat(900), 1, false).await;
    client.send(&publish("a", &[0; 1001], 1, 2, false)[..20]).await;
    assert!(client.is_closed().await);
    other.ping().await;
    assert_eq!(home.broker.counters().refused(Refusal::PacketBytes), 1);
}
