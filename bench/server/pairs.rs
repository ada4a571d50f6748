//! The bytes of one GET and one heartbeat, at a period of a second.

use std::path::Path;
use std::thread;
use std::time::Duration;

use flotta_standin::Protocols;

use crate::number;
use crate::site::Site;
use crate::tally::{Tally, row, table};

/// What is configured, and how it is spoken.
pub const LINES: [(&str, Protocols, usize); 4] = [
    ("h2, no workload", Protocols::Both, 0),
    ("h2, 10 workloads", Protocols::Both, 10),
    ("http/1.1, no workload", Protocols::Http1, 0),
    ("http/1.1, 10 workloads", Protocols::Http1, 10),
];

pub fn run(binary: &Path) {
    let pairs = number("BENCH_PAIRS", 30);
    println!(
        "Bytes of a pair (GET with its answer, heartbeat with its answer): {pairs} pairs one second apart, four agents and"
    );
    println!(
        "  servers at the same time; the workloads are gated and do not run. All bytes of both directions. Bodies: the"
    );
    println!(
        "  server's log. HTTP: what the server read and wrote behind TLS, less the bodies. TLS: what the kernel counted"
    );
    println!(
        "  on the client's socket (`ss -ti`), less that. TCP/IP: every segment that the kernel counted, acknowledgements"
    );
    println!(
        "  and probes too, 52 bytes each (IPv4, TCP with time stamps). First: what the connections had taken before, less"
    );
    println!(
        "  as many pairs: handshake, settings, the headers that HTTP/2 sends once; and the connections that were open."
    );
    println!("  An interval of a second is too short for what happens between pairs: see the next table.");
    let mut all: Vec<_> = LINES.iter().map(|(_, protocols, workloads)| Site::new(*protocols, 1, *workloads)).collect();
    let agents: Vec<_> = all.iter().map(|site| site.start(binary)).collect();
    measure(&mut all, 5, pairs, Duration::from_millis(500));
    drop(agents);
    println!();
}

/// Looks twice: when `before` heartbeats have come, and `pairs` later; each time once it has been `quiet` so long.
pub fn measure(all: &mut [Site], before: u64, pairs: u64, quiet: Duration) {
    let mut first = Vec::new();
    let table = table();
    thread::scope(|scope| {
        let looks: Vec<_> = all
            .iter_mut()
            .map(|site| {
                scope.spawn(move || {
                    site.beats(before);
                    let first = look(site, quiet);
                    site.beats(pairs);
                    (first, look(site, quiet))
                })
            })
            .collect();
        first.extend(looks.into_iter().map(|look| look.join().unwrap()));
    });
    for ((name, ..), (before, after)) in LINES.iter().zip(&first) {
        row(&table, name, before, after);
    }
}

/// Late acknowledgements have come, the next pair has not.
fn look(site: &Site, quiet: Duration) -> Tally {
    thread::sleep(quiet);
    Tally::of(site)
}
