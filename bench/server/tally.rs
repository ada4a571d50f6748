//! The bytes of exchanges, layer by layer.

use flotta_standin::Operation;

use crate::common::table::{Table, grouped};
use crate::site::Site;
use crate::tcp::{HEADERS, Tcp};

/// Sums since the start.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    gets: u64,
    beats: u64,
    /// Bodies, both directions: of GETs' answers, and of heartbeats.
    answers: u64,
    messages: u64,
    /// Behind TLS, in both directions.
    http: u64,
    tcp: Tcp,
}

impl Tally {
    pub fn of(site: &Site) -> Tally {
        let mut sum = Tally { gets: 0, beats: 0, answers: 0, messages: 0, http: 0, tcp: Tcp::default() };
        for one in site.server.exchanges() {
            sum.gets += u64::from(one.operation == Operation::Get);
            sum.beats += u64::from(one.operation == Operation::Heartbeat);
            match one.operation {
                Operation::Get => sum.answers += one.answer_bytes as u64,
                Operation::Heartbeat => sum.messages += one.request_bytes as u64,
                _ => {}
            }
        }
        sum.http = site.server.connections().iter().filter(|one| one.open).map(|one| one.received.1 + one.sent.1).sum();
        sum.tcp = Tcp::to(site.server.address().port());
        sum
    }
}

pub fn table() -> Table {
    let heads = [
        "GET answers",
        "heartbeats",
        "HTTP",
        "TLS",
        "segments (with data)",
        "TCP/IP",
        "overhead above TCP",
        "overhead, all",
        "MB/day at 60 s",
        "first",
    ];
    Table::new(&[("bytes per pair", 22)].into_iter().chain(heads.map(|head| (head, 6))).collect::<Vec<_>>())
}

/// What one pair took between two looks, and what went before them: the connection's beginning. Gives the overhead of a
/// pair with and without TCP/IP.
pub fn row(table: &Table, name: &str, before: &Tally, after: &Tally) {
    let pairs = (after.beats - before.beats) as f64;
    let wrong = if after.gets - before.gets == after.beats - before.beats { "" } else { " (NOT PAIRS)" };
    let per = |of: fn(&Tally) -> u64| of(after).saturating_sub(of(before)) as f64 / pairs;
    let payload = per(|tally| tally.answers + tally.messages);
    let (http, records) = (per(|tally| tally.http), per(|tally| tally.tcp.bytes));
    let below = per(|tally| tally.tcp.segments) * HEADERS as f64;
    let whole = |tally: &Tally| tally.tcp.bytes + tally.tcp.segments * HEADERS;
    let first = whole(before) as f64 - (records + below) * before.beats as f64;
    table.row(&[
        format!("{name}{wrong}"),
        format!("{:.0}", per(|tally| tally.answers)),
        format!("{:.0}", per(|tally| tally.messages)),
        format!("{:.0}", http - payload),
        format!("{:.0}", records - http),
        format!("{:.1} ({:.1})", per(|tally| tally.tcp.segments), per(|tally| tally.tcp.with_data)),
        format!("{below:.0}"),
        format!("{:.0}", records - payload),
        format!("{:.0}", records - payload + below),
        format!("{:.2}", (records + below) * 1440.0 / 1e6),
        format!("{} in {}", grouped(first.max(0.0) as u64), after.tcp.connections),
    ]);
}
