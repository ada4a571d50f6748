//! 3.3.1.3 RETAIN.

use crate::common::*;

/// What a new subscriber of this filter gets, as `topic payload QoS`, in the order of topics.
async fn kept(home: &Home, filter: &str, count: usize) -> Vec<String> {
    let mut client = home.client("new").await;
    client.subscribe(&[(filter, 1)]).await;
    let mut kept = Vec::new();
    for _ in 0..count {
        let got = client.take().await;
        assert!(got.retain && !got.dup, "{got:?}");
        kept.push(format!("{} {} {}", got.topic, got.text(), got.qos));
    }
    // No more than these.
    client.ping().await;
    kept.sort();
    kept
}

/// [MQTT-3.3.1-5] A message with retain is stored, with its QoS, for subscribers to come.
#[tokio::test]
async fn mqtt_3_3_1_5_a_retained_message_is_stored_with_its_qos() {
    let home = home().await;
    let mut client = home.client("c").await;
    for (topic, qos) in [("a/0", 0), ("a/1", 1), ("a/2", 2)] {
        client.says(topic, "x", qos, true).await;
    }
    // At most QoS 1 goes out.
    assert_eq!(kept(&home, "a/+", 3).await, ["a/0 x 0", "a/1 x 1", "a/2 x 1"]);
}

/// [MQTT-3.3.1-5] A retained message replaces the one before, its QoS too.
#[tokio::test]
async fn mqtt_3_3_1_5_a_retained_message_replaces_the_one_before() {
    let home = home().await;
    let mut client = home.client("c").await;
    for (text, qos) in [("one", 1), ("two", 0), ("three", 2)] {
        client.says("a", text, qos, true).await;
        assert_eq!(kept(&home, "a", 1).await, [format!("a {text} {}", qos.min(1))]);
    }
}

/// [MQTT-3.3.1-6] A new subscription gets the last retained message of each topic that matches.
#[tokio::test]
async fn mqtt_3_3_1_6_a_new_subscription_gets_the_last_of_each_topic() {
    let home = home().await;
    let mut client = home.client("c").await;
    for (topic, text) in [("a/b", "old"), ("a/c", "1"), ("a", "2"), ("b/b", "3"), ("/a", "4"), ("a/b", "new")] {
        client.says(topic, text, 1, true).await;
    }
    assert_eq!(kept(&home, "a/b", 1).await, ["a/b new 1"]);
    assert_eq!(kept(&home, "a/+", 2).await, ["a/b new 1", "a/c 1 1"]);
    assert_eq!(kept(&home, "a/#", 3).await, ["a 2 1", "a/b new 1", "a/c 1 1"]);
    assert_eq!(kept(&home, "+/b", 2).await, ["a/b new 1", "b/b 3 1"]);
    assert_eq!(kept(&home, "#", 5).await.len(), 5);
    assert_eq!(kept(&home, "none/#", 0).await.len(), 0);
}

/// [MQTT-3.3.1-7] A retained message at QoS 0 discards the one before; it is stored, too.
#[tokio::test]
async fn mqtt_3_3_1_7_a_retained_qos_0_message_replaces_one_of_qos_1() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.says("a", "one", 1, true).await;
    client.says("a", "zero", 0, true).await;
    assert_eq!(kept(&home, "a", 1).await, ["a zero 0"]);
}

/// [MQTT-3.3.1-8] Retain is 1 on messages that answer a new subscription.
#[tokio::test]
async fn mqtt_3_3_1_8_what_answers_a_subscription_carries_the_flag() {
    let home = home().await;
    home.says("a", "kept", 1, true);
    let mut client = home.client("c").await;
    for (filter, qos) in [("a", 0), ("+", 1), ("#", 0)] {
        client.subscribe(&[(filter, qos)]).await;
        let got = client.take().await;
        assert_eq!((got.text(), got.qos, got.retain), ("kept", qos, true), "{filter}");
    }
}

/// [MQTT-3.3.1-9] Retain is 0 on messages to a subscription that is there already.
#[tokio::test]
async fn mqtt_3_3_1_9_live_messages_do_not_carry_the_flag() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 1)]).await;
    let mut client = home.client("c").await;
    for qos in 0..=2 {
        client.says("a", "x", qos, true).await;
        assert!(!reader.take().await.retain, "{qos}");
    }
}

/// [MQTT-3.3.1-9] Also when the subscriber was away meanwhile: its subscription was there.
#[tokio::test]
async fn mqtt_3_3_1_9_a_message_kept_for_a_client_does_not_carry_the_flag() {
    let home = home().await;
    let (mut client, _) = home.kept("c").await;
    client.subscribe(&[("a", 1)]).await;
    home.lose(client).await;
    home.says("a", "x", 1, true);
    let (mut client, _) = home.kept("c").await;
    let got = client.take().await;
    assert_eq!((got.text(), got.retain), ("x", false));
    // A session that is resumed subscribes nothing anew: no retained messages.
    client.ping().await;
}

/// [MQTT-3.3.1-10] An empty retained message is delivered as any other, and clears what was retained.
#[tokio::test]
async fn mqtt_3_3_1_10_an_empty_retained_message_is_delivered_and_clears() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 1)]).await;
    let mut client = home.client("c").await;
    for qos in 0..=2 {
        client.says("a", "kept", 1, true).await;
        client.says("a", "", qos, true).await;
        assert_eq!(reader.texts().await, ["kept", ""]);
        assert_eq!(kept(&home, "#", 0).await.len(), 0, "{qos}");
    }
}

/// [MQTT-3.3.1-11] An empty retained message is not stored itself.
#[tokio::test]
async fn mqtt_3_3_1_11_an_empty_retained_message_is_not_stored() {
    let home = home().await;
    home.client("c").await.says("a", "", 1, true).await;
    assert_eq!(kept(&home, "#", 0).await.len(), 0);
    assert_eq!(home.broker.counters().retained_count, 0);
}

/// [MQTT-3.3.1-12] A message without retain is not stored, and removes or replaces nothing.
#[tokio::test]
async fn mqtt_3_3_1_12_a_message_without_retain_leaves_the_store_alone() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.says("a", "kept", 1, true).await;
    for text in ["live", ""] {
        for qos in 0..=2 {
            client.says("a", text, qos, false).await;
            client.says("b", text, qos, false).await;
        }
    }
    assert_eq!(kept(&home, "#", 1).await, ["a kept 1"]);
}
