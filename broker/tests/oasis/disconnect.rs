//! 3.14 DISCONNECT.

use crate::common::*;

/// A client with a will on `wills/c`, and a watcher of it.
async fn mortal(home: &Home) -> (Client, Client) {
    let mut watcher = home.client("watcher").await;
    watcher.subscribe(&[("wills/#", 1)]).await;
    let (client, _) = home.connected(&connect("c", true, 0, Some(("wills/c", "gone", 1, true)))).await;
    (client, watcher)
}

/// [MQTT-3.14.1-1] With reserved bits set the client is disconnected: that was no DISCONNECT, its will is published.
#[tokio::test]
async fn mqtt_3_14_1_1_reserved_bits_make_it_a_protocol_violation() {
    let home = home().await;
    for flags in 1..16 {
        let (mut client, mut watcher) = mortal(&home).await;
        client.is_closed_for(&[0xe0 | flags, 0]).await;
        // At once, or (from the round before) as a retained one.
        assert_eq!(watcher.take().await.text(), "gone");
    }
    assert_eq!(home.broker.counters().refused(Refusal::Protocol), 15);
}

/// [MQTT-3.14.4-1] After DISCONNECT the connection is closed; by the server, if the client does not.
#[tokio::test]
async fn mqtt_3_14_4_1_the_server_closes_if_the_client_does_not() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(DISCONNECT).await;
    assert!(client.is_closed().await);
    home.until(|counters| counters.connections == 0).await;
}

/// [MQTT-3.14.4-2] The client must not send more after DISCONNECT: what it sends all the same is not processed.
#[tokio::test]
async fn mqtt_3_14_4_2_what_follows_a_disconnect_is_not_processed() {
    let home = home().await;
    home.closes(&[DISCONNECT, &publish("metrics/x", b"1", 1, 1, true), PINGREQ].concat()).await;
    home.until(|counters| counters.connections == 0).await;
    assert!(home.tap.payloads().is_empty());
}

/// [MQTT-3.14.4-3] On DISCONNECT the will is discarded without being published.
#[tokio::test]
async fn mqtt_3_14_4_3_the_will_is_discarded() {
    let home = home().await;
    let (client, mut watcher) = mortal(&home).await;
    client.disconnect().await;
    home.until(|counters| counters.connections == 1).await;
    home.says("wills/end", "end", 1, false);
    assert_eq!(watcher.texts().await, ["end"]);
    assert_eq!(home.broker.counters().retained_count, 0);
}

/// [MQTT-3.14.4-3] What was sent before DISCONNECT is processed, in full and in the same segment too.
#[tokio::test]
async fn mqtt_3_14_4_3_what_precedes_a_disconnect_is_processed() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(&[&publish("metrics/x", b"1", 0, 0, false), DISCONNECT].concat()).await;
    assert!(client.is_closed().await);
    assert_eq!(home.tap.wait(1).await.len(), 1);
}
