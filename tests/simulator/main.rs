//! The simulator: the agent's real mind, sources, session, state and outlet, with a seeded clock, disk, podman, shell,
//! broker, server and people. One seed is one history: the same each time.
//!
//! ```text
//!  operator (files, sensors, lock)   server    broker
//!        │                             │          ▲
//!        ▼                             ▼          │
//!  files ─► agent: Core, Gates, Directory, Configured, Session, ExternalOutlet ─► store: Saving ─► disk
//!                        │ steps ▲ outcomes, events, lists
//!                        ▼       │
//!                  calls, news ─► machine (what really runs)
//! ```
//! - `trouble` and the faults in `calls`, `news`, `store` make things go wrong; `watch`, `recall` and `store` hold what
//!   happens against what was promised, at every step; `settled` does so once nothing goes wrong any more.
//! - `make sim SEEDS=10000` runs many. A failing seed prints what happened last and how to see it again.
//! - `mutation`: agents that are broken on purpose, which have to be found out.

#[path = "../common/disk.rs"]
mod disk;
#[path = "../common/splitmix.rs"]
mod splitmix;

mod agent;
mod brain;
mod broker;
mod calls;
mod clock;
mod commands;
mod dice;
mod due;
mod evidence;
mod files;
mod machine;
mod mutation;
mod news;
mod operator;
mod recall;
mod run;
mod server;
mod settled;
mod store;
mod tally;
mod trace;
mod trouble;
mod wanted;
mod watch;
mod world;

use flotta_agent::state::Disk;

use mutation::Mutation;
use run::{Ran, number, run, run_hours, seeds};

/// Seeds that once failed, each with what it found (tests/simulator/found.md).
const PAST: &str = include_str!("past.txt");

#[test]
fn whatever_goes_wrong_what_should_run_runs_once_and_the_status_is_true() {
    if let Some(seed) = number("SIM_SEED") {
        let ran = run(seed, None);
        ran.tell();
        ran.tally.print(0.0);
        return;
    }
    let total = seeds();
    assert!(total.all_done() > total.runs && total.all_faults() > total.runs, "the simulation does something");
}

#[test]
fn past_failures_stay_mended() {
    for seed in PAST.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        run(seed, None).tell();
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let digest = |seed| run_hours(2, seed, None).digest;
    for seed in [1, 2] {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
    assert_ne!(digest(1), digest(2));
}

/// Each is found within so many seeds …
const SEEDS_FOR_EACH: u64 = 40;

#[test]
fn an_agent_that_is_broken_on_purpose_is_found_out() {
    let only = std::env::var("SIM_MUTATION").ok();
    for mutation in Mutation::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{mutation:?}")) {
            continue;
        }
        // … of which those that show nothing of the rarest need not be run each time.
        let first = match mutation {
            Mutation::SaysStoredTooEarly => 70,
            Mutation::NeverWakes => 140,
            _ => 0,
        };
        let found = (first..first + SEEDS_FOR_EACH).find_map(|seed| {
            let Ran { failure, .. } = run_hours(6, seed, Some(mutation));
            failure.map(|why| (seed, why))
        });
        let (seed, why) = found.unwrap_or_else(|| panic!("{mutation:?} is not noticed in {SEEDS_FOR_EACH} seeds"));
        println!("{mutation:?} is found by seed {seed}: {why}");
    }
}
