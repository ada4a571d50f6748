//! The embedded broker beside Mosquitto: both from outside, in turns, medians; prints its method and its figures.
//!
//! `bench/broker.sh` builds and runs it. `through`, `into`, `latency` or `memory` as further arguments: only these. Nothing
//! is asserted about time. It fails when a message is missing, or came twice, where that is promised not to happen.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops when something is wrong")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use brokers::Brokers;

#[path = "../common/mod.rs"]
mod common;

mod brokers;
mod check;
mod embedded;
mod flood;
mod into;
mod latency;
mod memory;
mod publisher;
mod relay;
mod subscriber;
mod through;

type Part = fn(&mut Plan);

/// How much is measured.
pub struct Plan {
    brokers: Brokers,
    rounds: usize,
    time: Duration,
    /// What was lost and must not be.
    wrong: Vec<String>,
}

impl Plan {
    /// Notes what must not happen.
    fn must(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            let what = what();
            eprintln!("WRONG: {what}");
            self.wrong.push(what);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().expect("usage: broker PATH-OF-FLOTTA-AGENT [PART…]");
    match first.as_str() {
        "embedded" => embedded::main(),
        "relay" => relay::main(),
        agent => return measure(PathBuf::from(agent), &arguments.collect::<Vec<_>>()),
    }
    ExitCode::SUCCESS
}

fn measure(agent: PathBuf, wanted: &[String]) -> ExitCode {
    let number = |name: &str, default: f64| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default);
    let rounds = number("BENCH_ROUNDS", 5.0).max(1.0) as usize;
    let time = Duration::from_secs_f64(number("BENCH_SECONDS", 1.0));
    let mut plan = Plan { brokers: Brokers { agent }, rounds, time, wrong: Vec::new() };
    // A thousand clients have as many sockets on each side; what is started here inherits this.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // Sleeps end when they should, not up to 50 µs later: this thread's, and those it starts.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    println!("flotta-agent beside {}: {rounds} rounds in turns, medians.", brokers::mosquitto_version());
    println!(
        "  {} cores, shared by the brokers and by who publishes and reads: read ratios, and the broker's own",
        cores()
    );
    println!(
        "  CPU seconds (user and system, all threads), which do not depend on that. TCP over loopback, all sockets"
    );
    println!("  no-delay (mosquitto: set_tcp_nodelay), everything else of Mosquitto as its defaults are.");
    println!();
    let parts: [(&str, Part); 4] =
        [("through", through::run), ("into", into::run), ("latency", latency::run), ("memory", memory::run)];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            part(&mut plan);
        }
    }
    for what in &plan.wrong {
        println!("WRONG: {what}");
    }
    ExitCode::from(u8::from(!plan.wrong.is_empty()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
