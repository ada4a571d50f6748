//! What took down the listener of rumqttd, whose router the broker once had inside: a client id that it could not take,
//! the limit of connections, a client of MQTT 5. After each of them nobody could connect any more.

use super::arena::{Arena, comes_true, newcomer, size};
use super::device::deadline;
use super::memory::Bound;
use super::mqtt::{Client, Connect, connect};

const ROUNDS: usize = 20;

#[test]
fn a_client_id_that_is_refused_may_come_again_and_again_and_locks_nobody_out() {
    let arena = Arena::open("bad client ids");
    let mut sent = 0;
    // The first are the 20 bytes of the original; the others are never valid.
    for id in [&b"a+bcef"[..], b"a+b", b"#", b"a\nb", b"a\0b", b"$SYS", &[b'x'; 5_000], b"\xff\xfe"] {
        let bytes = Connect { id, ..Connect::as_client("") }.bytes();
        for _ in 0..ROUNDS {
            let mut first = Client::open(arena.broker()).expect("connected");
            let mut second = Client::open(arena.broker()).expect("connected");
            first.send(&bytes).expect("sent");
            second.send(&bytes).expect("sent");
            // A CONNACK of any kind, or the end.
            let _ = (first.read(), second.read());
            sent += 2;
        }
        newcomer(arena.agent(), deadline());
    }
    let empty = Connect { clean: false, ..Connect::as_client("") }.bytes();
    let refusal = Client::greet(arena.broker(), &empty).err().expect("refused").to_string();
    assert!(refusal.contains("[0, 2]"), "an empty id with a session to keep is 'identifier rejected': {refusal}");
    arena.close(Bound::CONNECTIONS, &["client_id"], &format!("{sent} CONNECTs of 8 ids"));
}

#[test]
fn clients_that_are_refused_at_the_limit_and_retry_with_the_same_id_lock_nobody_out() {
    let arena = Arena::open("limit reached, same id retries");
    let mut held = Vec::new();
    let full = (0..10_000).any(|n| match Client::connect(arena.broker(), &format!("holder-{n}")) {
        Ok(client) => {
            held.push(client);
            false
        }
        Err(_) => true,
    });
    assert!(full, "there is a limit of connections");
    let tries = size(300, 3_000);
    for _ in 0..tries {
        assert!(Client::connect(arena.broker(), "again").is_err(), "full is full");
    }
    let held_open = held.len();
    drop(held);
    let mut client = None;
    let back = comes_true(deadline(), || {
        client = Client::connect(arena.broker(), "again").ok();
        client.is_some()
    });
    assert!(back, "the refused client gets in once there is room");
    drop(client);
    let note = format!("{held_open} held, {tries} refused tries");
    arena.close(Bound::CONNECTIONS, &["connections"], &note);
}

#[test]
fn a_client_of_mqtt_5_that_answers_before_it_asks_and_comes_back_locks_nobody_out() {
    let arena = Arena::open("MQTT 5 and a CONNACK from a client");
    let mut v5 = connect("five");
    v5[8] = 5;
    v5.insert(12, 0);
    v5[1] += 1;
    for _ in 0..ROUNDS {
        for bytes in [&[0x20, 2, 0, 0][..], &v5, &[&v5[..], &[0x20, 2, 0, 0]].concat()] {
            let mut client = Client::open(arena.broker()).expect("connected");
            client.send(bytes).expect("sent");
            let _ = client.read();
        }
        newcomer(arena.agent(), deadline());
    }
    // Also from a client that was let in.
    for _ in 0..ROUNDS {
        let mut client = Client::connect(arena.broker(), "five").expect("let in");
        client.send(&[0x20, 2, 0, 0]).expect("sent");
        assert!(client.ends(), "it is closed");
    }
    arena.close(Bound::CONNECTIONS, &["protocol", "version"], &format!("{} connections", ROUNDS * 4));
}
