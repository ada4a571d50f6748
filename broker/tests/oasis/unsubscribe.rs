//! 3.10 UNSUBSCRIBE and 3.11 UNSUBACK.

use crate::common::*;

/// [MQTT-2.3.1-1] UNSUBSCRIBE must have a packet id other than 0.
#[tokio::test]
async fn mqtt_2_3_1_1_an_unsubscribe_with_packet_id_0_is_malformed() {
    let home = home().await;
    home.closes(&unsubscribe(0, &["a"])).await;
}

/// [MQTT-2.3.1-7] UNSUBACK has the packet id of the UNSUBSCRIBE.
#[tokio::test]
async fn mqtt_2_3_1_7_unsuback_has_the_packet_id_of_the_unsubscribe() {
    let home = home().await;
    let mut client = home.client("c").await;
    for pkid in [1, 255, 256, 0x1234, u16::MAX] {
        client.send(&unsubscribe(pkid, &["a"])).await;
        client.acknowledged(UNSUBACK, pkid).await;
    }
}

/// [MQTT-3.10.1-1] UNSUBSCRIBE with flags other than 0010 is malformed: the connection is closed.
#[tokio::test]
async fn mqtt_3_10_1_1_unsubscribe_with_other_flags_closes_the_connection() {
    let home = home().await;
    for flags in (0..16).filter(|&flags| flags != 2) {
        let mut packet = unsubscribe(1, &["a"]);
        packet[0] = 0xa0 | flags;
        home.closes(&packet).await;
    }
}

/// [MQTT-3.10.3-1] Topic filters must be UTF-8, one right after the other.
#[tokio::test]
async fn mqtt_3_10_3_1_a_filter_that_is_not_utf_8_closes_the_connection() {
    let home = home().await;
    let half_a_filter = framed(0xa2, b"\x00\x01\x00\x01a\x00\x05b");
    for packet in [unsubscribe_from(1, &[b"a", b"b\xff"]), half_a_filter] {
        home.closes(&packet).await;
    }
}

/// [MQTT-3.10.3-2] An UNSUBSCRIBE without a filter is a protocol violation.
#[tokio::test]
async fn mqtt_3_10_3_2_an_unsubscribe_without_a_filter_is_a_protocol_violation() {
    let home = home().await;
    for packet in [unsubscribe(1, &[]), framed(0xa2, b"")] {
        home.closes(&packet).await;
    }
}

/// [MQTT-3.10.4-1] Filters are compared character by character; only the same filter is taken back.
#[tokio::test]
async fn mqtt_3_10_4_1_only_the_very_same_filter_is_taken_back() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a/+", 1)]).await;
    client.unsubscribe(&["a/b", "a/#", "#", "A/+", "a/+/", "/a/+", "+/+"]).await;
    home.says("a/b", "still", 1, false);
    assert_eq!(client.texts().await, ["still"]);
    client.unsubscribe(&["a/+"]).await;
    client.subscribe(&[("end", 1)]).await;
    home.says("a/b", "no more", 1, false);
    home.says("end", "end", 1, false);
    assert_eq!(client.texts().await, ["end"]);
}

/// [MQTT-3.10.4-1] Where several filters match a topic, the others go on.
#[tokio::test]
async fn mqtt_3_10_4_1_other_filters_that_match_go_on() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a/+", 1), ("a/#", 0)]).await;
    client.unsubscribe(&["a/+"]).await;
    home.says("a/b", "x", 1, false);
    let got = client.take().await;
    assert_eq!((got.text(), got.qos), ("x", 0));
}

/// [MQTT-3.10.4-2] After UNSUBSCRIBE no new messages are added for the client.
#[tokio::test]
async fn mqtt_3_10_4_2_nothing_published_afterwards_arrives() {
    let home = home().await;
    let mut client = home.client("c").await;
    for _ in 0..20 {
        client.subscribe(&[("a", 0)]).await;
        home.says("a", "before", 0, false);
        assert_eq!(client.texts().await, ["before"]);
        client.unsubscribe(&["a"]).await;
        home.says("a", "after", 0, false);
        client.ping().await;
    }
}

/// [MQTT-3.10.4-3] The delivery of QoS 1 messages that has begun is completed.
#[tokio::test]
async fn mqtt_3_10_4_3_a_delivery_that_has_begun_is_completed() {
    let home = home().await;
    let (mut client, _) = home.kept("c").await;
    client.subscribe(&[("a", 1)]).await;
    home.says("a", "begun", 1, false);
    let begun = client.message().await;
    client.unsubscribe(&["a"]).await;
    home.lose(client).await;
    let (mut client, _) = home.kept("c").await;
    assert_eq!(client.take().await, Published { dup: true, ..begun });
    client.ping().await;
}

/// [MQTT-3.10.4-4] UNSUBSCRIBE is answered with UNSUBACK and its packet id.
#[tokio::test]
async fn mqtt_3_10_4_4_every_unsubscribe_is_answered() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a", 0)]).await;
    let all: Vec<_> = [9, 300, 4].iter().flat_map(|&pkid| unsubscribe(pkid, &["a"])).collect();
    client.send(&all).await;
    for pkid in [9, 300, 4] {
        client.acknowledged(UNSUBACK, pkid).await;
    }
}

/// [MQTT-3.10.4-5] Also where no subscription was there.
#[tokio::test]
async fn mqtt_3_10_4_5_an_unknown_filter_is_answered_too() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.unsubscribe(&["never"]).await;
    client.unsubscribe(&["a/#/b"]).await;
}

/// [MQTT-3.10.4-6] Several filters in a packet are as several packets, with one UNSUBACK.
#[tokio::test]
async fn mqtt_3_10_4_6_several_filters_get_one_unsuback() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a", 0), ("b", 0), ("c", 0)]).await;
    client.unsubscribe(&["a", "never", "b", "a"]).await;
    client.ping().await;
    for topic in ["a", "b", "c"] {
        home.says(topic, topic, 0, false);
    }
    assert_eq!(client.texts().await, ["c"]);
}
