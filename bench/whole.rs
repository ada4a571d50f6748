//! Whole-process benchmarks: starts the built agent, speaks to it over loopback, prints each method and its figures.
//!
//! `bench/run.sh` builds and runs it. Nothing is asserted about time; the machine is shared, so read medians and ratios.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops when something is wrong")]

use std::io::{BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};

fn main() {
    let binary = PathBuf::from(std::env::args().nth(1).expect("usage: whole PATH-OF-FLOTTA-AGENT"));
    latency(&binary);
    throughput(&binary);
    idle(&binary);
}

struct Agent {
    child: Child,
    http: String,
    mqtt: String,
    dir: tempfile::TempDir,
}

impl Agent {
    fn start(binary: &Path, manifests: &[(String, String)]) -> Agent {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        for (name, text) in manifests {
            std::fs::write(dir.path().join("manifests").join(name), text).unwrap();
        }
        let mut child = Command::new(binary)
            .env("EDGE_DEVICE_STATE_DIR", dir.path().join("state"))
            .env("EDGE_DEVICE_MANIFESTS_DIR", dir.path().join("manifests"))
            .env("EDGE_DEVICE_HTTP_LISTEN", "127.0.0.1:0")
            .env("EDGE_DEVICE_MQTT_LISTEN", "127.0.0.1:0")
            .env("EDGE_DEVICE_WORKLOADS_ON_EXIT", "stop")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = loop {
            let line = lines.next().expect("the agent gets ready").unwrap();
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if json["message"] == "ready" {
                break json;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let at = |what: &str| ready[what].as_str().unwrap().to_owned();
        Agent { child, http: at("http"), mqtt: at("mqtt"), dir }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn counter(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("x 0");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    }

    fn held(&self, name: &str) -> Option<f64> {
        let all: serde_json::Value = serde_json::from_str(&self.get("/api/v1/metrics")).unwrap();
        all.as_array().unwrap().iter().find(|m| m["name"] == name).and_then(|m| m["value"].as_f64())
    }

    fn until_states(&self, state: &str, count: usize) {
        loop {
            let all: serde_json::Value = serde_json::from_str(&self.get("/api/v1/workloads")).unwrap();
            if all.as_array().unwrap().iter().filter(|w| w["state"] == state).count() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A raw MQTT 3.1.1 client: nothing between the figures and the socket.
struct Mqtt(TcpStream);

impl Mqtt {
    fn connect(address: &str, id: &str) -> Mqtt {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut packet = vec![0x10, u8::try_from(12 + id.len()).unwrap(), 0, 4];
        packet.extend(b"MQTT\x04\x02\x00\x00\x00");
        packet.push(u8::try_from(id.len()).unwrap());
        packet.extend(id.as_bytes());
        stream.write_all(&packet).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[3], 0, "connected");
        Mqtt(stream)
    }

    fn subscribe(&mut self, filter: &str) {
        let mut packet = vec![0x82, u8::try_from(5 + filter.len()).unwrap(), 0, 1, 0];
        packet.push(u8::try_from(filter.len()).unwrap());
        packet.extend(filter.as_bytes());
        packet.push(0);
        self.0.write_all(&packet).unwrap();
        while self.read().0 != 0x90 {}
    }

    fn packet(topic: &str, payload: &str, qos1: Option<u16>) -> Vec<u8> {
        let length = 2 + topic.len() + payload.len() + if qos1.is_some() { 2 } else { 0 };
        let mut packet = vec![if qos1.is_some() { 0x32 } else { 0x30 }, u8::try_from(length).unwrap(), 0];
        packet.push(u8::try_from(topic.len()).unwrap());
        packet.extend(topic.as_bytes());
        if let Some(id) = qos1 {
            packet.extend(id.to_be_bytes());
        }
        packet.extend(payload.as_bytes());
        packet
    }

    /// The next packet: its first byte and the rest.
    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        let first = byte[0];
        let (mut length, mut shift) = (0usize, 0);
        loop {
            self.0.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 127) << shift;
            shift += 7;
            if byte[0] < 128 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).unwrap();
        (first & 0xf0, rest)
    }

    /// Reads until a publish whose body contains `what`; the moment it was read.
    fn until(&mut self, what: &str) -> Instant {
        loop {
            let (kind, body) = self.read();
            let at = Instant::now();
            if kind == 0x30 && body.windows(what.len()).any(|w| w == what.as_bytes()) {
                return at;
            }
        }
    }
}

fn figures(what: &str, samples: &mut [Duration]) -> [f64; 3] {
    samples.sort();
    let at = |q: f64| samples[((samples.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let found = [at(0.5), at(0.99), at(1.0)];
    println!(
        "  {what:<46} p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms   ({})",
        found[0],
        found[1],
        found[2],
        samples.len()
    );
    found
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
    let agent = Agent::start(binary, &[("device.yaml".into(), device.into()), workload("w", true)]);
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
    let agent = Agent::start(binary, &[]);
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

/// User and system time in seconds, and bytes written to storage.
fn cost(pid: u32) -> (f64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap();
    (ticks / rustix::param::clock_ticks_per_second() as f64, written)
}

fn pss_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn idle(binary: &Path) {
    let seconds = std::env::var("BENCH_IDLE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(120);
    println!("Idle: 100 running shell workloads (sleep), nothing happens, {seconds} s, after 10 s to settle.");
    let manifests: Vec<(String, String)> = (0..100).map(|n| workload(&format!("w{n}"), false)).collect();
    let agent = Agent::start(binary, &manifests);
    agent.until_states("running", 100);
    std::thread::sleep(Duration::from_secs(10));
    let pid = agent.child.id();
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
