//! Retained messages: all of them, to every subscription, until they are cleared.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use bytes::Bytes;
use common::*;

#[tokio::test]
async fn a_wildcard_subscriber_gets_300_of_300() {
    let home = home().await;
    for i in 0..300 {
        home.broker.publish(&format!("a/{i}"), Bytes::from(i.to_string()), 1, true);
    }
    for qos in [0, 1] {
        let mut client = home.client("c").await;
        // Twice: a subscription that is renewed gets them again.
        for _ in 0..2 {
            client.subscribe(&[("#", qos)]).await;
            let mut topics = std::collections::HashSet::new();
            for _ in 0..300 {
                let got = client.message().await;
                assert!(got.retain && got.qos == qos, "{got:?}");
                if qos == 1 {
                    client.send(&ack(0x40, got.pkid)).await;
                }
                topics.insert(got.topic);
            }
            assert_eq!(topics.len(), 300);
            client.ping().await;
        }
    }
}

#[tokio::test]
async fn the_store_is_bounded_for_clients_and_open_for_the_agent() {
    let home = home_with(|limits| limits.retained_count = 3).await;
    let mut client = home.client("c").await;
    for i in 0..5 {
        client.send(&publish(&format!("a/{i}"), b"1", 0, 0, true)).await;
    }
    client.ping().await;
    home.broker.publish("agent/status", Bytes::from_static(b"online"), 1, true);
    let counters = home.broker.counters();
    assert_eq!((counters.retained_count, counters.refused(Refusal::Retained)), (4, 2));
    assert_eq!(counters.retained_bytes, 3 * 4 + 12 + 6);
}

/// The last value that a subscriber sees is the last one published, whatever the moment of its subscription.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_ends_up_with_the_latest_value() {
    let home = home().await;
    for round in 0..30 {
        let broker = home.broker.clone();
        let writer = tokio::spawn(async move {
            for i in 0..200 {
                broker.publish("a/b", Bytes::from(format!("{round} {i}")), 0, true);
                tokio::task::yield_now().await;
            }
        });
        let mut client = home.client("c").await;
        client.subscribe(&[("a/+", 0)]).await;
        while client.message().await.payload != format!("{round} 199") {}
        client.ping().await;
        writer.await.unwrap();
    }
}
