//! Runs seeds: one, a number of them, or as many as fit into some seconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flotta_agent::clock;

use crate::dice::Dice;
use crate::mutation::Mutation;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::world::World;

const HOUR: u64 = 3_600_000;
/// How long fresh seeds are run where nobody says it (`SIM_SECONDS`).
const SECONDS: u64 = 8;
/// How often a long run says how far it is, in seeds.
const PROGRESS: u64 = 100;
/// After so many seeds that fail the rest is left: there is enough to read.
const FAILURES: usize = 32;

/// What came of a seed.
pub struct Ran {
    pub seed: u64,
    pub tally: Tally,
    pub digest: u64,
    pub failure: Option<String>,
    trace: Trace,
}

impl Ran {
    /// Fails the test if a promise was broken.
    pub fn tell(&self) {
        let Some(why) = &self.failure else { return };
        self.trace.print();
        let seed = self.seed;
        eprintln!("seed {seed} fails: {why}");
        eprintln!("see it again with: SIM_SEED={seed} cargo test --test simulator whatever -- --nocapture");
        panic!("seed {seed}: {why}");
    }
}

/// A day; of every fourth seed an hour, for histories that are short.
fn length(seed: u64) -> u64 {
    if Dice::new(seed).fork().one_in(4) { HOUR } else { 24 * HOUR }
}

pub fn run(seed: u64, broken: Option<Mutation>) -> Ran {
    run_for(length(seed), seed, broken)
}

/// With so many hours of trouble.
pub fn run_hours(hours: u64, seed: u64, broken: Option<Mutation>) -> Ran {
    run_for(hours * HOUR, seed, broken)
}

fn run_for(trouble: u64, seed: u64, broken: Option<Mutation>) -> Ran {
    let mut world = World::new(seed, broken);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live(trouble)));
    if let Err(cause) = lived {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.failure.get_or_insert(format!("panics: {}", text.unwrap_or_default()));
    }
    let World { tally, trace, failure, .. } = world;
    Ran { seed, tally, digest: trace.digest(), failure, trace }
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Seconds of the processor that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = |nth: usize| rest.split(' ').nth(nth).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    // The 14th and 15th field, in ticks of 10 ms.
    (ticks(11) + ticks(12)) / 100.0
}

/// `SIM_SEEDS` of them from `SIM_FIRST`; else fresh ones for `SIM_SECONDS`.
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "for who runs it: from where on, and for how long")]
pub fn seeds() -> Tally {
    let count = number("SIM_SEEDS");
    let seconds = number("SIM_SECONDS").unwrap_or(SECONDS);
    let fresh = || Dice::new(clock::wall().0 as u64 ^ u64::from(std::process::id()) << 40).below(1 << 40);
    let first = number("SIM_FIRST").unwrap_or_else(|| if count.is_some() { 0 } else { fresh() });
    println!("seeds from {first} on");
    let (next, began, before) = (AtomicU64::new(first), Instant::now(), cpu());
    let goes_on = |seed: u64| match count {
        Some(count) => seed < first + count,
        None => began.elapsed() < Duration::from_secs(seconds),
    };
    let failed = Mutex::new(Vec::<u64>::new());
    let failures = || failed.lock().expect("no seed panics").clone();
    let work = || {
        let mut total = Tally::default();
        while failures().len() < FAILURES {
            let seed = next.fetch_add(1, Relaxed);
            if !goes_on(seed) {
                break;
            }
            if count.is_some() && seed > first && (seed - first).is_multiple_of(PROGRESS) {
                println!("{} seeds, {:.0} CPU-seconds", seed - first, cpu() - before);
            }
            let ran = run(seed, None);
            if let Some(why) = &ran.failure {
                println!("seed {seed} fails: {why}");
                failed.lock().expect("no seed panics").push(seed);
            }
            total.add(&ran.tally);
        }
        total
    };
    let threads = if count.is_some() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for one in all {
            total.add(&one.join().expect("no seed panics"));
        }
    });
    total.print(cpu() - before);
    let failed = failures();
    if let Some(first) = failed.iter().min() {
        println!("{} of the seeds fail: {failed:?}", failed.len());
        run(*first, None).tell();
    }
    total
}
