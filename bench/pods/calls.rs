//! How many requests a pod's start and stop take.

use std::path::Path;
use std::time::Duration;

use crate::common::mqtt::Mqtt;
use crate::manifests::{big_pod, device, pod};
use crate::podman::{Podman, environment};
use crate::record::Call;
use crate::statuses::{Statuses, say};
use crate::{relay, start_agent};

pub fn run(binary: &Path, podman: &Podman) {
    println!(
        "Requests per start and stop, real podman behind the relay: from the metric until all is at rest (nothing for"
    );
    println!(
        "  a second: podman's events come up to 250 ms late), the third start and stop of each pod; in the order in"
    );
    println!("  which they came, with how long podman took to begin its answer.");
    let socket = podman.beside("calls.sock");
    let record = relay::start(&socket, &podman.socket());
    let manifests = [device(), pod("small", &podman.image, Some("low")), big_pod("big", &podman.image, "big")];
    let agent = start_agent(binary, &manifests, &environment(&socket));
    agent.until_states("inactive", 2);
    let mut sensor = Mqtt::connect(&agent.mqtt, "sensor");
    let mut statuses = Statuses::of(&agent);
    let rest = Duration::from_secs(1);
    for (name, metric, what) in [
        ("small", "cpu", "1 container"),
        ("big", "mem", "2 containers, 1 init container, a ConfigMap's volume, an emptyDir"),
    ] {
        for round in 1..=3 {
            for (value, state, verb) in [("20", "running", "start"), ("90", "inactive", "stop")] {
                record.quiet(rest);
                let place = record.len();
                say(&mut sensor, metric, value);
                statuses.until(name, |now| now == state);
                record.quiet(rest);
                let calls: Vec<Call> = record.since(place);
                let changes = calls.iter().filter(|call| call.is_change()).count();
                if round == 3 {
                    println!(
                        "  {verb} of a pod with {what}: {} requests, {changes} of which change something",
                        calls.len()
                    );
                    calls.iter().for_each(print);
                } else {
                    println!("  ({what}, {verb} {round}: {} requests)", calls.len());
                }
            }
        }
    }
    println!();
}

fn print(call: &Call) {
    let took = call.answered.map_or(0.0, |answered| (answered - call.at).as_secs_f64() * 1e3);
    println!("    {:<44} {took:7.1} ms", call.name);
}
