//! Messages per second into the agent: it has its broker inside, so what is for it need not go through a second socket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Plan;
use crate::brokers::Kind;
use crate::common::agent::Agent;
use crate::common::cost::cost;
use crate::common::table::{Table, lost, median, rate, ratio};
use crate::flood::{Amount, Load, Outcome, Readers};
use crate::through::{Sample, judge_hang, measure, name};

/// Counters of the agent come up to date with the message; this is for a machine that stands still.
const DEADLINE: Duration = Duration::from_secs(10);
const ACCEPTED: &str = "flotta_metrics_accepted_total";
/// Whom, and with a subscriber or without.
const WAYS: [(Kind, Readers); 7] = [
    (Kind::Mosquitto, Readers::FlatOut),
    (Kind::Mosquitto, Readers::InStep),
    (Kind::MosquittoUnlimited, Readers::FlatOut),
    (Kind::MosquittoUnlimited, Readers::InStep),
    (Kind::Embedded, Readers::None),
    (Kind::Agent, Readers::None),
    (Kind::Relay, Readers::None),
];

/// How many of them are Mosquitto's.
const THEIRS: usize = 4;

pub fn run(plan: &mut Plan) {
    println!(
        "Into the agent: publishers over TCP as above, topics flotta/metrics/…, every payload a number, {:?} each.",
        plan.time
    );
    println!(
        "  Mosquitto: until a subscriber over TCP has read it, as above (QoS 1 for QoS 2). Its tap: flotta-broker alone,"
    );
    println!(
        "  until the tap has it, in the broker's process; the tap checks that every message of a publisher comes once"
    );
    println!(
        "  and in its order. flotta-agent: until GET /metrics counts it as accepted; the value held at the end is the last"
    );
    println!(
        "  one of each publisher. QoS 2: 20 messages of a publisher without PUBCOMP. The relay: a sink that answers."
    );
    println!(
        "  CPU: of the broker, per million arrived. Ratio: over the best of Mosquitto's in the same round, whatever it lost."
    );
    let table = Table::new(&[
        ("load", 32),
        ("into", 22),
        ("arrived/s", 10),
        ("lost", 21),
        ("CPU s per million", 0),
        ("ratio", 5),
    ]);
    for qos in [0, 1, 2] {
        for publishers in [1, 50] {
            compare(plan, &table, qos, publishers);
        }
    }
    println!("  Goal: at least 3 from one publisher at QoS 0 and 1, nothing lost.");
    println!();
}

fn compare(plan: &mut Plan, table: &Table, qos: u8, publishers: usize) {
    let load = |readers| Load { topic: "flotta/metrics/p", publishers, qos, amount: Amount::For(plan.time), readers };
    let loads = WAYS.map(|(kind, readers)| (kind, load(readers)));
    let mut all: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..WAYS.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for way in order {
            let (kind, load) = &loads[way];
            all.entry(way).or_default().push(sample(plan, *kind, load));
        }
    }
    let best = |round: usize| (0..THEIRS).map(|way| all[&way][round].delivered()).fold(0.0, f64::max);
    for (way, samples) in &all {
        let sum = |what: fn(&Outcome) -> u64| samples.iter().map(|sample| what(&sample.outcome)).sum();
        let over = median(samples.iter().enumerate().map(|(round, ours)| ours.delivered() / best(round)));
        table.row(&[
            name(&loads[*way].1),
            loads[*way].0.to_string(),
            rate(median(samples.iter().map(Sample::delivered))),
            lost(sum(|outcome| outcome.sent), sum(|outcome| outcome.got)),
            format!("{:.2}", median(samples.iter().map(Sample::cpu))),
            if loads[*way].0 == Kind::Relay { "-".into() } else { ratio(over) },
        ]);
    }
}

/// With the tap's, or the agent's, count in the place of a subscriber's.
fn sample(plan: &mut Plan, kind: Kind, load: &Load) -> Sample {
    let mut broker = plan.brokers.start(kind);
    let before = broker.agent().map(|agent| (agent.counter(ACCEPTED), cost(broker.pid).0));
    let mut sample = measure(&broker, load);
    judge_hang(plan, load, kind, &sample.outcome);
    let outcome = &mut sample.outcome;
    // Everything is acknowledged, or has the answer to a PINGREQ behind it.
    outcome.delivered_in = if load.readers == Readers::None { outcome.taken_in } else { outcome.delivered_in };
    match kind {
        Kind::Embedded => (outcome.got, outcome.doubled) = broker.tapped().unwrap(),
        Kind::Agent => {
            let (agent, (accepted, cpu)) = (broker.agent().unwrap(), before.unwrap());
            until_accepted(agent, accepted, outcome);
            sample.cpu = cost(broker.pid).0 - cpu;
            for (number, sent) in sample.outcome.each.iter().enumerate().filter(|(_, sent)| **sent > 0) {
                let held = agent.held(&format!("p{number:02}"));
                let what = || format!("{}, {kind}: {held:?} is held, of {sent} values from 0 on", name(load));
                plan.must(held == Some((sent - 1) as f64), what);
            }
        }
        Kind::Relay => outcome.got = outcome.sent,
        Kind::Mosquitto | Kind::MosquittoUnlimited => return sample,
    }
    let Outcome { sent, got, doubled, .. } = sample.outcome;
    plan.must(got == sent && doubled == 0, || {
        format!("{}, {kind}: {got} of {sent} arrived, {doubled} of them twice or too late", name(load))
    });
    sample
}

fn until_accepted(agent: &Agent, before: u64, outcome: &mut Outcome) {
    let end = Instant::now() + DEADLINE;
    loop {
        outcome.got = agent.counter(ACCEPTED) - before;
        outcome.delivered_in = outcome.begin.elapsed();
        if outcome.got >= outcome.sent || Instant::now() > end {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
