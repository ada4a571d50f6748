//! How long it takes from the start of the binary until the server knows.

use std::path::Path;
use std::time::{Duration, Instant};

use flotta_standin::{Operation, Protocols};

use crate::common::figures::figures;
use crate::number;
use crate::site::{Site, start};

pub fn run(binary: &Path) {
    let rounds = number("BENCH_STARTS", 10);
    println!(
        "Start: {rounds} devices one after the other, from before the start of the process until the server has answered; a first"
    );
    println!(
        "  start with approval at once (key, enrolment, registration, connection with the new certificate), then a second"
    );
    println!("  one with the same state directory. Ready: the agent's own word, which waits for no server.");
    println!("  The binary has {} KiB.", std::fs::metadata(binary).unwrap().len() / 1024);
    let [mut registered, mut got, mut beaten, mut ready, mut again] = [const { Vec::new() }; 5];
    for _ in 0..rounds {
        let mut site = Site::new(Protocols::Both, 60, 0);
        let state = tempfile::tempdir().unwrap();
        let mut environment = site.environment();
        environment.push(("EDGE_DEVICE_STATE_DIR".into(), state.path().display().to_string()));
        let begin = Instant::now();
        let times = std::thread::scope(|scope| {
            let exchanges = scope.spawn(|| {
                let all = [Operation::Registration, Operation::Get, Operation::Heartbeat];
                // The two of a pair may come in any order: each from the beginning.
                all.map(|operation| site.since(begin, operation))
            });
            let agent = start(binary, &environment);
            ready.push(begin.elapsed());
            let times = exchanges.join().unwrap();
            drop(agent);
            times
        });
        let [first, second, third] = times;
        registered.push(first);
        got.push(second);
        beaten.push(third);
        site.skip();
        let begin = Instant::now();
        let agent = std::thread::scope(|scope| {
            let exchange = scope.spawn(|| site.since(begin, Operation::Heartbeat));
            let agent = start(binary, &environment);
            again.push(exchange.join().unwrap());
            agent
        });
        drop(agent);
    }
    for (what, samples) in [
        ("ready", &mut ready),
        ("first start: registered", &mut registered),
        ("first start: configuration", &mut got),
        ("first start: heartbeat", &mut beaten),
        ("later start: heartbeat", &mut again),
    ] {
        figures(what, samples);
    }
    println!();
}

impl Site {
    /// From `begin` until the server's next exchange of this kind, of those after the last [`Site::skip`].
    fn since(&self, begin: Instant, operation: Operation) -> Duration {
        self.peek(operation);
        begin.elapsed()
    }
}
