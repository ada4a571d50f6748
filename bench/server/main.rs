//! The agent and a Flotta server (the stand-in of `standin/`), from outside; prints each method and its figures.
//!
//! `bench/server.sh` builds and runs it. `pairs`, `idle`, `start` or `crowd` as further arguments: only these. Nothing is
//! asserted about time; the machine is shared, so read bytes, CPU and ratios. Everything runs on the loopback.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops when something is wrong")]

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[path = "../common/mod.rs"]
mod common;

mod crowd;
mod devices;
mod idle;
mod pairs;
mod serving;
mod site;
mod start;
mod tally;
mod tcp;

type Part = fn(&Path);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().expect("usage: server PATH-OF-FLOTTA-AGENT [PART…]");
    let wanted: Vec<String> = arguments.collect();
    // Thousands of sockets on each side; what is started here inherits this.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    match first.as_str() {
        "serving" => return serving::main(&wanted),
        "devices" => return devices::main(&wanted),
        _ => {}
    }
    let binary = PathBuf::from(first);
    let parts: [(&str, Part); 4] =
        [("pairs", pairs::run), ("idle", idle::run), ("start", start::run), ("crowd", crowd::run)];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            part(&binary);
        }
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
