//! Whole-process benchmarks: starts the built agent, speaks to it over loopback, prints each method and its figures.
//!
//! `bench/run.sh` builds and runs it. Nothing is asserted about time; the machine is shared, so read medians and ratios.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops when something is wrong")]

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify;

use common::agent::Agent;
use common::cost::{children, cost, pss_kb};
use common::figures::figures;
use common::mqtt::Mqtt;

mod common;

fn main() {
    let binary = PathBuf::from(std::env::args().nth(1).expect("usage: whole PATH-OF-FLOTTA-AGENT"));
    latency(&binary);
    throughput(&binary);
    idle(&binary);
}

fn workload(name: &str, gate: bool) -> (String, String) {
    let gate = if gate { "  profiles: [ { name: g, conditions: [ low ] } ]\n" } else { "" };
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n{gate}  shell: {{ command: [ sleep, \"100000\" ], terminationGracePeriodSeconds: 1 }}\n"
    );
    (format!("{name}.yaml"), text)
}

fn latency(binary: &Path) {
    println!(
        "Latency: 1 000 transitions (500 each way) of one gated shell workload that starts a real process each time."
    );
    println!("  From before the write of the PUBLISH (QoS 0, open no-delay connection) until the run's directory is");
    println!(
        "  created (inotify: the first byte towards the executor), and until a subscriber has read the first status"
    );
    println!("  of the new state. The echo: the same two connections, a publish on a topic that nobody but us reads.");
    let device = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: d }\nspec: { profiles: [ { name: g, conditions: [ { name: low, expression: \"cpu < 50\" } ] } ] }\n";
    let agent = Agent::start(binary, &[("device.yaml".into(), device.into()), workload("w", true)], &[]);
    agent.until_states("inactive", 1);
    let mut publisher = Mqtt::connect(&agent.mqtt, "publisher");
    let mut subscriber = Mqtt::connect(&agent.mqtt, "subscriber");
    subscriber.subscribe("flotta/devices/d/workloads/#");
    subscriber.subscribe("echo");
    let runs = agent.dir.path().join("state/run/shell");
    std::fs::create_dir_all(&runs).unwrap();
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, &runs, inotify::WatchFlags::CREATE).unwrap();
    let (seen, created) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watch, &mut buffer);
        while reader.next().is_ok() {
            if seen.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let (mut echo, mut executor, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..500 {
        let begin = Instant::now();
        publisher.0.write_all(&Mqtt::packet("echo", &format!("e{n}"), None)).unwrap();
        echo.push(subscriber.until(&format!("e{n}")) - begin);

        let begin = Instant::now();
        publisher.0.write_all(&Mqtt::packet("flotta/metrics/cpu", "20", None)).unwrap();
        up.push(subscriber.until("\"deploying\"") - begin);
        executor.push(created.recv().unwrap() - begin);
        subscriber.until("\"running\"");

        let begin = Instant::now();
        publisher.0.write_all(&Mqtt::packet("flotta/metrics/cpu", "90", None)).unwrap();
        down.push(subscriber.until("\"Stopping\"") - begin);
        subscriber.until("\"inactive\"");
    }
    let echo = figures("bare echo, publisher to subscriber", &mut echo);
    for (what, samples) in [
        ("metric to first byte towards the executor", &mut executor),
        ("metric to status, starting", &mut up),
        ("metric to status, stopping", &mut down),
    ] {
        let found = figures(what, samples);
        println!("    over the echo: p50 {:+.3} ms, p99 {:+.3} ms", found[0] - echo[0], found[1] - echo[1]);
    }
    println!();
}

fn throughput(binary: &Path) {
    let agent = Agent::start(binary, &[], &[]);
    let requests = 5_000;
    println!("POST /metrics: 32 keep-alive connections, {requests} requests each, one value per request.");
    let before = agent.counter("flotta_metrics_accepted_total");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..32 {
            let http = &agent.http;
            scope.spawn(move || post(http, connection, requests));
        }
    });
    let took = begin.elapsed().as_secs_f64();
    let sent = 32 * requests;
    let accepted = agent.counter("flotta_metrics_accepted_total") - before;
    let right = (0..32).all(|c| agent.held(&format!("c{c}")) == Some((requests - 1) as f64));
    println!(
        "  {:.0} requests/s; {accepted} of {sent} accepted and counted; the last value sent is the value held: {right}",
        sent as f64 / took
    );
    for qos in [0, 1] {
        let messages: u32 = 500_000;
        println!(
            "MQTT QoS {qos}: one publisher, {messages} messages in writes of 100{}.",
            if qos == 1 { ", each write acknowledged before the next but one" } else { "" }
        );
        let before = agent.counter("flotta_metrics_accepted_total");
        let mut publisher = Mqtt::connect(&agent.mqtt, "flood");
        let begin = Instant::now();
        let mut acknowledged = 0;
        for batch in 0..messages / 100 {
            let mut bytes = Vec::with_capacity(4096);
            for n in 0..100 {
                let id = u16::try_from((batch * 100 + n) % 65_000 + 1).unwrap();
                let value = (batch * 100 + n).to_string();
                bytes.extend(Mqtt::packet("flotta/metrics/flood", &value, (qos == 1).then_some(id)));
            }
            publisher.0.write_all(&bytes).unwrap();
            while qos == 1 && acknowledged + 200 <= (batch + 1) * 100 {
                publisher.read();
                acknowledged += 1;
            }
        }
        while agent.counter("flotta_metrics_accepted_total") - before < u64::from(messages)
            && begin.elapsed().as_secs() < 60
        {}
        let took = begin.elapsed().as_secs_f64();
        let accepted = agent.counter("flotta_metrics_accepted_total") - before;
        let right = agent.held("flood") == Some(f64::from(messages - 1));
        println!(
            "  {:.0} messages/s; {accepted} of {messages} accepted and counted; the last value sent is the value held: {right}",
            f64::from(messages) / took
        );
    }
    println!();
}

fn post(http: &str, connection: usize, requests: usize) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = [0; 4096];
    for n in 0..requests {
        let body = format!("{{\"name\":\"c{connection}\",\"value\":{n}}}");
        let request =
            format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        let mut got = stream.read(&mut answer).unwrap();
        while !answer[..got].ends_with(b"\r\n\r\n") {
            got += stream.read(&mut answer[got..]).unwrap();
        }
        assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer[..got]));
    }
}

fn idle(binary: &Path) {
    let seconds = std::env::var("BENCH_IDLE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(120);
    println!("Idle: 100 running shell workloads (sleep), nothing happens, {seconds} s, after 10 s to settle.");
    let manifests: Vec<(String, String)> = (0..100).map(|n| workload(&format!("w{n}"), false)).collect();
    let agent = Agent::start(binary, &manifests, &[]);
    agent.until_states("running", 100);
    std::thread::sleep(Duration::from_secs(10));
    let pid = agent.pid();
    let before = cost(pid);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = cost(pid);
    println!("  CPU of the agent   {:.3} % of a core", (after.0 - before.0) / seconds as f64 * 100.0);
    println!("  written            {} bytes", after.1 - before.1);
    println!("  PSS of the agent   {} KiB", pss_kb(pid));
    let parents = children(pid);
    let of_parents: u64 = parents.iter().map(|pid| pss_kb(*pid)).sum();
    let commands: u64 = parents.iter().flat_map(|pid| children(*pid)).map(pss_kb).sum();
    println!(
        "  PSS of the runs' parents   {of_parents} KiB in all, {} KiB each ({})",
        of_parents / parents.len().max(1) as u64,
        parents.len()
    );
    println!("  PSS of the workloads       {commands} KiB in all");
}
