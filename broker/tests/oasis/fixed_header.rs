//! 2.2 the fixed header, and packets on the stream.

use crate::common::*;

/// [MQTT-2.2.2-1] Reserved flags have the values of table 2.2, in every packet that the server sends.
#[tokio::test]
async fn mqtt_2_2_2_1_the_server_sets_reserved_flags_as_it_must() {
    let home = home().await;
    let mut client = home.raw().await;
    let packets = [
        connect("c", true, 0, None),
        subscribe(1, &[("a", 0)]),
        publish("b", b"x", 1, 2, false),
        publish("b", b"x", 2, 3, false),
        ack(PUBREL, 3),
        unsubscribe(4, &["a"]),
        PINGREQ.to_vec(),
    ];
    client.send(&packets.concat()).await;
    for expected in [0x20, 0x90, 0x40, 0x50, 0x70, 0xb0, 0xd0] {
        assert_eq!(client.packet().await.unwrap().0, expected);
    }
}

/// [MQTT-2.2.2-2] Invalid flags close the connection: here those of packets without flags.
#[tokio::test]
async fn mqtt_2_2_2_2_invalid_flags_close_the_connection() {
    let home = home().await;
    for flags in 1..16 {
        for packet in [ack(PUBACK | flags, 1), ack(PUBREC | flags, 1), ack(PUBCOMP | flags, 1), vec![0xc0 | flags, 0]] {
            home.closes(&packet).await;
        }
    }
}

/// [MQTT-2.2.2-2] … of CONNECT too, unanswered.
#[tokio::test]
async fn mqtt_2_2_2_2_invalid_flags_of_connect_close_the_connection() {
    let home = home().await;
    for flags in 1..16 {
        let mut hello = connect("c", true, 0, None);
        hello[0] |= flags;
        assert_eq!(home.answer(&hello).await, b"", "{flags:#06b}");
    }
}

/// [MQTT-4.8.0-1] Packet types 0 and 15 are forbidden (table 2.1).
#[tokio::test]
async fn mqtt_4_8_0_1_reserved_packet_types_are_a_protocol_violation() {
    let home = home().await;
    for byte1 in [0x00, 0x02, 0x0f, 0xf0, 0xff] {
        home.closes(&[byte1, 0]).await;
        home.closes(&[byte1, 2, 0, 1]).await;
    }
}

/// [MQTT-4.8.0-1] The remaining length has at most four bytes (2.2.3).
#[tokio::test]
async fn mqtt_4_8_0_1_a_remaining_length_of_five_bytes_is_a_protocol_violation() {
    let home = home().await;
    home.closes(b"\x30\x80\x80\x80\x80\x01").await;
    home.closes(b"\x30\xff\xff\xff\xff").await;
    assert_eq!(home.answer(b"\x10\x80\x80\x80\x80\x01").await, b"");
}

/// [MQTT-7.1.1-1] The transport is a stream: packets of every form of the remaining length arrive whole.
#[tokio::test]
async fn mqtt_7_1_1_1_packets_of_every_length_form_arrive_whole() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 0)]).await;
    let mut sender = home.client("sender").await;
    // Topic and its length are 3 bytes of the remaining length.
    for remaining in [3, 127, 128, 129, 16_383, 16_384, 200_000] {
        let payload: Vec<u8> = (0..remaining - 3).map(|i| i as u8).collect();
        sender.send(&publish("a", &payload, 0, 0, false)).await;
        assert_eq!(reader.message().await.payload, payload, "{remaining}");
    }
}

/// [MQTT-7.1.1-1] … however the stream is cut into segments.
#[tokio::test]
async fn mqtt_7_1_1_1_packets_may_come_byte_by_byte_or_all_at_once() {
    let home = home().await;
    let mut client = home.raw().await;
    for byte in [connect("c", true, 0, None), publish("metrics/x", b"slow", 1, 3, false)].concat() {
        client.send(&[byte]).await;
    }
    assert_eq!(client.packet().await.unwrap().0, CONNACK);
    client.acknowledged(PUBACK, 3).await;
    let many: Vec<_> = (1..=60).flat_map(|pkid| publish("metrics/x", b"fast", 1, pkid, false)).collect();
    client.send(&many).await;
    for pkid in 1..=60 {
        client.acknowledged(PUBACK, pkid).await;
    }
    assert_eq!(home.tap.payloads().len(), 61);
}
