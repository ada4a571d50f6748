//! Fifty pods: to start them, to notice that one died, to stop them; each beside podman's own floor in the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::figures::figures;
use crate::common::mqtt::Mqtt;
use crate::manifests::{COMMAND, LABEL, device, pod};
use crate::podman::{Podman, environment};
use crate::record::{Call, Record};
use crate::statuses::{Statuses, say};
use crate::{relay, start_agent};

const PODS: usize = 50;

pub fn run(binary: &Path, podman: &Podman) {
    println!("{PODS} pods with one container each, real podman behind the relay.");
    let socket = podman.beside("fifty.sock");
    let record = relay::start(&socket, &podman.socket());
    let mut manifests: Vec<_> = (0..PODS).map(|n| pod(&format!("w{n}"), &podman.image, Some("low"))).collect();
    manifests.push(device());
    let agent = start_agent(binary, &manifests, &environment(&socket));
    agent.until_states("inactive", PODS);
    let mut sensor = Mqtt::connect(&agent.mqtt, "sensor");
    let mut statuses = Statuses::of(&agent);

    record.quiet(Duration::from_secs(1));
    let (place, begin) = (record.len(), Instant::now());
    say(&mut sensor, "cpu", "20");
    let mut running = BTreeSet::new();
    let mut all_run = begin;
    while running.len() < PODS {
        let (at, status) = statuses.next();
        if status["state"] == "running" {
            running.insert(status["name"].to_string());
            all_run = at;
        }
    }
    let start = all_run - begin;
    println!(
        "  Starting: from before the write of the metric that opens their gate until a subscriber has read that the last"
    );
    println!("    one runs; the agent's limit is workloads.max_operations = 16 starts at once (the default).");
    println!("    {:.2} s, {:.0} ms each", start.as_secs_f64(), start.as_secs_f64() * 1e3 / PODS as f64);
    record.quiet(Duration::from_secs(2));
    of_calls(&record.since(place));

    kills(podman, &mut statuses, &record);
    let network = podman.containers()[0]["Networks"][0].as_str().unwrap_or_default().to_owned();

    record.quiet(Duration::from_secs(2));
    let (place, begin) = (record.len(), Instant::now());
    say(&mut sensor, "cpu", "90");
    let gone = record.wait(place, "all pods are removed", |calls| {
        let answered = |call: &Call| call.name.starts_with("DELETE pods/").then_some(call.answered).flatten();
        let gone: Vec<Instant> = calls.iter().filter_map(answered).collect();
        (gone.len() >= PODS).then(|| gone.into_iter().max().unwrap())
    });
    assert_eq!(podman.containers().len(), 0, "podman has none of them any more");
    let stop = gone - begin;
    println!(
        "  Stopping: from before the write of the metric that closes their gate until podman has said that the last one is"
    );
    println!("    removed; at most 64 ends at once.");
    println!("    {:.2} s, {:.0} ms each", stop.as_secs_f64(), stop.as_secs_f64() * 1e3 / PODS as f64);
    record.quiet(Duration::from_secs(1));
    of_calls(&record.since(place));
    drop(agent);

    println!(
        "  Podman's own floor: {PODS} equal pods (network {network}) by its command line: pod create and run -d --pod, then"
    );
    println!("    pod stop and pod rm -f; one after the other, and 16 at a time.");
    for at_once in [1, 16] {
        let (floor_start, floor_stop) = floor(podman, &network, at_once);
        for (what, ours, floor) in [("start", start, floor_start), ("stop", stop, floor_stop)] {
            println!(
                "    {at_once:>2} at a time, {what}: {:.2} s; the agent takes {:.2} of that",
                floor.as_secs_f64(),
                ours.as_secs_f64() / floor.as_secs_f64()
            );
        }
    }
    println!();
}

/// What the requests were, and how long podman took for them.
fn of_calls(calls: &[Call]) {
    let mut by_name: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for call in calls {
        by_name.entry(&call.name).or_default().extend(call.answered.map(|answered| answered - call.at));
    }
    println!(
        "    {} requests, {:.1} for each pod; until podman began to answer:",
        calls.len(),
        calls.len() as f64 / PODS as f64
    );
    for (name, mut took) in by_name {
        figures(&format!("    {name}"), &mut took);
    }
}

/// Kills each pod's process from outside, one after the other, at any moment of podman's polling.
fn kills(podman: &Podman, statuses: &mut Statuses, record: &Record) {
    println!(
        "  Noticing: kill -9 of a container's process, each pod once; until a subscriber has read a status that says that"
    );
    println!(
        "    it does not run. The floor: until podman's own stream of events says died, to us directly, of the same kill"
    );
    println!(
        "    (podman 4 looks at its own events every 250 ms). Then until it runs again in place (retry after 1 s)."
    );
    let deaths = podman.deaths();
    let processes: Vec<(String, String, Pid)> = podman.containers().iter().filter_map(process).collect();
    assert_eq!(processes.len(), PODS);
    let (mut noticed, mut said, mut after, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let place = record.len();
    for (n, (name, id, pid)) in processes.into_iter().enumerate() {
        // All parts of the 250 ms are met.
        thread::sleep(Duration::from_millis(300 + (n as u64 * 97) % 250));
        let begin = Instant::now();
        kill_process(pid, Signal::KILL).unwrap();
        let at = statuses.until(&name, |state| state != "running");
        let died = loop {
            let (died, whose) = deaths.recv_timeout(Duration::from_secs(20)).expect("podman says who died");
            if whose == id {
                break died;
            }
        };
        noticed.push(at - begin);
        said.push(died - begin);
        after.push(at.saturating_duration_since(died));
        again.push(statuses.until(&name, |state| state == "running") - begin);
    }
    let floor = figures("  kill to podman's event (the floor)", &mut said);
    let found = figures("  kill to the agent's status", &mut noticed);
    println!("      over the floor: p50 {:+.1} ms, p99 {:+.1} ms", found[0] - floor[0], found[1] - floor[1]);
    figures("  status after the event, kill by kill", &mut after);
    figures("  kill to running again", &mut again);
    record.quiet(Duration::from_secs(1));
    of_calls(&record.since(place));
}

/// Workload, container and process of a container that is not podman's own.
fn process(one: &Value) -> Option<(String, String, Pid)> {
    let name = one["Labels"]["project-flotta.io/name"].as_str()?.to_owned();
    let pid = one["Pid"].as_i64().filter(|_| one["IsInfra"] == false)?;
    Some((name, one["Id"].as_str()?.to_owned(), Pid::from_raw(i32::try_from(pid).ok()?)?))
}

/// How long podman's command line takes for the same, so many at a time: to start them, and to stop and remove them.
fn floor(podman: &Podman, network: &str, at_once: usize) -> (Duration, Duration) {
    let start = each(at_once, |name| {
        let create =
            ["pod", "create", "--name", name, "--label", LABEL, "--network", network, "--exit-policy", "continue"];
        podman.cli().run(&create);
        let run = ["run", "-d", "--pod", name, "--label", LABEL, "--restart", "no", "--pull", "never", &podman.image];
        podman.cli().run(&[&run[..], &COMMAND].concat());
    });
    let stop = each(at_once, |name| {
        podman.cli().run(&["pod", "stop", name]);
        podman.cli().run(&["pod", "rm", "-f", name]);
    });
    (start, stop)
}

fn each(at_once: usize, work: impl Fn(&str) + Sync) -> Duration {
    let left = Mutex::new(0..PODS);
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let Some(n) = left.lock().unwrap().next() else { return };
                    work(&format!("flotta-bench-{n}"));
                }
            });
        }
    });
    begin.elapsed()
}
