//! Topics without end: retained ones, others, and names of metrics.

use super::arena::{Arena, size};
use super::memory::Bound;
use super::mqtt::{self, Client};

/// Messages sent before their acknowledgements are read.
const BATCH: usize = 500;

/// Publishes to as many topics at QoS 1; every message is acknowledged, kept or not.
fn publish(arena: &Arena, count: usize, retain: u8, topic: impl Fn(usize) -> String) {
    let mut client = Client::connect(arena.broker(), "topics").expect("let in");
    let all: Vec<usize> = (0..count).collect();
    for batch in all.chunks(BATCH) {
        let pkid = |n: &usize| u16::try_from(n % BATCH + 1).expect("small");
        let bytes: Vec<u8> = batch.iter().flat_map(|n| mqtt::publish(2 | retain, pkid(n), &topic(*n), b"1")).collect();
        client.send(&bytes).expect("taken");
        batch.iter().for_each(|_| drop(client.read_until(mqtt::PUBACK).expect("acknowledged")));
    }
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
