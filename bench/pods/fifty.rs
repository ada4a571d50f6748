//! Fifty pods: to start them, to notice that one died, to stop them; each beside podman's own floor in the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::figures::figures;
use crate::common::mqtt::Mqtt;
use crate::manifests::{PODS, device, pod};
use crate::podman::{Podman, environment};
use crate::record::{Call, Record};
use crate::statuses::{Statuses, say};
use crate::{floor, relay, start_agent};

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

    floor::run(podman, &network, start, stop);
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
        "    (podman 4 looks for news every 250 ms, for each listener at other moments; so also from the moment at which"
    );
    println!(
        "    the event passes the relay: the agent's own time). Then until it runs again in place (retry after 1 s)."
    );
    let deaths = podman.deaths();
    let (mut noticed, mut said, mut by_event, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let place = record.len();
    for n in 0..PODS {
        let name = format!("w{n}");
        let (id, pid) = podman
            .containers()
            .iter()
            .find_map(|one| process(one, &name))
            .expect("it runs, and nobody else removes it");
        // All parts of the 250 ms are met.
        thread::sleep(Duration::from_millis(300 + (n as u64 * 97) % 250));
        let begin = Instant::now();
        kill_process(pid, Signal::KILL).unwrap();
        let at = statuses.until(&name, |state| state != "running");
        noticed.push(at - begin);
        // Podman loses one now and then, when it rotates the file of its events.
        let died = std::iter::from_fn(|| deaths.recv_timeout(Duration::from_secs(2)).ok());
        said.extend(died.into_iter().find(|(_, whose)| *whose == id).map(|(died, _)| died - begin));
        by_event.push((id, begin, at));
        again.push(statuses.until(&name, |state| state == "running") - begin);
    }
    let floor = figures("  kill to podman's event (the floor)", &mut said);
    let found = figures("  kill to the agent's status", &mut noticed);
    println!("      over the floor: p50 {:+.1} ms, p99 {:+.1} ms", found[0] - floor[0], found[1] - floor[1]);
    let passed = |(id, begin, at): &(String, Instant, Instant)| {
        at.checked_duration_since(record.event_with(*begin, ["\"died\"", id])?)
    };
    let mut after: Vec<Duration> = by_event.iter().filter_map(passed).collect();
    figures("  the event at the relay to the agent's status", &mut after);
    println!("      noticed otherwise, because a list was due (every 30 s): {}", PODS - after.len());
    figures("  kill to running again", &mut again);
    record.quiet(Duration::from_secs(1));
    of_calls(&record.since(place));
}

/// Container and process of a pod with one container.
fn process(one: &Value, name: &str) -> Option<(String, Pid)> {
    let is_it = one["Labels"]["project-flotta.io/name"] == *name && one["IsInfra"] == false;
    let pid = one["Pid"].as_i64().filter(|_| is_it)?;
    Some((one["Id"].as_str()?.to_owned(), Pid::from_raw(i32::try_from(pid).ok()?)?))
}
