//! The simulator: the real reconciler and the real gates against a simulated executor and clock, with seeds.
//!
//! `make sim SEEDS=10000` runs many; `SIM_SEED=7 cargo test --test simulator` replays one. A failing seed prints itself.
//! Faults: operations that fail, are slow, or take effect and report a failure; events that get lost or come twice; lists
//! that fail; runs that end by themselves; metrics and manifests that change at any moment. Invariants at every step: at
//! most one copy of a workload runs, one operation at a time, nothing runs that was never desired; and once faults cease,
//! what should run runs, nothing else does, and the statuses say so.

#[path = "../common/models.rs"]
mod models;
mod world;

use world::World;

fn run(seed: u64) -> world::Tally {
    let mut world = World::new(seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.trouble(400);
        world.calm_down();
        world.check_converged();
        world.tally
    }));
    match outcome {
        Ok(tally) => tally,
        Err(cause) => {
            eprintln!("seed {seed} fails; replay it with: SIM_SEED={seed} cargo test --test simulator -- --nocapture");
            std::panic::resume_unwind(cause);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_goes_wrong_what_should_run_runs_once_and_the_status_is_true() {
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(300);
    let first = number("SIM_FIRST").unwrap_or(0);
    let mut total = world::Tally::default();
    for seed in first..first + seeds {
        total.add(run(seed));
    }
    println!("{seeds} seeds: {total:?}");
    assert!(total.starts > seeds && total.faults > seeds, "the simulation does something: {total:?}");
}

/// Seeds that once failed.
#[test]
fn past_failures_stay_mended() {
    for seed in [599, 6_558, 9_291] {
        run(seed);
    }
}
