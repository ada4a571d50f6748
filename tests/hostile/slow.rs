//! Clients that read, write or acknowledge too slowly, or not at all.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::arena::{Arena, comes_true, messages, size};
use super::device::deadline;
use super::memory::Bound;
use super::mqtt::{self, Client};

/// What a slow writer says it will send; it is below the limit of a packet.
const ANNOUNCED: usize = 250_000;
/// What the drippers send of it.
const DRIPPED: usize = 1_000;

/// Publishes 1 KiB at a time, as fast as the broker takes it, until told to stop; how many.
fn flood(broker: &str, n: usize, qos: u8, stop: &AtomicBool) -> u64 {
    let mut client = Client::connect(broker, &format!("flood-{n}")).expect("let in");
    let mut sent = 0;
    while !stop.load(Relaxed) {
        let batch: Vec<u8> =
            (1..=32).flat_map(|pkid| mqtt::publish(qos << 1, pkid, "flood/x", &[b'.'; 1024])).collect();
        if !client.push(&batch, stop).unwrap_or(false) {
            break;
        }
        sent += 32;
        if qos > 0 && (0..32).any(|_| client.read_until(mqtt::PUBACK).is_err()) {
            break;
        }
    }
    sent
}

fn readers(arena: &Arena, name: &str, count: usize, qos: u8) -> Vec<Client> {
    let connect = |n| {
        let mut client = Client::connect(arena.broker(), &format!("{name}-{n}")).expect("let in");
        assert_eq!(client.subscribe(&["flood/#"], qos).expect("subscribed"), [qos]);
        client
    };
    (0..count).map(connect).collect()
}

#[test]
fn subscribers_that_read_nothing_are_dropped_and_slow_down_nobody() {
    let arena = Arena::open("readers of nothing of a flood");
    let silent = readers(&arena, "silent", size(50, 200), 0);
    let stop = AtomicBool::new(false);
    let (sent, dropped) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..2)
            .map(|n| {
                scope.spawn({
                    let (arena, stop) = (&arena, &stop);
                    move || flood(arena.broker(), n, 0, stop)
                })
            })
            .collect();
        let dropped = comes_true(deadline(), || arena.refused("slow_reader") >= silent.len() as f64);
        stop.store(true, Relaxed);
        (floods.into_iter().map(|flood| flood.join().expect("no panic")).sum::<u64>(), dropped)
    });
    let note = format!("{} subscribers, {sent} messages of 1 KiB", silent.len());
    let of_them = arena.refused("slow_reader");
    arena.close(Bound::OUTPUT, &["slow_reader"], &note);
    assert!(dropped, "{of_them} of {} were dropped", silent.len());
}

#[test]
fn subscribers_that_read_a_byte_per_second_slow_down_nobody() {
    let arena = Arena::open("readers of a byte per second of a flood");
    let mut slow = readers(&arena, "slow", size(50, 200), 0);
    let (done, tick) = channel::<()>();
    let sent = std::thread::scope(|scope| {
        let slow = &mut slow;
        scope.spawn(move || {
            while tick.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                for client in slow.iter_mut() {
                    let _ = client.stream.set_nonblocking(true);
                    let _ = client.stream.read(&mut [0]);
                }
            }
        });
        let sent = arena.attackers(2, |n, stop| flood(arena.broker(), n, 0, stop));
        drop(done);
        sent
    });
    let note = format!("{} subscribers, {sent} messages of 1 KiB", slow.len());
    drop(slow);
    arena.close(Bound::OUTPUT, &[], &note);
}

#[test]
fn large_packets_that_come_byte_by_byte_slow_down_nobody() {
    let arena = Arena::open("250 kB announced, dripped byte by byte");
    let mut writers = slow_writers(&arena, 1);
    let packet = mqtt::publish(0, 0, "drip/x", &vec![b'.'; ANNOUNCED]);
    for byte in packet.iter().take(DRIPPED) {
        for writer in &mut writers {
            // One that the broker has closed is no longer an attack; the next test looks at that.
            let _ = writer.send(&[*byte]);
        }
    }
    arena.good().gets(messages());
    let note = format!("{} writers, {DRIPPED} bytes of {} each", writers.len(), packet.len());
    drop(writers);
    arena.close(Bound::CONNECTIONS, &[], &note);
}

#[test]
fn large_packets_that_never_end_take_bounded_memory() {
    let arena = Arena::open("250 kB announced, all but the last byte sent");
    let mut writers = slow_writers(&arena, 0);
    let packet = mqtt::publish(0, 0, "drip/x", &vec![b'.'; ANNOUNCED]);
    for writer in &mut writers {
        let _ = writer.send(&packet[..packet.len() - 1]);
    }
    arena.good().gets(messages());
    let note = format!("{} writers", writers.len());
    drop(writers);
    arena.close(Bound::INPUT, &[], &note);
}

/// As many as get in, up to 240.
fn slow_writers(arena: &Arena, at_least: usize) -> Vec<Client> {
    let writers: Vec<_> = (0..240).map_while(|n| Client::connect(arena.broker(), &format!("drip-{n}")).ok()).collect();
    assert!(writers.len() > at_least, "{} got in", writers.len());
    writers
}

#[test]
fn a_packet_that_does_not_end_in_time_ends_its_connection() {
    let arena = Arena::open("one packet that does not end, a byte per second");
    let mut client = Client::connect(arena.broker(), "never-ends").expect("let in");
    let packet = mqtt::publish(0, 0, "drip/x", &vec![b'.'; ANNOUNCED]);
    client.send(&packet[..100]).expect("sent");
    let mut rest = packet[100..].iter();
    let (_open, tick) = channel::<()>();
    let closed = comes_true(deadline(), || {
        // A byte now and then keeps any deadline of silence away.
        let _ = tick.recv_timeout(Duration::from_secs(1));
        rest.next().is_none_or(|byte| client.send(&[*byte]).is_err()) || client.is_closed()
    });
    let note = if closed { "closed by the broker" } else { "left open by the broker" };
    arena.close(Bound::CONNECTIONS, &[], note);
    assert!(closed, "still open after {:?}", deadline());
}

#[test]
fn subscribers_that_never_acknowledge_slow_down_nobody() {
    let arena = Arena::open("QoS 1 subscribers that never acknowledge");
    let mut never = readers(&arena, "never", size(50, 200), 1);
    let sent = arena.attackers(3, |n, stop| match n {
        // They read, all of them: only the acknowledgement is missing.
        2 => {
            let mut reader_of: Vec<_> = never.iter().map(|client| client.stream.try_clone().expect("cloned")).collect();
            let mut buffer = vec![0; 65_536];
            reader_of.iter().for_each(|stream| drop(stream.set_nonblocking(true)));
            while !stop.load(Relaxed) {
                reader_of.iter_mut().for_each(|stream| drop(stream.read(&mut buffer)));
            }
            0
        }
        _ => flood(arena.broker(), n, 1, stop),
    });
    let gone = comes_true(deadline(), || never.iter_mut().all(Client::is_closed));
    let note = format!("{} subscribers, {sent} messages of 1 KiB", never.len());
    drop(never);
    arena.close(Bound::OUTPUT, &[], &note);
    assert!(gone, "who does not acknowledge for {:?} is let go", deadline());
}
