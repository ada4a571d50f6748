//! 3.1.2.5 to 3.1.2.7: the last will.

use crate::common::*;

/// A watcher of `wills/#` at QoS 1.
async fn watcher(home: &Home) -> Client {
    let mut watcher = home.client("watcher").await;
    watcher.subscribe(&[("wills/#", 1)]).await;
    watcher
}

/// A client whose will is `gone` on `wills/mortal`, at QoS 1.
async fn mortal(home: &Home, keep_alive: u16) -> Client {
    home.connected(&connect("mortal", true, keep_alive, Some(("wills/mortal", "gone", 1, false)))).await.0
}

/// [MQTT-3.1.2-8] The will is published when the connection is closed without DISCONNECT: by the client or the network.
#[tokio::test]
async fn mqtt_3_1_2_8_the_will_of_a_lost_client_is_published() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    drop(mortal(&home, 0).await);
    let got = watcher.take().await;
    assert_eq!((&*got.topic, got.text(), got.qos, got.retain), ("wills/mortal", "gone", 1, false));
}

/// [MQTT-3.1.2-8] … when the server closes it for a protocol violation.
#[tokio::test]
async fn mqtt_3_1_2_8_the_will_is_published_after_a_protocol_violation() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    for violation in [vec![0, 0], publish("a/#", b"", 0, 0, false), connect("mortal", true, 0, None)] {
        let mut client = mortal(&home, 0).await;
        client.send(&violation).await;
        assert_eq!(watcher.take().await.text(), "gone", "{violation:02x?}");
        assert!(client.is_closed().await);
    }
}

/// [MQTT-3.1.2-8] … when the client says nothing for one and a half keep-alives.
#[tokio::test]
async fn mqtt_3_1_2_8_the_will_is_published_after_a_missed_keep_alive() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    let mut silent = mortal(&home, 1).await;
    assert_eq!(watcher.take().await.text(), "gone");
    assert!(silent.is_closed().await);
}

/// [MQTT-3.1.2-8] … when another client takes over the id.
#[tokio::test]
async fn mqtt_3_1_2_8_the_will_is_published_after_a_take_over() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    let mut old = mortal(&home, 0).await;
    let mut new = home.client("mortal").await;
    assert_eq!(watcher.take().await.text(), "gone");
    assert!(old.is_closed().await);
    new.ping().await;
}

/// [MQTT-3.1.2-9] Will QoS and will retain are used.
#[tokio::test]
async fn mqtt_3_1_2_9_the_will_goes_out_at_its_qos() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    for (qos, delivered) in [(0, 0), (1, 1), (2, 1)] {
        drop(home.connected(&connect("c", true, 0, Some(("wills/c", "gone", qos, false)))).await.0);
        assert_eq!(watcher.take().await.qos, delivered);
    }
}

/// [MQTT-3.1.2-9] The will message is bytes (3.1.3.3): any, or none.
#[tokio::test]
async fn mqtt_3_1_2_9_a_will_message_may_be_any_bytes() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    for message in [&b"\x00\xff\xfe\xc0"[..], b"", b"text"] {
        drop(home.connected(&connect_with(CLEAN | WILL, &[b"c", b"wills/c", message])).await.0);
        assert_eq!(watcher.take().await.payload, message);
    }
}

/// [MQTT-3.1.2-10] A will that was published is removed: the next connection of the same session has none.
#[tokio::test]
async fn mqtt_3_1_2_10_a_published_will_does_not_come_back() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    let (client, _) = home.connected(&connect("c", false, 0, Some(("wills/c", "first", 1, false)))).await;
    home.lose(client).await;
    let (client, present) = home.kept("c").await;
    assert!(present);
    home.lose(client).await;
    home.says("wills/end", "end", 1, false);
    assert_eq!(watcher.texts().await, ["first", "end"]);
}

/// [MQTT-3.1.2-10] DISCONNECT removes the will: a connection lost later does not bring it back.
#[tokio::test]
async fn mqtt_3_1_2_10_a_will_is_removed_by_disconnect() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    let (client, _) = home.connected(&connect("c", false, 0, Some(("wills/c", "gone", 1, false)))).await;
    client.disconnect().await;
    let (client, _) = home.kept("c").await;
    home.lose(client).await;
    home.says("wills/end", "end", 1, false);
    assert_eq!(watcher.texts().await, ["end"]);
}

/// [MQTT-3.1.2-12] Without the will flag nothing is published when the connection ends.
#[tokio::test]
async fn mqtt_3_1_2_12_without_a_will_nothing_is_published() {
    let home = home().await;
    let mut watcher = home.client("watcher").await;
    watcher.subscribe(&[("#", 1)]).await;
    let client = home.client("c").await;
    home.lose(client).await;
    home.says("end", "end", 1, false);
    assert_eq!(watcher.texts().await, ["end"]);
}

/// [MQTT-3.1.2-16] Without will retain the will is published as a message that is not retained.
#[tokio::test]
async fn mqtt_3_1_2_16_a_will_without_retain_is_not_kept() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    home.says("wills/mortal", "kept before", 1, true);
    assert_eq!(watcher.take().await.text(), "kept before");
    drop(mortal(&home, 0).await);
    assert_eq!(watcher.take().await.text(), "gone");
    let mut later = home.client("later").await;
    later.subscribe(&[("wills/#", 1)]).await;
    assert_eq!(later.take().await.text(), "kept before");
}

/// [MQTT-3.1.2-17] With will retain the will is published as a retained message.
#[tokio::test]
async fn mqtt_3_1_2_17_a_will_with_retain_is_kept() {
    let home = home().await;
    let mut watcher = watcher(&home).await;
    drop(home.connected(&connect("c", true, 0, Some(("wills/c", "gone", 1, true)))).await.0);
    let live = watcher.take().await;
    assert_eq!((live.text(), live.retain), ("gone", false));
    let mut later = home.client("later").await;
    later.subscribe(&[("wills/#", 1)]).await;
    let kept = later.take().await;
    assert_eq!((kept.text(), kept.retain), ("gone", true));
}
