//! Nothing happens: what the server costs a device at the usual period, in bytes, CPU and memory.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::cost::{Busy, cost, pss_kb};
use crate::number;
use crate::pairs::{LINES, measure};
use crate::site::{Site, start};

const PERIOD: u64 = 60;
/// Those with HTTP/2.
const MEASURED: usize = 2;
/// The connections of enrolment and registration are closed then.
const SETTLE: Duration = Duration::from_secs(5);

pub fn run(binary: &Path) {
    let pairs = number("BENCH_IDLE_PERIODS", 2);
    println!(
        "Idle at the usual period of {PERIOD} s: {pairs} pairs after the first two, all columns as above. Beside the two agents"
    );
    println!(
        "  a third runs without SERVER, and is otherwise the same; CPU is the sum of its threads' run time in the"
    );
    println!("  nanoseconds of /proc/…/schedstat (looked at each second, so that threads that end are in it), between");
    println!("  the tenth second and the last look at the bytes.");
    let mut all: Vec<_> =
        LINES[..MEASURED].iter().map(|(_, protocols, workloads)| Site::new(*protocols, PERIOD, *workloads)).collect();
    let mut agents: Vec<_> = all.iter().map(|site| site.start(binary)).collect();
    agents.push(start(binary, &[]));
    let over = AtomicBool::new(false);
    let used: Vec<(f64, u64, u64)> = thread::scope(|scope| {
        let looks: Vec<_> = agents.iter().map(|agent| scope.spawn(|| watch(agent.pid(), &over))).collect();
        measure(&mut all, 2, pairs, SETTLE);
        over.store(true, Ordering::Relaxed);
        looks.into_iter().map(|look| look.join().unwrap()).collect()
    });
    println!();
    let names = LINES[..MEASURED].iter().map(|(name, ..)| *name).chain(["without SERVER"]);
    let (alone, _, pss_alone) = used[MEASURED];
    for (name, (percent, written, pss)) in names.zip(&used) {
        println!(
            "  {name:<23} {percent:.4} % of a core ({:.2} of that without)   {pss} KiB PSS ({:+})   {written} bytes written",
            percent / alone,
            *pss as i64 - pss_alone as i64
        );
    }
    println!();
}

/// After the start has been got over; percent of a core, bytes written, and its memory at the end.
fn watch(pid: u32, over: &AtomicBool) -> (f64, u64, u64) {
    let mut busy = Busy::default();
    thread::sleep(2 * SETTLE);
    let (begin, before, written) = (Instant::now(), busy.look(pid), cost(pid).1);
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        busy.look(pid);
    }
    let used = busy.look(pid) - before;
    (used as f64 / begin.elapsed().as_nanos() as f64 * 100.0, cost(pid).1 - written, pss_kb(pid))
}
