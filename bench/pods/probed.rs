//! Probes: how soon a dead process behind one is noticed, and what a hundred probed pods cost.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::agent::Agent;
use crate::common::cost::{children, cost_with_children};
use crate::common::figures::figures;
use crate::manifests::{device, probed_pod};
use crate::podman::{Podman, environment};
use crate::start_agent;
use crate::statuses::Statuses;

const PERIOD: Duration = Duration::from_secs(1);
const KILLS: usize = 30;

pub fn run(binary: &Path, podman: &Podman) {
    noticing(binary, podman);
    costs(binary, podman);
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn noticing(binary: &Path, podman: &Podman) {
    println!(
        "Noticing by a probe: a pod whose server is killed (kill -9) while its container runs on; a readiness probe"
    );
    println!(
        "  by tcpSocket every {} s, failureThreshold 1. From the kill, at any moment of the period, until a",
        PERIOD.as_secs()
    );
    println!("  subscriber has read a status that says that it is not ready. The server is back 1.5 s later.");
    let probe = format!(
        "readinessProbe: {{ tcpSocket: {{ port: 8000 }}, periodSeconds: {}, failureThreshold: 1 }}",
        PERIOD.as_secs()
    );
    let agent =
        start_agent(binary, &[probed_pod("w", &podman.image, &probe, false), device()], &environment(&podman.socket()));
    let mut statuses = Statuses::of(&agent);
    let mut took = Vec::new();
    statuses.until("w", |state| state == "running");
    while took.len() < KILLS {
        thread::sleep(Duration::from_millis(900 + (took.len() as u64 * 137) % 1000));
        // The shell's children: the server, or the sleep before the next one.
        let shell = podman.containers().iter().find_map(|one| one["Pid"].as_u64().filter(|_| one["IsInfra"] == false));
        let all = children(u32::try_from(shell.unwrap()).unwrap());
        let Some(server) = all.into_iter().find(|pid| command(*pid).starts_with("httpd")) else { continue };
        let begin = Instant::now();
        kill_process(Pid::from_raw(i32::try_from(server).unwrap()).unwrap(), Signal::KILL).unwrap();
        let at = statuses.until("w", |state| state == "degraded");
        took.push(at - begin);
        statuses.until("w", |state| state == "running");
    }
    let late = took.iter().max().unwrap().saturating_sub(PERIOD);
    figures("  kill to the status", &mut took);
    println!("      the latest of {KILLS}: {:.0} ms after the period", late.as_secs_f64() * 1e3);
    drop(agent);
    podman.cli().remove_all();
    println!();
}

fn command(pid: u32) -> String {
    let read = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&read).replace('\0', " ")
}

fn costs(binary: &Path, podman: &Podman) {
    let pods = usize::try_from(number("BENCH_PROBED_PODS", 100)).unwrap();
    let seconds = number("BENCH_PROBED_SECONDS", 60);
    println!(
        "Probed pods: {pods} pods that run, each with a readiness probe every 10 s, {seconds} s. CPU of the whole agent"
    );
    println!(
        "  (user and system time of all its threads, and of the helpers that it started), nothing else happening."
    );
    for (what, action) in
        [("tcpSocket", "tcpSocket: { port: 8000 }"), ("httpGet", "httpGet: { port: 8000, path: /bin/sh }")]
    {
        let rest = windowed(binary, podman, pods, seconds, &format!("readinessProbe: {{ {action} }}"), None);
        said(&format!("{what}, to the pod's address"), pods, &rest);
    }
    let user = std::env::var("FLOTTA_PODMAN_ROOTLESS_SOCKET").ok();
    if let Some(socket) = user {
        let rest =
            windowed(binary, podman, pods, seconds, "readinessProbe: { tcpSocket: { port: 8000 } }", Some(&socket));
        said("tcpSocket, inside a user's pod", pods, &rest);
    } else {
        println!("  (no user's podman: FLOTTA_PODMAN_ROOTLESS_SOCKET is not set)");
    }
    println!();
}

/// What a window cost: share of a core of the agent and of its children; tries and failures in it.
struct Window {
    own: f64,
    children: f64,
    tried: u64,
    failed: u64,
}

fn said(what: &str, pods: usize, window: &Window) {
    let all = window.own + window.children;
    println!(
        "  {what}: {:.3} % of a core ({:.3} % its own, {:.3} % of helpers), {:.4} % for each pod; {} tries, {} failed",
        all,
        window.own,
        window.children,
        all / pods as f64,
        window.tried,
        window.failed
    );
}

fn windowed(binary: &Path, podman: &Podman, pods: usize, seconds: u64, probe: &str, user: Option<&str>) -> Window {
    let mut manifests: Vec<_> =
        (0..pods).map(|n| probed_pod(&format!("w{n}"), &podman.image, probe, user.is_some())).collect();
    manifests.push(device());
    let mut env = environment(&podman.socket()).to_vec();
    if let Some(socket) = user {
        env.retain(|(name, _)| *name != "EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET");
        env.push(("EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET", socket.to_owned()));
        // Whose pods nobody else takes away.
        env.retain(|(name, _)| *name != "EDGE_DEVICE_WORKLOADS_ON_EXIT");
        env.push(("EDGE_DEVICE_WORKLOADS_ON_EXIT", "stop".to_owned()));
    }
    let agent: Agent = start_agent(binary, &manifests, &env);
    agent.until_states("running", pods);
    thread::sleep(Duration::from_secs(15));
    let look = || {
        (
            cost_with_children(agent.pid()),
            agent.counter("flotta_probes_total"),
            agent.counter("flotta_probes_failed_total"),
        )
    };
    let (before, tried, failed) = look();
    thread::sleep(Duration::from_secs(seconds));
    let (after, tried_after, failed_after) = look();
    let percent = |used: f64| used / seconds as f64 * 100.0;
    let window = Window {
        own: percent(after.0 - before.0),
        children: percent(after.1 - before.1),
        tried: tried_after - tried,
        failed: failed_after - failed,
    };
    drop(agent);
    podman.cli().remove_all();
    window
}
