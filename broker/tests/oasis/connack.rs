//! 3.1.3.1 client ids, 3.1.4 the response to CONNECT, 3.2 CONNACK.

use bytes::Bytes;

use crate::common::*;

const REJECTED: [u8; 4] = [CONNACK, 2, 0, 2];

/// [MQTT-3.1.3-5] Ids of 1 to 23 bytes of digits and letters must be allowed.
#[tokio::test]
async fn mqtt_3_1_3_5_ids_of_1_to_23_digits_and_letters_are_allowed() {
    let home = home().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let long = all.as_bytes().chunks(23).map(|chunk| std::str::from_utf8(chunk).unwrap());
    for id in (1..=23).map(|length| &all[..length]).chain(long) {
        home.client(id).await.ping().await;
    }
}

/// [MQTT-3.1.3-6] A server that allows an empty client id assigns a unique one.
#[tokio::test]
async fn mqtt_3_1_3_6_clients_with_empty_ids_do_not_take_over_from_each_other() {
    let home = home().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(home.client("").await);
    }
    for client in &mut clients {
        client.ping().await;
    }
}

/// [MQTT-3.1.3-8] An empty client id without a clean session gets return code 2, then the connection is closed.
#[tokio::test]
async fn mqtt_3_1_3_8_an_empty_id_without_a_clean_session_gets_return_code_2() {
    let home = home().await;
    assert_eq!(home.answer(&connect("", false, 0, None)).await, REJECTED);
}

/// [MQTT-3.1.3-9] A client id that the server rejects gets return code 2, then the connection is closed.
#[tokio::test]
async fn mqtt_3_1_3_9_a_rejected_id_gets_return_code_2() {
    let home = home_with(|limits| limits.client_id_bytes = 30).await;
    for id in ["$reserved", &"x".repeat(31)] {
        assert_eq!(home.answer(&connect(id, true, 0, None)).await, REJECTED, "{id}");
    }
    assert_eq!(home.broker.counters().refused(Refusal::ClientId), 2);
}

/// [MQTT-3.1.4-1] A CONNECT that does not conform to 3.1 is closed without a CONNACK.
#[tokio::test]
async fn mqtt_3_1_4_1_a_connect_that_does_not_conform_gets_no_connack() {
    let home = home().await;
    let longer_than_said = framed(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01cc");
    let id_beyond_the_packet = framed(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x05c");
    let no_keep_alive = framed(0x10, b"\x00\x04MQTT\x04\x02\x00");
    for hello in [longer_than_said, id_beyond_the_packet, no_keep_alive] {
        assert_eq!(home.answer(&hello).await, b"", "{hello:02x?}");
    }
}

/// [MQTT-3.1.4-2] A client that connects with the id of a connected one: the existing client is disconnected.
#[tokio::test]
async fn mqtt_3_1_4_2_the_same_client_id_disconnects_the_existing_client() {
    let home = home().await;
    let mut old = home.client("same").await;
    let mut new = home.client("same").await;
    assert!(old.is_closed().await);
    new.ping().await;
    assert_eq!(home.broker.counters().connections, 1);
}

/// [MQTT-3.1.4-3] Clean session is dealt with as 3.1.2.4 says, also when the existing client is still there.
#[tokio::test]
async fn mqtt_3_1_4_3_a_take_over_resumes_or_discards_the_session() {
    let home = home().await;
    let (mut old, _) = home.kept("same").await;
    old.subscribe(&[("a", 1)]).await;
    let (mut resumed, present) = home.kept("same").await;
    assert!(present && old.is_closed().await);
    home.says("a", "x", 1, false);
    assert_eq!(resumed.take().await.text(), "x");
    let mut clean = home.client("same").await;
    assert!(resumed.is_closed().await);
    home.says("a", "y", 1, false);
    clean.subscribe(&[("b", 1)]).await;
    home.says("b", "z", 1, false);
    assert_eq!(clean.take().await.text(), "z");
}

/// [MQTT-3.1.4-4] A CONNECT that is in order is acknowledged with return code 0.
#[tokio::test]
async fn mqtt_3_1_4_4_a_good_connect_gets_return_code_0() {
    let home = home().await;
    let mut client = home.raw().await;
    client.send(&connect("c", true, 60, Some(("wills/c", "gone", 1, false)))).await;
    assert_eq!(client.packet().await, Some((CONNACK, Bytes::from_static(&[0, 0]))));
}

/// [MQTT-3.1.4-5] After a rejected CONNECT, nothing that follows it is processed.
#[tokio::test]
async fn mqtt_3_1_4_5_nothing_after_a_rejected_connect_is_processed() {
    let home = home().await;
    let bytes = [connect("", false, 0, None), publish("metrics/x", b"1", 1, 1, true), PINGREQ.to_vec()].concat();
    assert_eq!(home.answer(&bytes).await, REJECTED);
    assert_eq!((home.tap.payloads().len(), home.broker.counters().retained_count), (0, 0));
}

/// [MQTT-3.1.4-5] Clients need not wait for CONNACK before they go on.
#[tokio::test]
async fn mqtt_3_1_4_5_packets_may_follow_connect_at_once() {
    let home = home().await;
    let mut client = home.raw().await;
    let publish = publish("metrics/x", b"1", 1, 5, false);
    client.send(&[connect("c", true, 0, None), subscribe(4, &[("a", 1)]), publish, PINGREQ.to_vec()].concat()).await;
    assert_eq!(client.packet().await, Some((CONNACK, Bytes::from_static(&[0, 0]))));
    assert_eq!(client.packet().await, Some((SUBACK, Bytes::from_static(&[0, 4, 1]))));
    client.acknowledged(PUBACK, 5).await;
    assert_eq!(client.packet().await, Some((PINGRESP, Bytes::new())));
    assert_eq!(home.tap.payloads(), ["1"]);
}

/// [MQTT-3.2.0-1] The first packet of the server must be a CONNACK, whatever else there is to send.
#[tokio::test]
async fn mqtt_3_2_0_1_connack_comes_before_the_messages_of_a_resumed_session() {
    let home = home().await;
    let (mut client, _) = home.kept("c").await;
    client.subscribe(&[("a", 1)]).await;
    home.says("a", "unacknowledged", 1, false);
    client.message().await;
    home.lose(client).await;
    home.says("a", "while away", 1, false);
    let mut client = home.raw().await;
    client.send(&connect("c", false, 0, None)).await;
    assert_eq!(client.packet().await, Some((CONNACK, Bytes::from_static(&[1, 0]))));
    assert_eq!(client.texts().await, ["unacknowledged", "while away"]);
}

/// [MQTT-3.2.2-1] With a clean session, session present is 0, also when there was a session.
#[tokio::test]
async fn mqtt_3_2_2_1_a_clean_session_is_never_present() {
    let home = home().await;
    let (client, _) = home.kept("c").await;
    home.lose(client).await;
    let (_, present) = home.connected(&connect("c", true, 0, None)).await;
    assert!(!present);
}

/// [MQTT-3.2.2-2] Without a clean session, session present is 1 when the server has a session for the id.
#[tokio::test]
async fn mqtt_3_2_2_2_a_stored_session_is_present() {
    let home = home().await;
    for expected in [false, true, true] {
        let (client, present) = home.kept("c").await;
        assert_eq!(present, expected);
        home.lose(client).await;
    }
}

/// [MQTT-3.2.2-3] Without a stored session, session present is 0.
#[tokio::test]
async fn mqtt_3_2_2_3_a_session_of_another_id_is_not_present() {
    let home = home().await;
    let (client, _) = home.kept("c").await;
    home.lose(client).await;
    for id in ["C", "c ", "cc"] {
        assert!(!home.kept(id).await.1, "{id}");
    }
}

/// [MQTT-3.2.2-4] With a return code other than 0, session present is 0, also when there is a session.
#[tokio::test]
async fn mqtt_3_2_2_4_a_refusal_says_no_session_is_present() {
    let home = home().await;
    let (client, _) = home.kept("c").await;
    home.lose(client).await;
    assert_eq!(home.answer(&connect_as(b"MQTT", 6, 0, 0, &[b"c"])).await, [CONNACK, 2, 0, 1]);
    assert!(home.kept("c").await.1, "the refusal left the session alone");
}

/// [MQTT-3.2.2-5] After a return code other than 0 the server closes, even if the client stays.
#[tokio::test]
async fn mqtt_3_2_2_5_the_connection_ends_after_a_refusal() {
    let home = home().await;
    let mut client = home.raw().await;
    client.send(&connect("", false, 0, None)).await;
    assert_eq!(client.packet().await, Some((CONNACK, Bytes::from_static(&[0, 2]))));
    assert!(client.is_closed().await);
}

/// [MQTT-3.2.2-6] Where no return code applies, the server closes without a CONNACK.
#[tokio::test]
async fn mqtt_3_2_2_6_a_connection_beyond_the_limit_is_closed_without_a_connack() {
    let home = home_with(|limits| limits.connections = 1).await;
    let mut one = home.client("one").await;
    assert_eq!(home.answer(&connect("two", true, 0, None)).await, b"");
    one.ping().await;
}
