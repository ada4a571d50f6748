//! 3.1.2.4 clean session, 4.1 storing state, 4.4 delivery retry, 4.5 message receipt. Within one run of the broker.

use crate::common::*;

/// A client that subscribed `a` at QoS 1 with a session that is kept.
async fn keeper(home: &Home) -> Client {
    let (mut client, _) = home.kept("keeper").await;
    client.subscribe(&[("a", 1)]).await;
    client
}

/// [MQTT-3.1.2-4] Without a clean session the server resumes the stored one: subscriptions are still there.
#[tokio::test]
async fn mqtt_3_1_2_4_subscriptions_are_still_there() {
    let home = home().await;
    keeper(&home).await.disconnect().await;
    let (mut client, present) = home.kept("keeper").await;
    assert!(present);
    home.says("a", "x", 1, false);
    assert_eq!(client.take().await.text(), "x");
}

/// [MQTT-3.1.2-4] If there is no session for the client id, the server creates one.
#[tokio::test]
async fn mqtt_3_1_2_4_a_new_session_is_created_and_kept() {
    let home = home().await;
    let (client, present) = home.kept("new").await;
    assert!(!present);
    client.disconnect().await;
    assert!(home.kept("new").await.1);
}

/// [MQTT-3.1.2-5] Messages at QoS 1 and 2 that match are kept while the client is away.
#[tokio::test]
async fn mqtt_3_1_2_5_messages_are_kept_while_the_client_is_away() {
    let home = home().await;
    keeper(&home).await.disconnect().await;
    home.until(|counters| counters.connections == 0).await;
    let mut sender = home.client("sender").await;
    for (i, qos) in [1, 2, 1].into_iter().enumerate() {
        sender.says("a", &i.to_string(), qos, false).await;
    }
    let (mut client, _) = home.kept("keeper").await;
    for i in ["0", "1", "2"] {
        let got = client.take().await;
        assert_eq!((got.text(), got.qos, got.dup, got.retain), (i, 1, false, false));
    }
    client.ping().await;
}

/// [MQTT-3.1.2-6] With a clean session, a previous one is discarded: subscriptions and messages are gone.
#[tokio::test]
async fn mqtt_3_1_2_6_a_clean_session_discards_the_previous_one() {
    let home = home().await;
    let mut client = keeper(&home).await;
    home.says("a", "unacknowledged", 1, false);
    client.message().await;
    home.lose(client).await;
    home.says("a", "while away", 1, false);
    let mut client = home.client("keeper").await;
    client.subscribe(&[("end", 1)]).await;
    home.says("a", "live", 1, false);
    home.says("end", "end", 1, false);
    assert_eq!(client.texts().await, ["end"]);
}

/// [MQTT-3.1.2-6] Nothing of a clean session is used in a later one.
#[tokio::test]
async fn mqtt_3_1_2_6_a_clean_session_leaves_nothing_behind() {
    let home = home().await;
    let mut client = home.client("keeper").await;
    client.subscribe(&[("a", 1)]).await;
    home.says("a", "unacknowledged", 1, false);
    client.message().await;
    client.send(&publish("metrics/x", b"1", 2, 9, false)).await;
    client.acknowledged(PUBREC, 9).await;
    home.lose(client).await;
    let (mut client, present) = home.kept("keeper").await;
    assert!(!present);
    client.ping().await;
    // The packet id of a QoS 2 message is free, too.
    client.send(&publish("metrics/x", b"2", 2, 9, false)).await;
    client.acknowledged(PUBREC, 9).await;
    assert_eq!(home.tap.payloads(), ["1", "2"]);
}

/// [MQTT-3.1.2-7] Retained messages are no part of the session: they stay when it ends.
#[tokio::test]
async fn mqtt_3_1_2_7_retained_messages_outlive_the_session() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.says("a", "kept", 1, true).await;
    client.disconnect().await;
    let mut later = home.client("c").await;
    later.subscribe(&[("a", 1)]).await;
    assert_eq!(later.take().await.text(), "kept");
}

/// [MQTT-3.1.3-2] State is kept by client id: each gets its own, and no other's.
#[tokio::test]
async fn mqtt_3_1_3_2_each_client_id_has_a_session_of_its_own() {
    let home = home().await;
    for id in ["one", "two"] {
        let (mut client, _) = home.kept(id).await;
        client.subscribe(&[(id, 1)]).await;
        client.disconnect().await;
    }
    home.until(|counters| counters.connections == 0).await;
    for topic in ["one", "two"] {
        home.says(topic, topic, 1, false);
    }
    for id in ["two", "one"] {
        let (mut client, _) = home.kept(id).await;
        assert_eq!(client.texts().await, [id]);
        client.ping().await;
    }
}

/// [MQTT-3.3.1-1] DUP is set when a message is sent again, and only then.
#[tokio::test]
async fn mqtt_3_3_1_1_dup_is_set_when_a_message_is_sent_again() {
    let home = home().await;
    let mut client = keeper(&home).await;
    home.says("a", "x", 1, false);
    let first = client.message().await;
    assert!(!first.dup);
    for _ in 0..2 {
        home.lose(client).await;
        client = home.kept("keeper").await.0;
        assert_eq!(client.message().await, Published { dup: true, ..first.clone() });
    }
}

/// [MQTT-4.1.0-1] State is stored for the whole session: QoS 2 messages that were not released, too.
#[tokio::test]
async fn mqtt_4_1_0_1_a_qos_2_message_is_not_taken_twice_across_connections() {
    let home = home().await;
    let (mut client, _) = home.kept("c").await;
    let publish = publish("metrics/x", b"1", 2, 9, false);
    client.send(&publish).await;
    client.acknowledged(PUBREC, 9).await;
    home.lose(client).await;
    let (mut client, _) = home.kept("c").await;
    client.send(&again(publish)).await;
    client.acknowledged(PUBREC, 9).await;
    home.lose(client).await;
    let (mut client, _) = home.kept("c").await;
    client.send(&ack(PUBREL, 9)).await;
    client.acknowledged(PUBCOMP, 9).await;
    assert_eq!(home.tap.payloads(), ["1"]);
}

/// [MQTT-4.1.0-1] The packet id of a message in flight stays taken across connections.
#[tokio::test]
async fn mqtt_4_1_0_1_packet_ids_in_flight_stay_taken() {
    let home = home().await;
    let mut client = keeper(&home).await;
    home.says("a", "1", 1, false);
    let first = client.message().await;
    home.lose(client).await;
    let (mut client, _) = home.kept("keeper").await;
    assert_eq!(client.message().await.pkid, first.pkid);
    home.says("a", "2", 1, false);
    assert_ne!(client.message().await.pkid, first.pkid);
}

/// [MQTT-4.1.0-2] A session lasts at least as long as its connection, whoever comes and goes.
#[tokio::test]
async fn mqtt_4_1_0_2_a_session_lasts_while_its_client_is_connected() {
    let home = home_with(|limits| limits.parked_sessions = 2).await;
    let mut client = keeper(&home).await;
    for i in 0..5 {
        home.kept(&format!("guest-{i}")).await.0.disconnect().await;
    }
    home.until(|counters| counters.refused(Refusal::ParkedSessions) == 3).await;
    home.says("a", "still", 1, false);
    assert_eq!(client.texts().await, ["still"]);
}

/// [MQTT-4.4.0-1] When the client is back, messages that it has not acknowledged are sent again with their packet ids.
#[tokio::test]
async fn mqtt_4_4_0_1_unacknowledged_messages_are_sent_again_under_their_packet_ids() {
    let home = home().await;
    let mut client = keeper(&home).await;
    let mut sent = Vec::new();
    for text in ["1", "2", "3"] {
        home.says("a", text, 1, false);
        sent.push(client.message().await);
    }
    client.send(&ack(PUBACK, sent[1].pkid)).await;
    client.ping().await;
    home.lose(client).await;
    let (mut client, _) = home.kept("keeper").await;
    for i in [0, 2] {
        assert_eq!(client.message().await, Published { dup: true, ..sent[i].clone() });
    }
    client.ping().await;
}

/// [MQTT-4.4.0-1] What was acknowledged is not sent again.
#[tokio::test]
async fn mqtt_4_4_0_1_acknowledged_messages_are_not_sent_again() {
    let home = home().await;
    let mut client = keeper(&home).await;
    home.says("a", "1", 1, false);
    client.take().await;
    client.ping().await;
    home.lose(client).await;
    let (mut client, present) = home.kept("keeper").await;
    assert!(present);
    client.ping().await;
    home.says("a", "2", 1, false);
    assert_eq!(client.texts().await, ["2"]);
}

/// [MQTT-4.5.0-1] A message is added to the session of each client with a subscription that matches, away or not.
#[tokio::test]
async fn mqtt_4_5_0_1_every_session_that_matches_gets_the_message() {
    let home = home().await;
    let mut here = Vec::new();
    for (id, filter) in [("1", "a/b"), ("2", "a/+"), ("3", "#"), ("4", "+/b/#")] {
        let (mut client, _) = home.kept(id).await;
        client.subscribe(&[(filter, 1)]).await;
        here.push(client);
    }
    let away = here.pop().unwrap();
    home.lose(away).await;
    home.client("sender").await.says("a/b", "x", 1, false).await;
    here.push(home.kept("4").await.0);
    for client in &mut here {
        assert_eq!(client.texts().await, ["x"]);
    }
}

/// [MQTT-4.6.0-1] Messages are sent again in the order in which they were sent first, and before new ones.
#[tokio::test]
async fn mqtt_4_6_0_1_messages_are_sent_again_in_their_order() {
    let home = home().await;
    let mut client = keeper(&home).await;
    for text in ["1", "2", "3", "4"] {
        home.says("a", text, 1, false);
        client.message().await;
    }
    home.lose(client).await;
    home.says("a", "5", 1, false);
    let (mut client, _) = home.kept("keeper").await;
    for (text, dup) in [("1", true), ("2", true), ("3", true), ("4", true), ("5", false)] {
        let got = client.take().await;
        assert_eq!((got.text(), got.dup), (text, dup));
    }
}
