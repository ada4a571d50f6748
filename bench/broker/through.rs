//! Messages per second through a broker: publishers and one subscriber, all over TCP.

use std::collections::BTreeMap;

use crate::Plan;
use crate::brokers::{Kind, Running};
use crate::common::cost::cost;
use crate::common::table::{Table, lost, median, rate, ratio};
use crate::flood::{Amount, Load, Outcome, Readers, UNDER_WAY};
use crate::subscriber::SILENCE;

const KINDS: [Kind; 4] = [Kind::Mosquitto, Kind::MosquittoUnlimited, Kind::Agent, Kind::Relay];

pub fn run(plan: &mut Plan) {
    println!(
        "Through the broker: publishers over TCP, one subscriber over TCP, payloads of 64 bytes, {:?} each.",
        plan.time
    );
    println!("  Flat out: as fast as the broker reads. In step: at most {UNDER_WAY} messages between publishers and");
    println!(
        "  subscriber, so that no queue need overflow. One publisher writes 100 messages at a time, each of 50 writes 20."
    );
    println!(
        "  QoS 1: at most 1 000, of each of 50 publishers 100, without PUBACK; QoS 0: at most 20 000 of all of them without"
    );
    println!(
        "  the answer to a PINGREQ behind them, else megabytes wait in each socket. Taken: until the last answer."
    );
    println!(
        "  Delivered: until the subscriber has read the last one that comes. Lost: what had not come after {SILENCE:?} of"
    );
    println!(
        "  silence, in all rounds. Mosquitto without limits: max_queued_messages 0, max_inflight_messages 0; by its"
    );
    println!(
        "  defaults it drops QoS 1 that its queue has no room for. CPU: of the broker, per million delivered. Ratio:"
    );
    println!(
        "  delivered/s over the better of Mosquitto's two in the same round, whatever that lost. The relay passes bytes on"
    );
    println!("  and looks at nothing: what publishers, subscriber and kernel reach here.");
    let table = Table::new(&heads());
    for qos in [0, 1] {
        for publishers in [1, 50] {
            for readers in [Readers::FlatOut, Readers::InStep] {
                let load = Load { topic: "bench/t/p", publishers, qos, amount: Amount::For(plan.time), readers };
                compare(plan, &table, &load);
            }
        }
    }
    println!();
}

fn heads() -> [(&'static str, usize); 7] {
    [
        ("load", 32),
        ("broker", 22),
        ("taken/s", 10),
        ("delivered/s", 11),
        ("lost", 21),
        ("CPU s per million", 0),
        ("ratio", 5),
    ]
}

fn compare(plan: &mut Plan, table: &Table, load: &Load) {
    let mut all: BTreeMap<Kind, Vec<Sample>> = BTreeMap::new();
    for round in 0..plan.rounds {
        let mut order = KINDS;
        // Who is first is last in the next round.
        if round % 2 == 1 {
            order.reverse();
        }
        for kind in order {
            all.entry(kind).or_default().push(sample(plan, load, kind));
        }
    }
    let theirs = |round: usize| KINDS[..2].iter().map(|kind| all[kind][round].delivered()).fold(0.0, f64::max);
    for (kind, samples) in &all {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure));
        let sum = |what: fn(&Outcome) -> u64| samples.iter().map(|sample| what(&sample.outcome)).sum();
        let over = median(samples.iter().enumerate().map(|(round, ours)| ours.delivered() / theirs(round)));
        table.row(&[
            name(load),
            kind.to_string(),
            rate(of(Sample::taken)),
            rate(of(Sample::delivered)),
            lost(sum(|outcome| outcome.sent), sum(|outcome| outcome.got)),
            format!("{:.2}", of(Sample::cpu)),
            if *kind == Kind::Relay { "-".into() } else { ratio(over) },
        ]);
    }
}

/// `QoS 1, 50 publishers, in step`.
pub fn name(load: &Load) -> String {
    let how = match load.readers {
        Readers::None => "",
        Readers::FlatOut => ", flat out",
        Readers::InStep => ", in step",
    };
    let plural = if load.publishers == 1 { "" } else { "s" };
    format!("QoS {}, {} publisher{plural}{how}", load.qos, load.publishers)
}

/// One round of one broker.
pub struct Sample {
    pub outcome: Outcome,
    pub cpu: f64,
}

impl Sample {
    pub fn taken(&self) -> f64 {
        self.outcome.sent as f64 / self.outcome.taken_in.as_secs_f64()
    }

    pub fn delivered(&self) -> f64 {
        self.outcome.got as f64 / self.outcome.delivered_in.as_secs_f64()
    }

    /// Seconds per million messages.
    pub fn cpu(&self) -> f64 {
        self.cpu / self.outcome.got.max(1) as f64 * 1e6
    }
}

fn sample(plan: &mut Plan, load: &Load, kind: Kind) -> Sample {
    let broker = plan.brokers.start(kind);
    let sample = measure(&broker, load);
    judge_hang(plan, load, kind, &sample.outcome);
    let Outcome { sent, got, doubled, .. } = sample.outcome;
    let what = || format!("{}, {kind}", name(load));
    if kind != Kind::Mosquitto && kind != Kind::MosquittoUnlimited {
        plan.must(doubled == 0, || format!("{}: {doubled} messages came twice or too late", what()));
        plan.must(got == sent || load.readers == Readers::FlatOut, || {
            format!("{}: {got} of {sent} came, though the subscriber was in step", what())
        });
    }
    if kind == Kind::Relay {
        plan.must(got == sent, || format!("{}: {got} of {sent} came: the measurement is wrong", what()));
    }
    if let Some(agent) = broker.agent() {
        // A subscriber that is too slow loses messages, and each of them is counted.
        let counted = agent.counter("flotta_broker_messages_lost");
        plan.must(sent - got == counted, || format!("{}: {} are lost, {counted} counted", what(), sent - got));
    }
    sample
}

/// A load, and what the process spent on it.
pub fn measure(broker: &Running, load: &Load) -> Sample {
    let mut flood = load.open(&broker.address);
    let before = cost(broker.pid).0;
    let outcome = flood.run();
    Sample { outcome, cpu: cost(broker.pid).0 - before }
}

/// A broker that stands still: told, and wrong if it is not Mosquitto.
pub fn judge_hang(plan: &mut Plan, load: &Load, kind: Kind, outcome: &Outcome) {
    if let Some(why) = &outcome.hung {
        let what = format!("{}, {kind}: {why}", name(load));
        eprintln!("{what}");
        plan.must(kind == Kind::Mosquitto || kind == Kind::MosquittoUnlimited, || what);
    }
}
