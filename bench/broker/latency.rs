//! How long a message takes through a broker that has time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};

use crate::Plan;
use crate::brokers::{Kind, Running};
use crate::check::{DIGITS, number};
use crate::common::cost::cost;
use crate::common::table::{Table, lost, median};
use crate::publisher::Publisher;
use crate::subscriber::{Sender, Sent, Subscriber};

const KINDS: [Kind; 3] = [Kind::Mosquitto, Kind::Agent, Kind::Relay];
const PER_SECOND: u32 = 10_000;
/// Messages without answer: more than ever come together.
const WINDOW: usize = 10_000;
/// For the last answers.
const DEADLINE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// A publisher that is later than this (nobody let it run) does not make up for it: it would be no pace any more.
const ARREARS: Duration = Duration::from_millis(20);
/// Rounds are this much longer than those of throughput.
const LONGER: u32 = 3;

pub fn run(plan: &mut Plan) {
    println!(
        "Latency: one publisher and one subscriber over TCP, a message of 64 bytes every 100 µs, {:?} each; from before",
        plan.time * LONGER
    );
    println!(
        "  the write of a message (each has its own) until the subscriber's read returned with it. Late: how long after"
    );
    println!(
        "  its time it was written (not part of the latency). Medians of the rounds' p50, p99 and greatest. CPU: of the"
    );
    println!("  broker, per million messages. The relay passes bytes on and looks at nothing.");
    let table = Table::new(&[
        ("load", 5),
        ("broker", 22),
        ("p50", 9),
        ("p99", 10),
        ("max", 10),
        ("late p99", 9),
        ("lost", 12),
        ("CPU s per million", 0),
    ]);
    for qos in [0, 1] {
        let mut all: BTreeMap<Kind, Vec<Paced>> = BTreeMap::new();
        for round in 0..plan.rounds {
            let mut order = KINDS.to_vec();
            if round % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                let broker = plan.brokers.start(kind);
                let paced = measure(&broker, qos, plan.time * LONGER);
                let Paced { sent, got, doubled, stops, .. } = paced;
                let what = format!("QoS {qos}, {kind}, 10 000/s");
                if let Some(agent) = broker.agent() {
                    let counted = agent.counter("flotta_broker_messages_lost");
                    plan.must(sent - got == counted && doubled == 0, || {
                        format!("{what}: {} are lost, {counted} counted, {doubled} came twice or too late", sent - got)
                    });
                }
                // The subscriber, a thread of the same process, was stopped as often: nobody keeps everything then.
                if stops > 0 {
                    eprintln!("{what}: the machine stopped the publisher {stops} times, so losses are not judged");
                } else {
                    plan.must(got == sent || kind == Kind::Mosquitto, || format!("{what}: {got} of {sent} came"));
                }
                all.entry(kind).or_default().push(paced);
            }
        }
        for (kind, rounds) in &all {
            let of = |figure: fn(&Paced) -> Duration| {
                let middle = median(rounds.iter().map(|paced| figure(paced).as_secs_f64()));
                format!("{:.3} ms", middle * 1e3)
            };
            let cpu = median(rounds.iter().map(|paced| paced.cpu / paced.got.max(1) as f64 * 1e6));
            table.row(&[
                format!("QoS {qos}"),
                kind.to_string(),
                of(|paced| paced.took[0]),
                of(|paced| paced.took[1]),
                of(|paced| paced.took[2]),
                of(|paced| paced.late),
                lost(rounds.iter().map(|paced| paced.sent).sum(), rounds.iter().map(|paced| paced.got).sum()),
                format!("{cpu:.2}"),
            ]);
        }
    }
    println!();
}

/// One round.
struct Paced {
    /// p50, p99, the greatest.
    took: [Duration; 3],
    /// p99 of how late the publisher was.
    late: Duration,
    /// How often it was later than [`ARREARS`].
    stops: usize,
    sent: u64,
    got: u64,
    doubled: u64,
    cpu: f64,
}

fn measure(broker: &Running, qos: u8, time: Duration) -> Paced {
    let mut subscriber = Subscriber::connect(&broker.address, "bench/t/+", qos, 1);
    let mut publisher = Publisher::connect(&broker.address, "bench/t/p", 0, qos, WINDOW, 1);
    let total = Sent::default();
    let (mut took, mut late) = (Vec::new(), Vec::new());
    let before = cost(broker.pid).0;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let sender = Sender(&total);
        scope.spawn(|| {
            subscriber.follow(&total, |payload, now| {
                let sent = Duration::from_nanos(number(&payload[DIGITS..3 * DIGITS]));
                took.push((now - begin).saturating_sub(sent));
            });
        });
        let step = Duration::from_secs(1) / PER_SECOND;
        let mut due = step;
        while due < time {
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            let now = begin.elapsed();
            late.push(now.saturating_sub(due));
            if now > due + ARREARS {
                due = now;
            }
            publisher.push(u64::try_from(now.as_nanos()).unwrap());
            publisher.write();
            publisher.read();
            due += step;
        }
        while !publisher.is_done() {
            publisher.finish();
            publisher.write();
            let wants = publisher.wants();
            let ready = poll(&mut [PollFd::new(&publisher.stream, wants)], Some(&DEADLINE)).unwrap();
            assert!(ready > 0, "the broker does not answer the publisher's last messages");
            publisher.read();
        }
        sender.ended(publisher.sent);
    });
    let cpu = cost(broker.pid).0 - before;
    let at = |samples: &mut Vec<Duration>, q: f64| {
        samples.sort();
        samples.get((samples.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or_default()
    };
    Paced {
        took: [0.5, 0.99, 1.0].map(|q| at(&mut took, q)),
        late: at(&mut late, 0.99),
        stops: late.iter().filter(|late| **late > ARREARS).count(),
        sent: publisher.sent,
        got: subscriber.got,
        doubled: subscriber.doubled(),
        cpu,
    }
}
