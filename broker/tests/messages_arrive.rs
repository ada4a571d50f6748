//! What is published arrives: at the tap, at subscribers, in order, at the right QoS, and as often as it should.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use bytes::Bytes;
use common::*;

#[tokio::test]
async fn the_tap_and_subscribers_both_get_a_metric() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    assert_eq!(&reader.subscribe(&[("metrics/#", 1)]).await[..], [1]);
    let mut sensor = home.client("sensor").await;
    sensor.send(&publish("metrics/x", b"20%", 1, 5, false)).await;
    assert_eq!(sensor.packet().await, Some((0x40, Bytes::from_static(&[0, 5]))));
    let seen = &home.tap.wait(1).await[0];
    assert_eq!((&*seen.topic, &seen.payload[..], seen.qos, &*seen.client), ("metrics/x", &b"20%"[..], 1, "sensor"));
    let got = reader.message().await;
    assert_eq!((&*got.topic, &got.payload[..], got.qos, got.retain), ("metrics/x", &b"20%"[..], 1, false));
}

#[tokio::test]
async fn order_is_kept_from_one_client_and_from_the_agent() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("a", 1), ("b", 0)]).await;
    let mut sender = home.client("sender").await;
    for i in 0..500_u32 {
        sender.send(&publish("a", &i.to_be_bytes(), 1, 1, false)).await;
        home.broker.publish("b", Bytes::copy_from_slice(&i.to_be_bytes()), 0, false);
        let (mut a, mut b) = (None, None);
        while a.is_none() || b.is_none() {
            let got = reader.message().await;
            if got.qos == 1 {
                reader.send(&ack(0x40, got.pkid)).await;
            }
            *(if got.topic == "a" { &mut a } else { &mut b }) = Some(got.payload);
        }
        assert_eq!(a.unwrap()[..], i.to_be_bytes());
        assert_eq!(b.unwrap()[..], i.to_be_bytes());
    }
    assert_eq!(home.broker.counters().messages_lost, 0);
}

#[tokio::test]
async fn a_burst_of_the_agent_arrives_in_full_and_in_order() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("b", 1)]).await;
    for i in 0..500_u32 {
        home.broker.publish("b", Bytes::copy_from_slice(&i.to_be_bytes()), 1, false);
    }
    for i in 0..500_u32 {
        let got = reader.message().await;
        assert_eq!(got.payload[..], i.to_be_bytes());
        reader.send(&ack(0x40, got.pkid)).await;
    }
}

#[tokio::test]
async fn filters_are_checked_one_by_one() {
    let home = home_with(|limits| limits.filters_per_client = 3).await;
    let mut client = home.client("c").await;
    let filters =
        [("a/#/b", 0), ("a+", 0), ("", 0), ("secret/x", 0), ("$share/g/a", 0), ("a/#", 2), ("b", 0), ("b", 1)];
    assert_eq!(&client.subscribe(&filters).await[..], [0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 1]);
    assert_eq!(&client.subscribe(&[("c", 0), ("d", 0)]).await[..], [0, 0x80]);
    client.send(&unsubscribe(3, &["c"])).await;
    assert_eq!(client.packet().await.unwrap().0, 0xb0);
    assert_eq!(&client.subscribe(&[("d", 0)]).await[..], [0]);
    let counters = home.broker.counters();
    assert_eq!(counters.refused(Refusal::SubscribeRights), 1);
    assert_eq!(counters.refused(Refusal::SubscribeLimit), 1);
    assert_eq!(counters.refused(Refusal::SubscribeFilter), 4);
}

#[tokio::test]
async fn a_subscription_acknowledged_misses_nothing_published_after() {
    let home = home().await;
    let mut noise = home.client("noise").await;
    let mut other = home.client("other").await;
    other.subscribe(&[("noise", 0)]).await;
    for i in 0..200 {
        for _ in 0..20 {
            noise.send(&publish("noise", b"x", 0, 0, false)).await;
        }
        let mut client = home.client("c").await;
        client.subscribe(&[("a", 0)]).await;
        home.broker.publish("a", Bytes::from(i.to_string()), 0, false);
        assert_eq!(client.message().await.payload, i.to_string());
    }
}

#[tokio::test]
async fn filters_and_ids_that_come_and_go_leave_room() {
    let home = home_with(|limits| {
        limits.filters_bytes = 1000;
        limits.parked_sessions = 2;
    })
    .await;
    for i in 0..100 {
        let mut client = home.raw().await;
        client.send(&connect(&format!("id-{i}"), i % 2 == 0, 0, None)).await;
        client.packet().await.unwrap();
        if i % 2 == 0 {
            // Room for a filter may come back a moment after its client has left.
            soon(async { while client.subscribe(&[(&*format!("f/{i}"), 0)]).await[..] != [0] {} }).await;
        }
        drop(client);
        home.until(|counters| counters.connections == 0).await;
    }
    assert_eq!(home.broker.counters().refused(Refusal::ParkedSessions), 48);
}

#[tokio::test]
async fn a_will_goes_through_the_rights_and_the_tap() {
    let home = home().await;
    for topic in ["agent/status", "metrics/alive"] {
        drop(home.connected(&connect("mortal", true, 0, Some((topic, "gone", 1, true)))).await);
    }
    let seen = &home.tap.wait(1).await[0];
    assert_eq!((&*seen.topic, &seen.payload[..], &*seen.client), ("metrics/alive", &b"gone"[..], "mortal"));
    let counters = home.broker.counters();
    assert_eq!((counters.refused(Refusal::PublishRights), counters.retained_count), (1, 1));
}

#[tokio::test]
async fn a_retained_message_does_not_overtake_older_ones_of_its_topic() {
    let home = home_with(|limits| limits.inflight_qos1 = 1).await;
    let mut client = home.client("one").await;
    client.subscribe(&[("a", 1)]).await;
    for text in ["1", "2", "3"] {
        home.says("a", text, 1, true);
    }
    let first = client.message().await;
    client.subscribe(&[("+", 1)]).await;
    client.send(&ack(PUBACK, first.pkid)).await;
    assert_eq!(client.texts::<2>().await, ["2", "3"]);
    let retained = client.take().await;
    assert_eq!((retained.text(), retained.retain), ("3", true));
}
