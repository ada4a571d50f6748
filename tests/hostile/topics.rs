//! Topics without end: retained ones, others, and names of metrics.

use super::arena::{Arena, size};
use super::memory::Bound;
use super::mqtt::{self, Client};

/// Messages sent before their acknowledgements are read.
const BATCH: usize = 500;
const CLIENTS: usize = 8;

/// Publishes to as many topics at QoS 1, from some clients at once; every message is acknowledged, kept or not.
fn publish(arena: &Arena, count: usize, retain: u8, topic: impl Fn(usize) -> String + Sync) {
    let from = |of: usize| {
        let mut client = Client::connect(arena.broker(), &format!("topics-{of}")).expect("let in");
        let all: Vec<usize> = (of..count).step_by(CLIENTS).collect();
        for batch in all.chunks(BATCH) {
            let packet = |(n, pkid): (&usize, u16)| mqtt::publish(2 | retain, pkid, &topic(*n), b"1");
            let bytes: Vec<u8> = batch.iter().zip(1..).flat_map(packet).collect();
            client.send(&bytes).expect("taken");
            batch.iter().for_each(|_| drop(client.read_until(mqtt::PUBACK).expect("acknowledged")));
        }
    };
    let from = &from;
    std::thread::scope(|scope| (0..CLIENTS).for_each(|of| drop(scope.spawn(move || from(of)))));
}

#[test]
fn a_hundred_thousand_retained_topics_stay_within_the_store() {
    let arena = Arena::open("retained topics");
    let count = size(100_000, 1_000_000);
    publish(&arena, count, 1, |n| format!("topics/{}/{n}", n % 100));
    arena.close(Bound::RETAINED, &["retained"], &format!("{count}"));
}

#[test]
fn a_hundred_thousand_topics_leave_nothing_behind() {
    let arena = Arena::open("topics, not retained");
    let count = size(100_000, 1_000_000);
    publish(&arena, count, 0, |n| format!("topics/{}/{n}", n % 100));
    arena.close(Bound::CONNECTIONS, &[], &format!("{count}"));
}

#[test]
fn names_of_metrics_without_end_stay_within_the_table() {
    let arena = Arena::open("names of metrics");
    let count = size(20_000, 200_000);
    publish(&arena, count, 0, |n| format!("flotta/metrics/m{n}"));
    let (_, text) = arena.agent().request("GET", "/metrics", &[], b"");
    let refused =
        text.lines().filter(|line| line.starts_with("flotta_refused_total{")).any(|line| !line.ends_with(" 0.0"));
    assert!(refused, "names beyond the table's limit are counted");
    arena.close(Bound::METRICS, &[], &format!("{count}"));
}
