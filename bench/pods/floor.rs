//! Podman's own floor: the same pods without the agent.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::manifests::{COMMAND, LABEL, PODS};
use crate::podman::Podman;

/// Starts and ends as many equal pods in several ways, each beside what the agent took.
pub fn run(podman: &Podman, network: &str, start: Duration, stop: Duration) {
    println!(
        "  Podman's own floor: {PODS} equal pods (network {network}) without the agent, so many at a time. By its command"
    );
    println!("    line: pod create and run -d --pod; then pod stop and pod rm -f. By bare requests: pods/create,");
    println!("    containers/create, containers/…/start; then containers/…/stop and DELETE pods/….");
    let begin = |name: &str| {
        let create =
            ["pod", "create", "--name", name, "--label", LABEL, "--network", network, "--exit-policy", "continue"];
        podman.cli().run(&create);
        let run = ["run", "-d", "--pod", name, "--label", LABEL, "--restart", "no", "--pull", "never", &podman.image];
        podman.cli().run(&[&run[..], &COMMAND].concat());
    };
    let end = |name: &str| {
        podman.cli().run(&["pod", "stop", name]);
        podman.cli().run(&["pod", "rm", "-f", name]);
    };
    for at_once in [1, 16] {
        let starts = each(at_once, begin);
        compare("command line", at_once, "start", starts, start);
        compare("command line", at_once, "stop", each(at_once, end), stop);
    }
    let starts = each(16, |name| bare_start(podman, name));
    compare("bare requests", 16, "start", starts, start);
    compare("bare requests", PODS, "stop", each(PODS, |name| bare_end(podman, name)), stop);
}

fn compare(how: &str, at_once: usize, what: &str, floor: Duration, ours: Duration) {
    let (floor, ours) = (floor.as_secs_f64(), ours.as_secs_f64());
    println!("    {how}, {at_once} at a time, {what}: {floor:.2} s; the agent takes {:.2} of that", ours / floor);
}

fn bare_start(podman: &Podman, name: &str) {
    let (key, value) = LABEL.split_once('=').unwrap();
    let labels = json!({ key: value });
    let pod = json!({ "name": name, "hostname": name, "labels": labels, "exit_policy": "continue" });
    podman.call("POST", "pods/create", &pod);
    let container = json!({
        "name": format!("{name}-c"), "pod": name, "image": podman.image, "image_pull_policy": "never", "labels": labels,
        "restart_policy": "no", "entrypoint": COMMAND,
    });
    podman.call("POST", "containers/create", &container);
    podman.call("POST", &format!("containers/{name}-c/start"), &Value::Null);
}

fn bare_end(podman: &Podman, name: &str) {
    podman.call("POST", &format!("containers/{name}-c/stop"), &Value::Null);
    podman.call("DELETE", &format!("pods/{name}?force=true"), &Value::Null);
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
