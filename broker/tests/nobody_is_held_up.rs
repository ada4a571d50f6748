//! One client's trouble is its own.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::*;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_is_dropped_while_others_go_on() {
    let home = home_with(|limits| limits.write_deadline = Duration::from_millis(300)).await;
    let mut stuck = home.client("stuck").await;
    stuck.subscribe(&[("#", 0)]).await;
    let mut good = home.client("good").await;
    good.subscribe(&[("#", 0)]).await;
    let payload = Bytes::from(vec![7; 32 * 1024]);
    soon(async {
        while home.broker.counters().refused(Refusal::SlowReader) == 0 {
            home.broker.publish("a", payload.clone(), 0, false);
            assert_eq!(good.message().await.payload.len(), payload.len());
        }
    })
    .await;
    home.until(|counters| counters.connections == 1).await;
    good.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_reader_misses_is_counted() {
    let home = home().await;
    let mut slow = home.client("slow").await;
    slow.subscribe(&[("a", 1)]).await;
    let sent = 2_000_u64;
    for i in 0..sent {
        home.broker.publish("a", Bytes::from(format!("{i:0>1000}")), 1, false);
    }
    home.broker.publish("a", Bytes::from_static(b"end"), 1, false);
    let mut got = 0;
    loop {
        let message = slow.message().await;
        slow.send(&ack(0x40, message.pkid)).await;
        if &message.payload[..] == b"end" {
            break;
        }
        got += 1;
    }
    let lost = home.broker.counters().messages_lost;
    assert!(lost > 0);
    assert_eq!(got + lost, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firehose_into_the_tap_loses_nothing() {
    let home = home().await;
    let mut sensor = home.client("sensor").await;
    let mut batch = Vec::new();
    for i in 0..20_000_u32 {
        batch.extend(publish("metrics/x", &i.to_be_bytes(), 0, 0, false));
    }
    sensor.send(&batch).await;
    let seen = home.tap.wait(20_000).await;
    assert!(seen.iter().enumerate().all(|(i, message)| message.payload[..] == (i as u32).to_be_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_subscribe_and_vanish_under_load_break_nothing() {
    let home = home().await;
    let mut noise = home.client("noise").await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (addr, id) = (home.addr, format!("c{n}"));
            tokio::spawn(async move {
                for i in 0..40 {
                    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                    stream.write_all(&connect(&id, i % 3 != 0, 0, None)).await.unwrap();
                    stream.write_all(&subscribe(1, &[("a/#", 1), ("a/b", 0), ("+/b", 1)])).await.unwrap();
                    if i % 2 == 0 {
                        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 500]).await.ok();
                    }
                }
            })
        })
        .collect();
    for _ in 0..400 {
        for _ in 0..20 {
            noise.send(&publish("a/b", &[1; 300], 0, 0, false)).await;
        }
        noise.ping().await;
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    let mut good = home.client("good").await;
    good.subscribe(&[("z", 0)]).await;
    noise.send(&publish("z", b"1", 0, 0, false)).await;
    assert_eq!(good.message().await.topic, "z");
}

#[tokio::test]
async fn filters_that_match_nothing_retained_hold_up_nobody() {
    let home = home().await;
    for i in 0..4000 {
        home.says(&format!("r/{i}/x"), "x", 0, true);
    }
    home.says("z", "x", 0, true);
    let filters: Vec<String> = (0..200).map(|i| format!("+/+/{i}")).collect();
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (&**filter, 0)).chain([("z", 0)]).collect();
    let (mut good, mut busy) = (home.client("good").await, home.client("busy").await);
    busy.subscribe(&filters).await;
    good.ping().await;
    assert_eq!(home.broker.counters().messages_out, 0, "all was looked through first");
    assert_eq!(busy.message().await.topic, "z");
}

/// Bytes as they come, and bytes that look like packets of a connected client.
fn hostile() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..64);
    let packet = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..32)).prop_map(|(b, body)| framed(b, &body));
    let filter = "[a+#/$é]{0,6}".prop_map(|filter| subscribe(1, &[(&filter, 1)]));
    let message =
        ("[aé/$]{0,6}", 0_u8..3, any::<bool>()).prop_map(|(t, qos, retain)| publish(&t, b"x", qos, 1, retain));
    let hello = "[a-c+#/$é]{0,4}".prop_map(|id| connect(&id, true, 0, None));
    proptest::collection::vec(prop_oneof![noise, packet, filter, message, hello], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_bring_the_broker_down(sessions in proptest::collection::vec((any::<bool>(), hostile()), 40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let home = home().await;
            let mut witness = home.client("witness").await;
            witness.subscribe(&[("good", 1)]).await;
            for (polite, packets) in sessions {
                let mut client = home.raw().await;
                if polite {
                    client.send(&connect("a", true, 0, None)).await;
                }
                for packet in packets {
                    if client.stream.write_all(&packet).await.is_err() {
                        break;
                    }
                }
            }
            let mut good = home.client("good").await;
            good.send(&publish("good", b"1", 1, 1, false)).await;
            assert_eq!(good.packet().await.unwrap().0, 0x40);
            assert_eq!(witness.message().await.topic, "good");
            soon(home.broker.shutdown()).await;
        });
    }
}
