//! 3.8 SUBSCRIBE and 3.9 SUBACK.

use bytes::Bytes;

use crate::common::*;

/// [MQTT-2.3.1-1] SUBSCRIBE must have a packet id other than 0.
#[tokio::test]
async fn mqtt_2_3_1_1_a_subscribe_with_packet_id_0_is_malformed() {
    let home = home().await;
    home.closes(&subscribe(0, &[("a", 0)])).await;
}

/// [MQTT-2.3.1-7] SUBACK has the packet id of the SUBSCRIBE.
#[tokio::test]
async fn mqtt_2_3_1_7_suback_has_the_packet_id_of_the_subscribe() {
    let home = home().await;
    let mut client = home.client("c").await;
    for pkid in [1_u16, 255, 256, 0x1234, u16::MAX] {
        client.send(&subscribe(pkid, &[("a", 1)])).await;
        let [high, low] = pkid.to_be_bytes();
        assert_eq!(client.packet().await, Some((SUBACK, Bytes::copy_from_slice(&[high, low, 1]))));
    }
}

/// [MQTT-3.8.1-1] SUBSCRIBE with flags other than 0010 is malformed: the connection is closed.
#[tokio::test]
async fn mqtt_3_8_1_1_subscribe_with_other_flags_closes_the_connection() {
    let home = home().await;
    for flags in (0..16).filter(|&flags| flags != 2) {
        let mut packet = subscribe(1, &[("a", 0)]);
        packet[0] = 0x80 | flags;
        home.closes(&packet).await;
    }
}

/// [MQTT-3.8.3-1] Topic filters must be UTF-8.
#[tokio::test]
async fn mqtt_3_8_3_1_a_filter_that_is_not_utf_8_closes_the_connection() {
    let home = home().await;
    home.closes(&subscribe_to(1, &[(b"a", 0), (b"b\xff", 0)])).await;
}

/// [MQTT-3.8.3-3] A SUBSCRIBE without a filter is a protocol violation.
#[tokio::test]
async fn mqtt_3_8_3_3_a_subscribe_without_a_filter_is_a_protocol_violation() {
    let home = home().await;
    let no_qos = framed(0x82, b"\x00\x01\x00\x01a");
    let half_a_filter = framed(0x82, b"\x00\x01\x00\x05a\x00");
    for packet in [subscribe(1, &[]), framed(0x82, b""), no_qos, half_a_filter] {
        home.closes(&packet).await;
    }
}

/// [MQTT-3-8.3-4] Reserved bits set, or a QoS of 3: malformed, the connection is closed.
#[tokio::test]
async fn mqtt_3_8_3_4_a_requested_qos_beyond_2_closes_the_connection() {
    let home = home().await;
    for qos in [3, 4, 5, 0x10, 0x80, 0xff] {
        home.closes(&subscribe(1, &[("a", 0), ("b", qos)])).await;
    }
}

/// [MQTT-3.8.4-1] Each SUBSCRIBE is answered with a SUBACK.
#[tokio::test]
async fn mqtt_3_8_4_1_every_subscribe_is_answered() {
    let home = home().await;
    let mut client = home.client("c").await;
    let all: Vec<_> = (1..=20).flat_map(|pkid| subscribe(pkid, &[("a", 0)])).collect();
    client.send(&all).await;
    for pkid in 1..=20 {
        assert_eq!(client.packet().await, Some((SUBACK, Bytes::copy_from_slice(&[0, pkid, 0]))));
    }
}

/// [MQTT-3.8.4-2] SUBACK has the packet id of its SUBSCRIBE, also when several wait.
#[tokio::test]
async fn mqtt_3_8_4_2_each_suback_has_the_packet_id_of_its_subscribe() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(&[subscribe(500, &[("a", 0)]), subscribe(2, &[("b", 1), ("secret/b", 1)])].concat()).await;
    assert_eq!(client.packet().await, Some((SUBACK, Bytes::from_static(&[1, 244, 0]))));
    assert_eq!(client.packet().await, Some((SUBACK, Bytes::from_static(&[0, 2, 1, 0x80]))));
}

/// [MQTT-3.8.4-3] The same filter again replaces the subscription, its maximum QoS too.
#[tokio::test]
async fn mqtt_3_8_4_3_the_same_filter_replaces_the_subscription() {
    let home = home().await;
    let mut client = home.client("c").await;
    for qos in [1, 0, 1, 0] {
        assert_eq!(client.subscribe(&[("a/+", qos)]).await, [qos]);
        home.says("a/b", "x", 1, false);
        let got = client.take().await;
        assert_eq!((got.text(), got.qos), ("x", qos));
    }
    client.unsubscribe(&["a/+"]).await;
    home.says("a/b", "x", 1, false);
    client.ping().await;
}

/// [MQTT-3.8.4-3] … retained messages are sent again …
#[tokio::test]
async fn mqtt_3_8_4_3_retained_messages_are_sent_again() {
    let home = home().await;
    home.says("a/1", "one", 1, true);
    home.says("a/2", "two", 1, true);
    let mut client = home.client("c").await;
    for qos in [0, 0, 1, 1] {
        client.subscribe(&[("a/+", qos)]).await;
        let (mut one, mut two) = (client.take().await, client.take().await);
        if one.topic > two.topic {
            (one, two) = (two, one);
        }
        assert_eq!((one.text(), one.qos, one.retain), ("one", qos, true));
        assert_eq!((two.text(), two.qos, two.retain), ("two", qos, true));
    }
}

/// [MQTT-3.8.4-3] … and the flow of publications is not interrupted.
#[tokio::test]
async fn mqtt_3_8_4_3_replacing_a_subscription_loses_nothing() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a", 0)]).await;
    let mut sender = home.client("sender").await;
    for i in 0..100_u32 {
        sender.send(&publish("a", i.to_string().as_bytes(), 0, 0, false)).await;
        client.send(&subscribe(7, &[("a", (i % 2) as u8)])).await;
    }
    let mut next = 0;
    while next < 100 {
        let (byte1, body) = client.packet().await.unwrap();
        if byte1 != SUBACK {
            assert_eq!(as_publish(byte1, body).text(), next.to_string());
            next += 1;
        }
    }
}

/// [MQTT-3.8.4-4] Several filters in a packet are as several packets, with one SUBACK.
#[tokio::test]
async fn mqtt_3_8_4_4_several_filters_are_as_several_packets() {
    let home = home().await;
    let mut client = home.client("c").await;
    // The last of the same filter wins.
    assert_eq!(client.subscribe(&[("a", 1), ("b", 1), ("a", 0)]).await, [1, 1, 0]);
    home.says("a", "x", 1, false);
    home.says("b", "y", 1, false);
    let (a, b) = (client.take().await, client.take().await);
    assert_eq!((a.text(), a.qos, b.text(), b.qos), ("x", 0, "y", 1));
}

/// [MQTT-3.8.4-5] SUBACK has a code for each filter: the QoS granted (here at most 1), or 0x80 for a failure.
#[tokio::test]
async fn mqtt_3_8_4_5_every_filter_has_its_code() {
    let home = home_with(|limits| limits.filters_per_client = 3).await;
    let mut client = home.client("c").await;
    let filters = [("a", 0), ("b", 1), ("c", 2), ("secret/x", 1), ("$share/group/a", 1), ("one/too/many", 0)];
    assert_eq!(client.subscribe(&filters).await, [0, 1, 1, 0x80, 0x80, 0x80]);
}

/// [MQTT-3.8.4-5] A filter that failed is no subscription; those beside it are.
#[tokio::test]
async fn mqtt_3_8_4_5_a_failed_filter_gets_no_messages() {
    let home = home().await;
    let mut client = home.client("c").await;
    home.says("secret/x", "secret", 1, true);
    assert_eq!(client.subscribe(&[("secret/#", 1), ("open", 1)]).await, [0x80, 1]);
    home.says("secret/x", "secret", 1, false);
    home.says("open", "open", 1, false);
    assert_eq!(client.texts().await, ["open"]);
}

/// [MQTT-3.8.4-6] Messages have the lower QoS of publication and subscription.
#[tokio::test]
async fn mqtt_3_8_4_6_delivery_has_the_lower_qos() {
    let home = home().await;
    let mut sender = home.client("sender").await;
    for (subscribed, granted) in [(0, 0), (1, 1), (2, 1)] {
        let mut reader = home.client("reader").await;
        assert_eq!(reader.subscribe(&[("a", subscribed)]).await, [granted]);
        for published in 0..=2 {
            sender.says("a", "x", published, false).await;
            assert_eq!(reader.take().await.qos, granted.min(published));
        }
    }
}

/// [MQTT-3.9.3-1] The codes are in the order of the filters.
#[tokio::test]
async fn mqtt_3_9_3_1_the_codes_are_in_the_order_of_the_filters() {
    let home = home().await;
    let mut client = home.client("c").await;
    let filters = [("z", 1), ("secret/1", 0), ("a", 0), ("secret/2", 1), ("m", 1)];
    assert_eq!(client.subscribe(&filters).await, [1, 0x80, 0, 0x80, 1]);
}

/// [MQTT-3.9.3-2] No codes but 0, 1, 2 and 0x80 are used.
#[tokio::test]
async fn mqtt_3_9_3_2_no_other_codes_are_used() {
    let home = home().await;
    let long = "x".repeat(1025);
    let deep = "x/".repeat(40);
    for filter in ["a", "#", "+/+", "secret/#", "$share/g/a", "$other", "$SYS/#", "a/#/b", "a+", &long, &deep] {
        for qos in 0..=2 {
            // A client for each: what is retained there is not waited for.
            let mut client = home.client("c").await;
            let codes = client.subscribe(&[(filter, qos)]).await;
            assert!(matches!(codes[..], [0 | 1 | 2 | 0x80]), "{filter} {qos}: {codes:02x?}");
            assert!(codes[0] == 0x80 || codes[0] <= qos, "{filter}: granted more than was asked for");
        }
    }
}
