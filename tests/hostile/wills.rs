//! Wills: what a client leaves behind when it drops.

use super::arena::{Arena, retained, size};
use super::memory::{Bound, MIB};
use super::mqtt::{Client, Connect, Will};

/// One below the most that a string of MQTT can have.
const LARGE: usize = 65_534;
const AT_ONCE: usize = 100;

/// 100 clients at once, each with a will of 64 KiB, and the retained store full of them.
const BOUND: Bound = Bound { peak: Bound::RETAINED.peak + 100 * 2 * MIB / 8, after: Bound::RETAINED.after };

#[test]
fn floods_of_large_wills_stay_within_the_limits_and_nobody_speaks_for_the_agent() {
    let arena = Arena::open("wills of 64 KiB, of clients that drop");
    let rounds = size(10, 100);
    let large = vec![b'w'; LARGE];
    let topics = [
        "flotta/devices/toto/status",
        "flotta/devices/toto/workloads/default/w/status",
        "flotta/devices/toto/profiles/p",
        "$SYS/broker/version",
        "flotta/metrics/x",
    ];
    for round in 0..rounds {
        let mut held = Vec::with_capacity(AT_ONCE);
        for n in 0..AT_ONCE {
            let own = format!("wills/{round}/{n}");
            let topic = topics.get(n % 10).copied().unwrap_or(&own);
            let payload = if n % 4 == 0 { &b"lies"[..] } else { &large };
            let will = Will { topic, payload, qos: (n % 3) as u8, retain: n % 7 > 0 };
            let id = format!("will-{n}");
            let bytes = Connect { will: Some(will), ..Connect::as_client(&id) }.bytes();
            held.push(Client::greet(arena.broker(), &bytes).expect("let in"));
        }
        // Half of them take themselves over: as good a way to drop as any.
        for n in (0..AT_ONCE).step_by(2) {
            held.push(Client::connect(arena.broker(), &format!("will-{n}")).expect("let in"));
        }
        drop(held);
    }
    for (topic, field, wanted) in [(topics[0], "device_id", "toto"), (topics[1], "name", "w"), (topics[2], "name", "p")]
    {
        let object = retained(arena.agent(), topic);
        assert_eq!(object[field], wanted, "{topic} is the agent's own");
    }
    let note = format!("{} clients, {AT_ONCE} at a time", rounds * AT_ONCE);
    arena.close(BOUND, &["publish_rights", "publish_topic", "retained"], &note);
}
