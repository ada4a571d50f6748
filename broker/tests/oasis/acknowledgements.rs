//! 2.3.1 packet ids, 3.4 to 3.7 the acknowledgements, 4.3.2 QoS 1, 4.3.3 QoS 2, 4.6 order.

use std::collections::HashSet;

use crate::common::*;

/// [MQTT-2.3.1-4] Packet ids that the server assigns are other than 0, and not in use.
#[tokio::test]
async fn mqtt_2_3_1_4_messages_in_flight_have_packet_ids_of_their_own() {
    let home = home_with(|limits| limits.inflight_qos1 = 64).await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 1)]).await;
    let mut in_flight = HashSet::new();
    for _ in 0..60 {
        home.says("a", "x", 1, false);
        let pkid = reader.message().await.pkid;
        assert!(pkid != 0 && in_flight.insert(pkid), "{pkid}");
    }
}

/// [MQTT-2.3.1-6] PUBACK, PUBREC and PUBCOMP have the packet id of the PUBLISH.
#[tokio::test]
async fn mqtt_2_3_1_6_acknowledgements_have_the_packet_id_of_the_publish() {
    let home = home().await;
    let mut client = home.client("c").await;
    for pkid in [1, 255, 256, 0x1234, u16::MAX] {
        client.send(&publish("a", b"x", 1, pkid, false)).await;
        client.acknowledged(PUBACK, pkid).await;
        client.send(&publish("a", b"x", 2, pkid, false)).await;
        client.acknowledged(PUBREC, pkid).await;
        client.send(&ack(PUBREL, pkid)).await;
        client.acknowledged(PUBCOMP, pkid).await;
    }
}

/// [MQTT-3.6.1-1] PUBREL with flags other than 0010 is malformed: the connection is closed.
#[tokio::test]
async fn mqtt_3_6_1_1_pubrel_with_other_flags_closes_the_connection() {
    let home = home().await;
    for flags in (0..16).filter(|&flags| flags != 2) {
        let mut client = home.client("c").await;
        client.send(&publish("a", b"x", 2, 1, false)).await;
        client.acknowledged(PUBREC, 1).await;
        client.is_closed_for(&ack(0x60 | flags, 1)).await;
    }
}

/// [MQTT-4.3.2-1] A QoS 1 message is sent with DUP 0 and stays unacknowledged until its PUBACK, in whatever order.
#[tokio::test]
async fn mqtt_4_3_2_1_acknowledgements_may_come_in_any_order() {
    let home = home().await;
    let (mut reader, _) = home.kept("reader").await;
    reader.subscribe(&[("a", 1)]).await;
    let mut sent = Vec::new();
    for text in ["1", "2", "3", "4"] {
        home.says("a", text, 1, false);
        sent.push(reader.message().await);
    }
    assert!(sent.iter().all(|message| message.qos == 1 && !message.dup));
    // One that was never sent is nobody's.
    for pkid in [sent[3].pkid, 9999, sent[1].pkid] {
        reader.send(&ack(PUBACK, pkid)).await;
    }
    reader.ping().await;
    home.lose(reader).await;
    let (mut reader, _) = home.kept("reader").await;
    assert_eq!(reader.texts().await, ["1", "3"]);
    reader.ping().await;
}

/// [MQTT-4.3.2-1] With the most allowed in flight, the others wait for acknowledgements and none is lost.
#[tokio::test]
async fn mqtt_4_3_2_1_messages_wait_for_acknowledgements_at_the_limit() {
    let home = home_with(|limits| limits.inflight_qos1 = 2).await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 1)]).await;
    for text in ["1", "2", "3", "4"] {
        home.says("a", text, 1, false);
    }
    let (one, two) = (reader.message().await, reader.message().await);
    reader.ping().await;
    for message in [two, one] {
        reader.send(&ack(PUBACK, message.pkid)).await;
    }
    assert_eq!(reader.texts().await, ["3", "4"]);
}

/// [MQTT-4.3.2-2] After its PUBACK, a PUBLISH with the same packet id is a new message, whatever its DUP.
#[tokio::test]
async fn mqtt_4_3_2_2_after_puback_the_same_packet_id_is_a_new_message() {
    let home = home().await;
    let mut client = home.client("c").await;
    for publish in [publish("metrics/x", b"1", 1, 5, false), again(publish("metrics/x", b"1", 1, 5, false))] {
        client.send(&publish).await;
        client.acknowledged(PUBACK, 5).await;
    }
    assert_eq!(home.tap.payloads(), ["1", "1"]);
}

/// [MQTT-4.3.3-2] Until PUBREL, the same packet id is answered with PUBREC and is no new message.
#[tokio::test]
async fn mqtt_4_3_3_2_a_qos_2_message_is_delivered_once_however_often_it_is_sent() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("metrics/#", 1)]).await;
    let mut client = home.client("c").await;
    let publish = publish("metrics/x", b"once", 2, 9, false);
    for publish in [publish.clone(), again(publish.clone()), publish] {
        client.send(&publish).await;
        client.acknowledged(PUBREC, 9).await;
    }
    client.send(&ack(PUBREL, 9)).await;
    client.acknowledged(PUBCOMP, 9).await;
    home.says("metrics/x", "end", 1, false);
    assert_eq!(reader.texts().await, ["once", "end"]);
    assert_eq!(home.tap.payloads(), ["once"]);
}

/// [MQTT-4.3.3-2] After PUBCOMP, the same packet id is a new message, whatever its DUP.
#[tokio::test]
async fn mqtt_4_3_3_2_after_pubcomp_the_same_packet_id_is_a_new_message() {
    let home = home().await;
    let mut client = home.client("c").await;
    for publish in [publish("metrics/x", b"1", 2, 9, false), again(publish("metrics/x", b"2", 2, 9, false))] {
        client.send(&publish).await;
        client.acknowledged(PUBREC, 9).await;
        client.send(&ack(PUBREL, 9)).await;
        client.acknowledged(PUBCOMP, 9).await;
    }
    assert_eq!(home.tap.payloads(), ["1", "2"]);
}

/// [MQTT-4.3.3-2] Each PUBREL is answered with PUBCOMP: a second one too, and one for an unknown packet id.
#[tokio::test]
async fn mqtt_4_3_3_2_every_pubrel_is_answered() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(&publish("a", b"x", 2, 9, false)).await;
    client.acknowledged(PUBREC, 9).await;
    for pkid in [9, 9, 1234] {
        client.send(&ack(PUBREL, pkid)).await;
        client.acknowledged(PUBCOMP, pkid).await;
    }
}

/// [MQTT-4.3.3-2] Several messages may be between PUBLISH and PUBREL, and be released in another order.
#[tokio::test]
async fn mqtt_4_3_3_2_qos_2_messages_may_be_released_in_any_order() {
    let home = home().await;
    let mut client = home.client("c").await;
    for pkid in 1..=5 {
        client.send(&publish("metrics/x", pkid.to_string().as_bytes(), 2, pkid, false)).await;
        client.acknowledged(PUBREC, pkid).await;
    }
    for pkid in [4, 1, 5, 2, 3] {
        client.send(&ack(PUBREL, pkid)).await;
        client.acknowledged(PUBCOMP, pkid).await;
    }
    assert_eq!(home.tap.payloads(), ["1", "2", "3", "4", "5"]);
}

/// [MQTT-4.6.0-2] PUBACKs are in the order of the PUBLISH packets.
#[tokio::test]
async fn mqtt_4_6_0_2_pubacks_are_in_order() {
    let home = home().await;
    let mut client = home.client("c").await;
    let pkids = [7, 3, 9, 1, 200, 65_535, 2];
    let all: Vec<_> = pkids.iter().flat_map(|&pkid| publish("a", b"x", 1, pkid, false)).collect();
    client.send(&all).await;
    for pkid in pkids {
        client.acknowledged(PUBACK, pkid).await;
    }
}

/// [MQTT-4.6.0-3] PUBRECs are in the order of the PUBLISH packets.
#[tokio::test]
async fn mqtt_4_6_0_3_pubrecs_are_in_order() {
    let home = home().await;
    let mut client = home.client("c").await;
    let pkids = [7, 3, 9, 1, 200, 65_535, 2];
    let all: Vec<_> = pkids.iter().flat_map(|&pkid| publish("a", b"x", 2, pkid, false)).collect();
    client.send(&all).await;
    for pkid in pkids {
        client.acknowledged(PUBREC, pkid).await;
    }
}

/// [MQTT-4.6.0-5] Every topic is an ordered topic, unless configured otherwise; there is nothing to configure.
#[tokio::test]
async fn mqtt_4_6_0_5_every_topic_is_ordered() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("#", 0)]).await;
    let mut sender = home.client("sender").await;
    for i in 0..100 {
        sender.send(&publish(&format!("t/{}", i % 3), i.to_string().as_bytes(), 0, 0, false)).await;
    }
    let mut last = [-1; 3];
    for _ in 0..100 {
        let got = reader.message().await;
        let (i, last) = (got.text().parse::<i32>().unwrap(), &mut last[usize::from(got.topic.as_bytes()[2] - b'0')]);
        assert!(i > *last, "{i} after {last}");
        *last = i;
    }
}

/// [MQTT-4.6.0-6] Messages of one topic and QoS reach each subscriber in the order in which they came from a client.
#[tokio::test]
async fn mqtt_4_6_0_6_messages_of_a_client_arrive_in_order_at_every_qos() {
    let home = home().await;
    let mut sender = home.client("sender").await;
    for qos in 0..=2 {
        let mut reader = home.client("reader").await;
        reader.subscribe(&[("a", 1)]).await;
        for i in 0..50_u16 {
            sender.send(&publish("a", i.to_string().as_bytes(), qos, i + 1, false)).await;
            if qos > 0 {
                sender.acknowledged(if qos == 1 { PUBACK } else { PUBREC }, i + 1).await;
            }
            if qos == 2 {
                sender.send(&ack(PUBREL, i + 1)).await;
                sender.acknowledged(PUBCOMP, i + 1).await;
            }
        }
        for i in 0..50 {
            assert_eq!(reader.take().await.text(), i.to_string());
        }
    }
}
