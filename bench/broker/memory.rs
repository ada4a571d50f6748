//! What a broker holds: idle, with many idle clients, after many messages, and when all have gone.

use std::thread;
use std::time::Duration;

use crate::Plan;
use crate::brokers::{Kind, Running};
use crate::check::PAYLOAD;
use crate::common::cost::rss_kb;
use crate::common::mqtt::Mqtt;
use crate::common::table::{Table, grouped, median};
use crate::flood::{Amount, Load, Readers};

/// Who, and with how many clients: the agent lets in 256 by default.
const KINDS: [(Kind, usize); 3] = [(Kind::Mosquitto, 1000), (Kind::Embedded, 1000), (Kind::Agent, 1000)];
const MESSAGES: u64 = 1_000_000;
/// Before each look.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(plan: &mut Plan) {
    // One process per figure, and seconds to settle: more rounds gain nothing.
    let rounds = plan.rounds.min(3);
    println!(
        "Memory: RSS of the broker's process (PSS depends on who else runs the same program), {SETTLE:?} after each step,"
    );
    println!(
        "  {rounds} rounds, a fresh process for idle and connected, for subscribed, and for messages. {} clients",
        KINDS[0].1
    );
    println!("  (the agent's mqtt.limits.connections raised for it), each on a connection of its own: connected");
    println!(
        "  only; and with a subscription of its own on which one message of 64 bytes came. Per client: the difference to"
    );
    println!(
        "  idle. Twice: when as many more came and went. {} messages: QoS 1, one publisher, one",
        grouped(MESSAGES)
    );
    println!("  subscriber, in step. The kernel's memory for sockets is in none of it.");
    let heads = [
        "idle",
        "per client, connected",
        "all gone",
        "per client, subscribed",
        "all gone",
        "twice",
        "after messages",
        "all gone",
    ];
    let widths = [("broker", 22)].into_iter().chain(heads.map(|head| (head, 9)));
    let table = Table::new(&widths.collect::<Vec<_>>());
    let mut all: Vec<Vec<Held>> = KINDS.map(|_| Vec::new()).into();
    for _ in 0..rounds {
        for (place, (kind, clients)) in KINDS.into_iter().enumerate() {
            let held = measure(plan, kind, clients);
            all[place].push(held);
        }
    }
    for ((kind, _), rounds) in KINDS.iter().zip(&all) {
        let of = |figure: fn(&Held) -> f64| format!("{:.1} KiB", median(rounds.iter().map(figure)));
        let whole = |figure: fn(&Held) -> f64| format!("{} KiB", grouped(median(rounds.iter().map(figure)) as u64));
        table.row(&[
            kind.to_string(),
            whole(|held| held.idle),
            of(|held| held.connected.0),
            whole(|held| held.connected.1),
            of(|held| held.subscribed.0),
            whole(|held| held.subscribed.1),
            whole(|held| held.again),
            whole(|held| held.flooded.0),
            whole(|held| held.flooded.1),
        ]);
    }
    println!();
}

/// One round, in KiB: with them (per client where there are many), and once they have gone.
struct Held {
    idle: f64,
    connected: (f64, f64),
    subscribed: (f64, f64),
    /// Once as many came and went a second time.
    again: f64,
    flooded: (f64, f64),
}

fn settled(broker: &Running) -> f64 {
    thread::sleep(SETTLE);
    rss_kb(broker.pid) as f64
}

fn measure(plan: &mut Plan, kind: Kind, clients: usize) -> Held {
    let broker = plan.brokers.start(kind);
    let idle = settled(&broker);
    let connected = crowd(&broker, clients, false);
    drop(broker);
    let broker = plan.brokers.start(kind);
    let subscribed = crowd(&broker, clients, true);
    let again = crowd(&broker, clients, true).1;
    drop(broker);
    let broker = plan.brokers.start(kind);
    let load = Load {
        topic: "bench/t/p",
        publishers: 1,
        qos: 1,
        amount: Amount::Messages(MESSAGES),
        readers: Readers::InStep,
    };
    let mut flood = load.open(&broker.address);
    let outcome = flood.run();
    let with = settled(&broker);
    drop(flood);
    plan.must(kind == Kind::Mosquitto || outcome.got == MESSAGES, || {
        format!("{kind}: {} of {MESSAGES} messages came", outcome.got)
    });
    Held { idle, connected, subscribed, again, flooded: (with, settled(&broker)) }
}

/// What each of the clients takes, and all there is when they have gone.
fn crowd(broker: &Running, clients: usize, subscribed: bool) -> (f64, f64) {
    let idle = settled(broker);
    let connect = |n| {
        let mut client = Mqtt::connect(&broker.address, &format!("client-{n:04}"));
        if subscribed {
            client.subscribe_at(&format!("bench/c/{n:04}"), 1);
        }
        client
    };
    let mut crowd: Vec<Mqtt> = (0..clients).map(connect).collect();
    if subscribed {
        let mut publisher = Mqtt::connect(&broker.address, "publisher");
        let payload = format!("{:PAYLOAD$}", "");
        for (n, client) in crowd.iter_mut().enumerate() {
            let packet = Mqtt::packet(&format!("bench/c/{n:04}"), &payload, None);
            std::io::Write::write_all(&mut publisher.0, &packet).unwrap();
            assert_eq!(client.next().1.len(), PAYLOAD, "each gets its message");
        }
    }
    let with = settled(broker);
    drop(crowd);
    ((with - idle) / clients as f64, settled(broker))
}
