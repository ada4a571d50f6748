//! Benchmarks of pods: the built agent and podman's socket, from outside; prints each method and its figures.
//!
//! `bench/pods.sh` builds and runs it, as root. `latency`, `calls`, `fifty`, `idle` or `probes` as further arguments: only these.
//! Nothing is asserted about time; the machine is shared, so read medians and ratios. No pod of it is left behind: every
//! one carries a label of its own, and what carries it is removed at the beginning, at the end and at Ctrl-C.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops when something is wrong")]

use std::path::{Path, PathBuf};

use common::agent::Agent;
use podman::Podman;

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod echo;
mod fifty;
mod floor;
mod idle;
mod latency;
mod manifests;
mod podman;
mod probed;
mod record;
mod relay;
mod standin;
mod statuses;

type Part = fn(&Path, &Podman);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().expect("usage: pods PATH-OF-FLOTTA-AGENT [PART…]"));
    let wanted: Vec<String> = arguments.collect();
    let parts: [(&str, Part); 5] = [
        ("latency", latency::run),
        ("calls", calls::run),
        ("fifty", fifty::run),
        ("idle", idle::run),
        ("probes", probed::run),
    ];
    let podman = Podman::start();
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            part(&binary, &podman);
        }
    }
}

fn start_agent(binary: &Path, manifests: &[(String, String)], env: &[(&str, String)]) -> Agent {
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Agent::start(binary, manifests, &env)
}
