//! The simulator of pods: the real reconciler, gates and podman executor against a simulated podman, in virtual time.
//!
//! `make sim SEEDS=10000` runs many; `SIM_SEED=7 cargo test --test pods_simulator -- --nocapture` replays one, line by line.
//! A failing seed prints itself.
//!
//! ```text
//!  world: metrics, manifests, reboots … ─► agent (reconciler, gates, PodmanExecutor) ─► podman (slow, stuck, gone, lying)
//!                                             killed at any moment                         └─► machine: pods, containers …
//! ```
//! At every step: at most one pod of a workload runs; one change at a time; nothing that is not ours is touched; nothing runs
//! that was never wanted; what runs well is left alone. Once faults cease: [`check`].

mod agent;
mod answers;
mod check;
mod clock;
mod dice;
mod events;
mod faults;
mod in_flight;
mod machine;
#[path = "../common/models.rs"]
mod models;
mod plain;
mod podman;
mod promises;
#[path = "../common/splitmix.rs"]
mod splitmix;
mod things;
mod workloads;
mod world;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use world::{Tally, World};

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// How many tasks panicked: tokio catches them, and a test would not see it.
pub fn panics() -> u64 {
    PANICS.with(Cell::get)
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|count| count.set(count.get() + 1));
            before(info);
        }));
    });
    PANICS.with(|count| count.set(0));
}

/// Runs to its end in virtual time.
pub fn virtually<T>(what: impl Future<Output = T>) -> T {
    count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(what)
}

fn run(seed: u64, loud: bool) -> Tally {
    let all = || {
        virtually(async {
            let mut world = World::new(seed, loud);
            world.trouble(60).await;
            world.calm_down().await;
            world.check();
            world.check_idle().await;
            world.close()
        })
    };
    match std::panic::catch_unwind(all) {
        Ok(tally) => tally,
        Err(cause) => {
            eprintln!(
                "seed {seed} fails; replay it with: SIM_SEED={seed} cargo test --test pods_simulator -- --nocapture"
            );
            std::panic::resume_unwind(cause);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_goes_wrong_with_podman_what_should_run_runs_once_and_the_status_is_true() {
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", run(seed, true));
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(60);
    let first = number("SIM_FIRST").unwrap_or(0);
    let (next, total) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    let some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            let tally = run(seed, false);
            total.lock().expect("a lock").add(tally);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(some))));
    let total = total.into_inner().expect("a lock");
    println!("{seeds} seeds: {total:?}");
    assert!(total.starts > seeds && total.faults > seeds, "the simulation does something: {total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (once, again, other) = (run(1, false), run(1, false), run(2, false));
    assert_eq!(once, again);
    assert_ne!(once.hash, other.hash);
}

/// Seeds that once failed, each for a fault of its own.
#[test]
fn past_failures_stay_mended() {
    for seed in [1, 2, 4, 11, 20, 34, 156, 1_185, 1_367, 1_546, 1_921] {
        run(seed, false);
    }
}
