//! 3.12 PINGREQ, 3.13 PINGRESP, 3.1.2.10 keep alive. One second is the shortest keep-alive there is.

use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::common::*;

/// A client with this keep-alive, in seconds.
async fn alive(home: &Home, id: &str, keep_alive: u16) -> Client {
    home.connected(&connect(id, true, keep_alive, None)).await.0
}

/// [MQTT-3.12.4-1] Each PINGREQ is answered with a PINGRESP.
#[tokio::test]
async fn mqtt_3_12_4_1_every_pingreq_is_answered() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.send(&PINGREQ.repeat(100)).await;
    for _ in 0..100 {
        assert_eq!(client.packet().await.unwrap().0, PINGRESP);
    }
    client.ping().await;
}

/// [MQTT-3.1.2-24] A client that is silent for one and a half keep-alives is disconnected; one that is heard is not.
#[tokio::test]
async fn mqtt_3_1_2_24_silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    let home = home().await;
    let mut pinging = alive(&home, "pinging", 1).await;
    let mut publishing = alive(&home, "publishing", 1).await;
    let began = Instant::now();
    let mut silent = alive(&home, "silent", 1).await;
    let mut beat = interval(Duration::from_millis(300));
    loop {
        tokio::select! {
            closed = silent.is_closed() => break assert!(closed),
            _ = beat.tick() => {
                pinging.ping().await;
                publishing.send(&publish("a", b"x", 0, 0, false)).await;
            }
        }
    }
    let silence = began.elapsed();
    assert!(silence >= Duration::from_millis(1400), "too early: {silence:?}");
    assert!(silence < Duration::from_millis(4000), "too late: {silence:?}");
    pinging.ping().await;
    publishing.ping().await;
    assert_eq!(home.broker.counters().refused(Refusal::KeepAlive), 1);
}

/// [MQTT-3.1.2-24] Only packets from the client count, not those to it. Without a keep-alive there is no limit.
#[tokio::test]
async fn mqtt_3_1_2_24_what_the_client_receives_does_not_keep_it_alive() {
    let home = home().await;
    let mut endless = alive(&home, "endless", 0).await;
    let mut listening = alive(&home, "listening", 1).await;
    listening.subscribe(&[("a", 0)]).await;
    let mut beat = interval(Duration::from_millis(300));
    loop {
        tokio::select! {
            packet = listening.packet() => if packet.is_none() { break },
            _ = beat.tick() => home.says("a", "x", 0, false),
        }
    }
    endless.ping().await;
}
