//! As much as a socket takes, of one kind of packet.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::arena::{Arena, size};
use super::memory::{Bound, MIB};
use super::mqtt::{self, Client, PINGREQ};

const CLIENTS: usize = 8;
const BATCH: usize = 200;

/// Sends the same bytes again and again; after each, reads as many answers as said. Connects again when it is thrown out.
fn send_forever(broker: &str, id: &str, bytes: &[u8], answers: usize, stop: &AtomicBool) -> u64 {
    let mut batches = 0;
    while !stop.load(Relaxed) {
        let Ok(mut client) = Client::connect(broker, id) else { continue };
        while client.push(bytes, stop).unwrap_or(false) && (0..answers).all(|_| client.read().is_ok()) {
            batches += 1;
        }
    }
    batches
}

fn publish_flood(attack: &'static str, qos: u8) {
    let arena = Arena::open(attack);
    let batch: Vec<u8> =
        (1..=BATCH).flat_map(|pkid| mqtt::publish(qos << 1, pkid as u16, "flotta/metrics/x", b"20.5")).collect();
    let answers = if qos > 0 { BATCH } else { 0 };
    let batches =
        arena.attackers(CLIENTS, |n, stop| send_forever(arena.broker(), &format!("flood-{n}"), &batch, answers, stop));
    assert!(batches > 0, "it is a flood");
    arena.close(Bound::CONNECTIONS, &[], &format!("{CLIENTS} clients, {} messages", batches * BATCH as u64));
}

#[test]
fn a_flood_of_metrics_at_qos_0_disturbs_nobody() {
    publish_flood("publishes to flotta/metrics/x, QoS 0", 0);
}

#[test]
fn a_flood_of_metrics_at_qos_1_disturbs_nobody() {
    publish_flood("publishes to flotta/metrics/x, QoS 1", 1);
}

#[test]
fn a_flood_of_large_messages_disturbs_nobody() {
    let arena = Arena::open("publishes of 200 kB, with a subscriber each");
    let packet = mqtt::publish(2, 1, "flood/large", &vec![b'.'; 200_000]);
    let sent = arena.attackers(CLIENTS, |n, stop| {
        let Ok(mut client) = Client::connect(arena.broker(), &format!("large-{n}")) else { return 0 };
        let _ = client.subscribe(&["flood/#"], 0);
        let mut sent = 0;
        // It reads what it has to, up to its own acknowledgement.
        while client.push(&packet, stop).unwrap_or(false) && client.read_until(mqtt::PUBACK).is_ok() {
            sent += 1;
        }
        sent
    });
    arena.close(Bound::OUTPUT, &[], &format!("{CLIENTS} clients, {sent} messages"));
}

#[test]
fn floods_of_pings_disturb_nobody() {
    let arena = Arena::open("PINGREQ");
    let pings = PINGREQ.repeat(BATCH);
    let batches = arena.attackers(CLIENTS, |n, stop| {
        // Every other one does not read the answers.
        let answers = if n % 2 == 0 { BATCH } else { 0 };
        send_forever(arena.broker(), &format!("ping-{n}"), &pings, answers, stop)
    });
    arena.close(Bound::CONNECTIONS, &[], &format!("{CLIENTS} clients, {} pings", batches * BATCH as u64));
}

#[test]
fn qos_2_messages_that_are_never_released_stay_within_the_limit() {
    /// 200 messages of 4 KiB from each of 100 clients, were they all kept.
    const BOUND: Bound = Bound { peak: Bound::CONNECTIONS.peak + 16 * MIB, after: Bound::CONNECTIONS.after };
    let arena = Arena::open("QoS 2 without PUBREL");
    let clients = size(100, 1_000);
    let many: Vec<u8> = (1..=200).flat_map(|pkid| mqtt::publish(4, pkid, "qos2/x", &[b'.'; 4096])).collect();
    for round in 0..clients / 100 {
        let mut held = Vec::new();
        for n in 0..100 {
            let mut client = Client::connect(arena.broker(), &format!("qos2-{round}-{n}")).expect("let in");
            let _ = client.send(&many);
            held.push(client);
        }
        for client in &mut held {
            // Up to the end: as many PUBRECs as the limit has, at most.
            let mut received = 0;
            while client.read().is_ok_and(|(byte1, _)| byte1 == 0x50) {
                received += 1;
            }
            assert!(received < 200, "the broker keeps {received} unreleased messages of one client");
        }
    }
    arena.close(BOUND, &["inflight_qos2"], &format!("{clients} clients, 200 messages each"));
}
