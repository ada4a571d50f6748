//! A hundred pods that run, and nothing happens.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::cost::{cost, pss_kb};
use crate::common::figures::figures;
use crate::manifests::{device, pod};
use crate::podman::{Podman, environment};
use crate::{relay, start_agent};

const PODS: usize = 100;

pub fn run(binary: &Path, podman: &Podman) {
    let seconds = std::env::var("BENCH_IDLE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(120);
    println!(
        "Idle: {PODS} running pods of real podman behind the relay, nothing happens, {seconds} s, after 15 s to settle;"
    );
    println!(
        "  then the agent ends and leaves them, and for as long the service is measured alone: {PODS} pods, nobody asks."
    );
    let socket = podman.beside("idle.sock");
    let record = relay::start(&socket, &podman.socket());
    let mut manifests: Vec<_> = (0..PODS).map(|n| pod(&format!("w{n}"), &podman.image, None)).collect();
    manifests.push(device());
    let begin = Instant::now();
    let agent = start_agent(binary, &manifests, &environment(&socket));
    agent.until_states("running", PODS);
    println!("  (all run after {:.1} s)", begin.elapsed().as_secs_f64());
    let window = Duration::from_secs(seconds);
    thread::sleep(Duration::from_secs(15));
    let (place, of_agent, of_service) = (record.len(), cost(agent.pid()), cost(podman.pid()));
    thread::sleep(window);
    let (calls, agent_after, service_after) = (record.since(place), cost(agent.pid()), cost(podman.pid()));
    let percent = |before: f64, after: f64| (after - before) / seconds as f64 * 100.0;
    let names: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    println!(
        "  requests to podman     {} ({:.3}/s): {}",
        calls.len(),
        calls.len() as f64 / seconds as f64,
        names.into_iter().collect::<Vec<_>>().join(", ")
    );
    let mut took: Vec<Duration> = calls.iter().filter_map(|call| Some(call.answered? - call.at)).collect();
    if !took.is_empty() {
        figures("  until podman began to answer", &mut took);
    }
    println!("  CPU of the agent       {:.3} % of a core", percent(of_agent.0, agent_after.0));
    println!("  written by the agent   {} bytes", agent_after.1 - of_agent.1);
    println!("  PSS of the agent       {} KiB", pss_kb(agent.pid()));
    drop(agent);
    thread::sleep(Duration::from_secs(15));
    let runs = |one: &&serde_json::Value| one["State"] == "running" && one["IsInfra"] == false;
    let left = podman.containers().iter().filter(runs).count();
    assert_eq!(left, PODS, "the agent leaves its pods when it ends");
    let alone = cost(podman.pid());
    thread::sleep(window);
    let alone_after = cost(podman.pid());
    let (with, without) = (percent(of_service.0, service_after.0), percent(alone.0, alone_after.0));
    println!(
        "  CPU of podman's service: with the agent {with:.3} % of a core, alone {without:.3} %: {:+.3} % for the agent",
        with - without
    );
    println!();
    podman.cli().remove_all();
}
