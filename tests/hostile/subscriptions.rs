//! Filters: many, deep, long; and subscribers to what is published into all of them.

use super::arena::{Arena, newcomer, size};
use super::device::deadline;
use super::memory::Bound;
use super::mqtt::{self, Client, SUBACK};

#[test]
fn floods_of_filters_deep_and_long_ones_stay_within_the_limits() {
    let arena = Arena::open("filters: many, deep, long");
    let clients = size(20, 100);
    let mut held = Vec::new();
    let mut asked = 0;
    for n in 0..clients {
        let mut client = Client::connect(arena.broker(), &format!("filters-{n}")).expect("let in");
        // All combinations of `+` and `a` in the first levels, so that a topic of `a`s meets as many ways as there can be.
        let deep = |bits: usize, depth: usize| {
            (0..depth)
                .map(|level| if (bits >> (level % 16)) & 1 == 0 { "+" } else { "a" })
                .collect::<Vec<_>>()
                .join("/")
        };
        let mut filters: Vec<String> = (0..100).map(|i| deep(n * 100 + i, 32)).collect();
        filters.extend((0..100).map(|i| format!("many/{n}/{i}")));
        filters.extend([deep(0, 1_000), "a/".repeat(5_000), "x".repeat(60_000), format!("{}/#", "y".repeat(1_000))]);
        asked += filters.len();
        let codes = client.subscribe(&filters, 1).expect("each is answered, welcome or not");
        assert_eq!(codes.len(), filters.len());
        // As many as a packet holds, in one.
        let short: Vec<&str> = std::iter::repeat_n("b", 60_000).collect();
        asked += short.len();
        // Answered, or thrown out.
        let _ = client.send(&mqtt::subscribe(2, &short, 0)).and_then(|()| client.read_until(SUBACK));
        held.push(client);
    }
    let topic = vec!["a"; 32].join("/");
    let mut client = Client::connect(arena.broker(), "publisher").expect("let in");
    for n in 0..size(500, 2_000) {
        client.send(&mqtt::publish(2, 1, &topic, n.to_string().as_bytes())).expect("sent");
        client.read_until(mqtt::PUBACK).expect("acknowledged");
    }
    drop(held);
    let note = format!("{clients} clients, {asked} filters asked for");
    arena.close(Bound::FILTERS, &["subscribe_limit", "subscribe_filter"], &note);
}

#[test]
fn a_newcomer_may_subscribe_while_others_hold_as_many_filters_as_they_get() {
    let arena = Arena::open("all filters taken");
    let mut held = Vec::new();
    let mut taken = 0;
    for n in 0..100 {
        let mut client = Client::connect(arena.broker(), &format!("greedy-{n}")).expect("let in");
        let filters: Vec<String> = (0..64).map(|i| format!("greedy/{n}/{i}")).collect();
        let codes = client.subscribe(&filters, 0).expect("answered");
        taken += codes.iter().filter(|code| **code == 0).count();
        held.push(client);
    }
    newcomer(arena.agent(), deadline());
    drop(held);
    arena.close(Bound::FILTERS, &[], &format!("100 clients, {taken} filters held"));
}
