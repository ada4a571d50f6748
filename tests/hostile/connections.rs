//! Thousands of connections: silent ones, ones that say CONNECT and stay, half-open ones.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::arena::{Arena, OnDrop, held_at_once, messages, newcomer, size};
use super::device::until_true;
use super::memory::Bound;
use super::mqtt::{Client, Connect, Will, connect};

const CONNECTIONS: usize = 5_000;
const OPENERS: usize = 32;
/// Half of what the broker gives a connection to say CONNECT (10 s): a newcomer must not have to wait for silent ones to
/// run into that.
const WAY_IN: Duration = Duration::from_secs(5);
/// A client that is refused tries again; it is not to have luck among hundreds.
const TRIES: usize = 10;

/// Opens as many as may be held, all at once; `first` says what each does then.
fn open(arena: &Arena, first: impl Fn(usize, &mut Client) + Sync) -> Vec<Client> {
    let count = held_at_once(CONNECTIONS);
    // Where the kernel's queue of the listener is full, it lets a connection wait for a second: not all may wait for it.
    std::thread::scope(|scope| {
        let first = &first;
        let some = |from: usize| {
            let open = move |n| {
                let mut client = Client::open(arena.broker()).expect("the kernel lets it in");
                first(n, &mut client);
                client
            };
            scope.spawn(move || (from..count).step_by(OPENERS).map(open).collect::<Vec<_>>())
        };
        let all: Vec<_> = (0..OPENERS).map(some).collect();
        all.into_iter().flat_map(|some| some.join().expect("no panic")).collect()
    })
}

#[test]
fn thousands_of_silent_connections_disturb_nobody() {
    let arena = Arena::open("silent connections");
    let held = open(&arena, |_, _| {});
    arena.good().gets(messages());
    let note = format!("{} at once", held.len());
    drop(held);
    arena.close(Bound::CONNECTIONS, &["connections"], &note);
}

#[test]
fn a_newcomer_gets_in_while_thousands_of_silent_connections_are_held_open() {
    let arena = Arena::open("silent connections, opened again when closed");
    let mut held = open(&arena, |_, _| {});
    let count = held.len();
    let again = AtomicU64::new(0);
    let chunk = count.div_ceil(OPENERS);
    let stop = AtomicBool::new(false);
    let tries = std::thread::scope(|scope| {
        let stop = &stop;
        let _stop = OnDrop(stop);
        while !held.is_empty() {
            let mut some: Vec<Client> = held.drain(..chunk.min(held.len())).collect();
            let (arena, again) = (&arena, &again);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    for client in &mut some {
                        if client.is_closed()
                            && !stop.load(Relaxed)
                            && let Ok(new) = Client::open(arena.broker())
                        {
                            again.fetch_add(1, Relaxed);
                            *client = new;
                        }
                    }
                }
            });
        }
        until_true("those that the broker closed come again", || again.load(Relaxed) > count as u64);
        let tries = (0..size(5, 20)).map(|_| newcomer(arena.agent(), WAY_IN)).max();
        arena.good().gets(messages());
        tries.unwrap_or(0)
    });
    let note =
        format!("{count} held, {} opened again; newcomers got in at try {tries} at the latest", again.into_inner());
    arena.close(Bound::CONNECTIONS, &["connections"], &note);
    assert!(tries <= TRIES, "a newcomer needed {tries} tries");
}

#[test]
fn thousands_of_connected_clients_disturb_nobody_who_is_there() {
    let arena = Arena::open("clients that connect and stay");
    let held = open(&arena, |n, client| {
        let _ = client.send(&connect(&format!("stays-{n}")));
    });
    arena.good().gets(messages());
    let note = format!("{} at once", held.len());
    drop(held);
    arena.close(Bound::CONNECTIONS, &["connections"], &note);
}

#[test]
fn thousands_of_half_open_connections_disturb_nobody() {
    let arena = Arena::open("half a CONNECT, half-closed");
    let held = open(&arena, |n, client| {
        let will = Will { topic: "half/will", payload: b"gone", qos: 1, retain: true };
        let id = format!("half-{n}");
        let bytes = Connect { will: Some(will), ..Connect::as_client(&id) }.bytes();
        let _ = match n % 3 {
            // Half a CONNECT and silence.
            0 => client.send(&bytes[..bytes.len() / 2]),
            // All of it, and no more to come.
            1 => client.send(&bytes).and_then(|()| client.stream.shutdown(Shutdown::Write)),
            _ => client.send(&bytes[..1]).and_then(|()| client.stream.shutdown(Shutdown::Write)),
        };
    });
    arena.good().gets(messages());
    let note = format!("{} at once", held.len());
    drop(held);
    arena.close(Bound::CONNECTIONS, &["connections"], &note);
}
