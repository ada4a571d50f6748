//! Client ids without end, and one that two clients fight for.

use super::arena::{Arena, size};
use super::memory::{Bound, MIB};
use super::mqtt::{self, Client, Connect};

/// The sessions of clients that are away (32), each with the filter and what comes for it meanwhile: 128 KiB.
const PARKED: Bound =
    Bound { peak: Bound::CONNECTIONS.peak + 32 * MIB / 8, after: Bound::CONNECTIONS.after + 32 * MIB / 8 };

fn come_and_go(arena: &Arena, clean: bool, count: usize) {
    for n in 0..count {
        let id = format!("id-{n}");
        let connect = Connect { clean, ..Connect::as_client(&id) }.bytes();
        let mut client = Client::greet(arena.broker(), &connect).expect("let in");
        client.send(&mqtt::subscribe(1, &["ids/#"], 1)).expect("sent");
        let (_, body) = client.read().expect("answered");
        assert_eq!(body[2..], [1], "the filter is one that all of them have");
        client.send(&mqtt::publish(0, 0, "ids/x", &[b'.'; 512])).expect("sent");
        if n % 2 == 0 {
            client.send(mqtt::DISCONNECT).expect("sent");
        }
    }
}

#[test]
fn ten_thousand_client_ids_leave_nothing_behind() {
    let arena = Arena::open("client ids, clean");
    let count = size(10_000, 30_000);
    come_and_go(&arena, true, count);
    arena.close(Bound::CONNECTIONS, &[], &format!("{count}"));
}

#[test]
fn ten_thousand_sessions_that_are_to_be_kept_stay_within_the_limit() {
    let arena = Arena::open("client ids, persistent");
    let count = size(10_000, 30_000);
    come_and_go(&arena, false, count);
    arena.close(PARKED, &["parked_sessions"], &format!("{count}"));
}

#[test]
fn two_clients_that_fight_for_one_id_hurt_only_each_other() {
    let arena = Arena::open("two clients, one id");
    let won = arena.attackers(2, |_, stop| {
        let mut won = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            // It may be gone again before it is told that it is in.
            won += u64::from(Client::connect(arena.broker(), "mine").is_ok());
        }
        won
    });
    assert!(won > 0, "somebody wins");
    arena.close(Bound::CONNECTIONS, &[], &format!("{won} take-overs"));
}
