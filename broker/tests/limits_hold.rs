//! Each limit holds, is counted, and hurts the one who meets it only.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::time::Duration;

use common::*;
use tokio::time::Instant;

#[tokio::test]
async fn a_client_gets_in_past_a_crowd_that_says_nothing() {
    let home = home_with(|limits| limits.connections = 4).await;
    let mut here = home.client("here").await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(home.raw().await);
    }
    let mut new = home.client("new").await;
    here.ping().await;
    new.ping().await;
    assert!(silent[0].is_closed().await, "the oldest made room");
    home.until(|counters| counters.refused(Refusal::Connections) >= 48).await;
}

#[tokio::test]
async fn beyond_the_limit_of_clients_a_connection_is_closed_and_counted() {
    let home = home_with(|limits| limits.connections = 2).await;
    let (mut one, mut two) = (home.client("one").await, home.client("two").await);
    for _ in 0..10 {
        assert!(home.raw().await.is_closed().await);
    }
    assert_eq!(home.broker.counters().refused(Refusal::Connections), 10);
    one.ping().await;
    two.ping().await;
    home.lose(two).await;
    home.until(|counters| counters.connections == 1).await;
    home.client("three").await.ping().await;
}

/// The first `part` bytes of a PUBLISH with a payload of 100 000.
fn part_of_a_large_packet(part: usize) -> Vec<u8> {
    let mut packet = publish("large", &[0; 100_000], 0, 0, false);
    packet.truncate(part);
    packet
}

#[tokio::test]
async fn who_dawdles_over_a_large_packet_makes_room_for_others() {
    let home = home_with(|limits| limits.large_packets = 2).await;
    let mut dawdlers = Vec::new();
    for i in 0..3 {
        let mut client = home.client(&format!("dawdler-{i}")).await;
        client.send(&part_of_a_large_packet(40_000)).await;
        home.until(|counters| counters.bytes_in >= 40_000 * (i + 1)).await;
        dawdlers.push(client);
    }
    assert!(dawdlers[0].is_closed().await);
    let mut good = home.client("good").await;
    good.subscribe(&[("large", 0)]).await;
    good.send(&part_of_a_large_packet(usize::MAX)).await;
    assert_eq!(good.message().await.payload.len(), 100_000);
    assert!(home.broker.counters().refused(Refusal::SlowWriter) >= 1);
}

#[tokio::test]
async fn a_packet_has_to_end_some_time_and_then_the_next_has_its_own_time() {
    let home = home_with(|limits| limits.packet_deadline = Duration::from_millis(300)).await;
    let mut slow = home.client("slow").await;
    let whole = publish("a", b"12345", 1, 7, false);
    let began = Instant::now();
    // Longer than the deadline all told, but each packet is in time.
    while began.elapsed() < Duration::from_millis(600) {
        for byte in &whole {
            slow.send(&[*byte]).await;
        }
        slow.acknowledged(0x40, 7).await;
    }
    slow.send(&whole[..5]).await;
    assert!(slow.is_closed().await);
    assert_eq!(home.broker.counters().refused(Refusal::SlowWriter), 1);
}

#[tokio::test]
async fn who_acknowledges_nothing_is_dropped_and_who_does_so_late_is_not() {
    let home = home_with(|limits| {
        limits.inflight_qos1 = 2;
        limits.ack_deadline = Duration::from_millis(400);
        limits.packet_deadline = Duration::from_millis(100);
    })
    .await;
    let (mut never, mut late) = (home.client("never").await, home.client("late").await);
    never.subscribe(&[("a", 1)]).await;
    late.subscribe(&[("a", 1)]).await;
    for _ in 0..6 {
        home.says("a", "x", 1, false);
    }
    for _ in 0..6 {
        let pkid = late.message().await.pkid;
        // A quarter of the deadline: that of a packet that does not end.
        let mut clock = home.client("clock").await;
        clock.send(&publish("a", b"12345", 1, 7, false)[..5]).await;
        assert!(clock.is_closed().await);
        late.send(&ack(0x40, pkid)).await;
    }
    assert_eq!(never.rest().await.len() / 8, 2, "two in flight, then the end");
    assert_eq!(home.broker.counters().refused(Refusal::Unacknowledged), 1);
    late.ping().await;
}

#[tokio::test]
async fn nobody_is_dropped_for_messages_that_wait_for_nothing() {
    let home = home_with(|limits| {
        limits.inflight_qos1 = 2;
        limits.ack_deadline = Duration::from_millis(50);
    })
    .await;
    let mut client = home.client("c").await;
    client.subscribe(&[("a", 1)]).await;
    for _ in 0..2 {
        home.says("a", "x", 1, false);
        client.message().await;
    }
    // One that came later, and for whom something waits, is dropped: then the deadline has passed for both.
    let mut never = home.client("never").await;
    never.subscribe(&[("b", 1)]).await;
    for _ in 0..3 {
        home.says("b", "x", 1, false);
    }
    never.rest().await;
    assert_eq!(home.broker.counters().refused(Refusal::Unacknowledged), 1);
    client.ping().await;
}

#[tokio::test]
async fn a_client_that_says_too_much_waits_and_others_do_not() {
    let home = home_with(|limits| limits.messages_per_second = 100).await;
    let (mut loud, mut quiet) = (home.client("loud").await, home.client("quiet").await);
    let began = Instant::now();
    for pkid in 1..=150 {
        loud.send(&publish("metrics/loud", b"1", 1, pkid, false)).await;
    }
    quiet.send(&publish("metrics/quiet", b"1", 1, 1, false)).await;
    quiet.acknowledged(0x40, 1).await;
    let soon = began.elapsed();
    for pkid in 1..=150 {
        loud.acknowledged(0x40, pkid).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    assert!(soon < began.elapsed(), "{soon:?}");
    assert_eq!(home.tap.wait(151).await.len(), 151, "nothing is lost");
}

#[tokio::test]
async fn a_reader_that_reads_loses_nothing_of_a_flood() {
    let home = home_with(|limits| limits.queue_bytes = 64 * 1024).await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("flood", 1)]).await;
    let mut writer = home.client("writer").await;
    const COUNT: u32 = 20_000;
    let flood = tokio::spawn(async move {
        for chunk in 0..COUNT / 100 {
            let packets = (0..100).flat_map(|i| publish("flood", &(chunk * 100 + i).to_be_bytes(), 1, 1, false));
            writer.send(&packets.collect::<Vec<u8>>()).await;
            for _ in 0..100 {
                writer.acknowledged(0x40, 1).await;
            }
        }
        writer
    });
    for i in 0..COUNT {
        assert_eq!(reader.take().await.payload[..], i.to_be_bytes());
    }
    soon(flood).await.unwrap();
    assert_eq!(home.broker.counters().messages_lost, 0);
}

#[tokio::test]
async fn a_reader_that_stands_still_keeps_the_newest_and_nobody_waits_for_it() {
    let home = home_with(|limits| {
        limits.queue_bytes = 32 * 1024;
        limits.inflight_qos1 = 4;
    })
    .await;
    let mut still = home.client("still").await;
    still.subscribe(&[("flood", 1)]).await;
    let mut writer = home.client("writer").await;
    for i in 0..5000_u16 {
        writer.send(&publish("flood", &i.to_be_bytes(), 1, 1, false)).await;
        writer.acknowledged(0x40, 1).await;
    }
    let lost = home.broker.counters().messages_lost;
    assert!(lost > 4000, "{lost}");
    let mut got = Vec::new();
    while got.last() != Some(&4999) {
        let message = still.take().await;
        got.push(u16::from_be_bytes([message.payload[0], message.payload[1]]));
    }
    assert_eq!(got.len() as u64 + lost, 5000, "what was lost is counted");
    assert!(got.is_sorted());
}

#[tokio::test]
async fn clients_that_come_by_once_do_not_push_out_the_session_of_one_that_stays() {
    let home = home_with(|limits| limits.parked_sessions = 3).await;
    let (mut good, _) = home.kept("good").await;
    good.subscribe(&[("a", 1)]).await;
    let mut good = Some(good);
    for i in 0..60 {
        let (mut client, _) = home.kept(&format!("crowd-{i}")).await;
        client.subscribe(&[("a", 1)]).await;
        home.lose(client).await;
        if i == 29 {
            // It stayed for longer than any of the crowd.
            home.lose(good.take().unwrap()).await;
        }
    }
    home.until(|counters| counters.refused(Refusal::ParkedSessions) == 58 && counters.sessions_parked == 3).await;
    home.says("a", "kept", 1, false);
    let (mut good, present) = home.kept("good").await;
    assert!(present);
    assert_eq!(&good.message().await.payload[..], b"kept");
}

#[tokio::test]
async fn filters_have_a_limit_for_one_client() {
    let home = home_with(|limits| limits.filters_per_client = 3).await;
    let mut client = home.client("one").await;
    assert_eq!(client.subscribe(&[("a", 0), ("b", 0), ("c", 0), ("d", 0), ("a", 1)]).await, [0, 0, 0, 0x80, 1]);
    client.unsubscribe(&["c"]).await;
    assert_eq!(client.subscribe(&[("d", 0)]).await, [0]);
    assert_eq!(home.broker.counters().refused(Refusal::SubscribeLimit), 1);
    assert_eq!(home.broker.counters().subscriptions, 3);
}

#[tokio::test]
async fn who_takes_all_room_for_filters_leaves_a_few_for_everybody() {
    let home = home_with(|limits| limits.filters_bytes = 10_000).await;
    let (mut greedy, mut other) = (home.client("greedy").await, home.client("other").await);
    let filters: Vec<String> = (0..100).map(|i| format!("greedy/{i}/#")).collect();
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (&**filter, 0)).collect();
    let codes = greedy.subscribe(&filters).await;
    assert!(codes.contains(&0x80) && codes.starts_with(&[0; 8]), "{codes:?}");
    assert_eq!(other.subscribe(&[("a", 1), ("b", 0), ("c/+", 1)]).await, [1, 0, 1]);
    let all: Vec<&str> = filters.iter().map(|(filter, _)| *filter).collect();
    greedy.unsubscribe(&all).await;
    assert_eq!(home.broker.counters().subscriptions, 3);
    assert!(other.subscribe(&filters[..12]).await.iter().all(|code| *code == 0), "the room came back");
}

#[tokio::test]
async fn messages_in_flight_are_bounded_by_their_bytes_too() {
    let home = home_with(|limits| limits.inflight_bytes = 100_000).await;
    let mut client = home.client("one").await;
    client.subscribe(&[("a", 1)]).await;
    let payload = "x".repeat(60_000);
    for _ in 0..5 {
        home.broker.publish("a", &payload, 1, false);
    }
    let (first, second) = (client.message().await, client.message().await);
    client.ping().await;
    client.send(&ack(PUBACK, first.pkid)).await;
    let third = client.message().await;
    client.ping().await;
    client.send(&[ack(PUBACK, second.pkid), ack(PUBACK, third.pkid)].concat()).await;
    client.take().await;
    client.take().await;
}

#[tokio::test]
async fn retained_messages_keep_to_the_limit_of_those_in_flight() {
    let home = home_with(|limits| limits.inflight_qos1 = 3).await;
    for i in 0..20 {
        home.says(&format!("r/{i}"), "x", 1, true);
    }
    let mut client = home.client("one").await;
    client.subscribe(&[("r/#", 1)]).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(client.message().await);
    }
    client.ping().await;
    for message in taken {
        client.send(&ack(PUBACK, message.pkid)).await;
    }
    for _ in 3..20 {
        client.take().await;
    }
}

#[tokio::test]
async fn who_acknowledges_no_retained_message_is_dropped() {
    let home = home_with(|limits| {
        limits.inflight_qos1 = 3;
        limits.ack_deadline = Duration::from_millis(200);
    })
    .await;
    for i in 0..20 {
        home.says(&format!("r/{i}"), "x", 1, true);
    }
    let mut client = home.client("one").await;
    client.subscribe(&[("r/#", 1)]).await;
    for _ in 0..3 {
        client.message().await;
    }
    assert!(client.is_closed().await);
    home.until(|counters| counters.refused(Refusal::Unacknowledged) == 1).await;
}

#[tokio::test]
async fn who_dawdles_over_a_large_connect_makes_room_for_others() {
    let home = home_with(|limits| limits.large_packets = 2).await;
    let packet = connect_with(CLEAN | USER, &[b"x", &[b'u'; 60_000]]);
    let mut dawdlers = Vec::new();
    for _ in 0..3 {
        let mut client = home.raw().await;
        client.send(&packet[..40_000]).await;
        dawdlers.push(client);
    }
    home.until(|counters| counters.refused(Refusal::SlowWriter) == 1).await;
    home.client("good").await.ping().await;
}

#[tokio::test]
async fn who_waits_for_its_rate_is_not_dropped_for_acknowledgements_that_wait_with_it() {
    let home = home_with(|limits| {
        limits.messages_per_second = 10;
        limits.inflight_qos1 = 2;
        limits.ack_deadline = Duration::from_millis(500);
    })
    .await;
    let mut client = home.client("one").await;
    client.subscribe(&[("a", 1)]).await;
    for _ in 0..4 {
        home.says("a", "x", 1, false);
    }
    let (first, second) = (client.message().await, client.message().await);
    let mut said = publish("b", b"x", 0, 0, false).repeat(20);
    said.extend([ack(PUBACK, first.pkid), ack(PUBACK, second.pkid)].concat());
    client.send(&said).await;
    client.take().await;
    client.take().await;
}

#[tokio::test]
async fn a_deadline_of_any_length_is_taken() {
    let home = home_with(|limits| {
        (limits.packet_deadline, limits.write_deadline, limits.ack_deadline) =
            (Duration::MAX, Duration::MAX, Duration::MAX);
    })
    .await;
    let mut client = home.client("one").await;
    let packet = publish("a", b"x", 1, 1, false);
    client.send(&packet[..3]).await;
    home.until(|counters| counters.bytes_in >= 3).await;
    client.send(&packet[3..]).await;
    client.acknowledged(PUBACK, 1).await;
}
