//! Many devices and one server: how fast they come, what they cost, and what a restart of the server does.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::cost::{cost, pss_kb};
use crate::number;

const PERIOD: u64 = 10;
/// How long the server is away.
const AWAY: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(180);

pub fn run(_: &Path) {
    let devices = number("BENCH_DEVICES", 2_000);
    let steady = number("BENCH_STEADY_SECONDS", 60);
    println!(
        "Crowd: {devices} devices in one process, each with the agent's driver, its own client, TLS, board and identity"
    );
    println!(
        "  (on tmpfs), two threads; the server in another process, two threads. All start at the same moment, with a"
    );
    println!(
        "  first registration each; period {PERIOD} s. Then {steady} s of nothing else; then the server drops every connection,"
    );
    println!("  refuses new ones for {} s, and is there again. CPU: user and system, of each process.", AWAY.as_secs());
    let dir = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let dir_name = dir.path().display().to_string();
    let mut server = Process::start(&["serving", &dir_name, &devices.to_string(), &PERIOD.to_string()]);
    let url = server.line();
    let mut clients = Process::start(&["devices", &dir_name, &devices.to_string(), &url]);
    clients.line();
    thread::sleep(Duration::from_millis(500));
    let empty = pss_kb(clients.pid());

    let (begin, costs) = (Instant::now(), both(&server, &clients));
    clients.ask("go");
    let took = server.until(devices, begin);
    let now = both(&server, &clients);
    let answer = server.report("");
    let each = |seconds: f64, count: f64| seconds * 1e3 / count;
    println!(
        "  registered, first GET and heartbeat accepted: half in {:.1} s, 99 % in {:.1} s, all in {:.1} s",
        took[0], took[1], took[2]
    );
    println!(
        "    CPU of a registration    device {:.2} ms, server {:.2} ms; {} connections, {} refused or failed exchanges, most connections in a second {}",
        each(now.1 - costs.1, devices as f64),
        each(now.0 - costs.0, devices as f64),
        answer["accepted"],
        answer["refused"],
        answer["connections_peak"]
    );
    thread::sleep(Duration::from_secs(PERIOD));
    let held = pss_kb(clients.pid());
    println!(
        "  memory per device          {:.1} KiB PSS ({} KiB, {empty} before them)",
        (held - empty) as f64 / devices as f64,
        held
    );

    server.report("mark");
    let (begin, costs) = (Instant::now(), both(&server, &clients));
    thread::sleep(Duration::from_secs(steady));
    let (now, answer) = (both(&server, &clients), server.report(""));
    let exchanges = answer["answered"].as_f64().unwrap();
    println!(
        "  steady, {:.0} s              {:.0} exchanges/s, most in a second {}, {} refused; CPU of an exchange: device {:.3} ms, server {:.3} ms; a device {:.4} % of a core",
        begin.elapsed().as_secs_f64(),
        exchanges / begin.elapsed().as_secs_f64(),
        answer["answers_peak"],
        answer["refused"],
        each(now.1 - costs.1, exchanges),
        each(now.0 - costs.0, exchanges),
        (now.1 - costs.1) / begin.elapsed().as_secs_f64() / devices as f64 * 100.0
    );

    server.report("stop");
    let stopped = both(&server, &clients);
    thread::sleep(AWAY);
    let away = both(&server, &clients);
    server.report("mark");
    let (begin, accepted) = (Instant::now(), server.report("restart")["accepted"].as_u64().unwrap());
    let took = server.until(devices, begin);
    let (now, answer) = (both(&server, &clients), server.report(""));
    println!(
        "  server away                CPU of a device and second {:.3} ms",
        each(away.1 - stopped.1, devices as f64 * AWAY.as_secs_f64())
    );
    println!(
        "  after its return           GET and heartbeat accepted: half in {:.1} s, 99 % in {:.1} s, all in {:.1} s; {} connections, most in a second {}; CPU of a device {:.2} ms, server {:.2} ms",
        took[0],
        took[1],
        took[2],
        answer["accepted"].as_u64().unwrap() - accepted,
        answer["connections_peak"],
        each(now.1 - away.1, devices as f64),
        each(now.0 - away.0, devices as f64)
    );
    println!();
}

/// CPU seconds of the server and of the devices.
fn both(server: &Process, clients: &Process) -> (f64, f64) {
    (cost(server.pid()).0, cost(clients.pid()).0)
}

/// This program again, with other arguments; it ends when it is dropped.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Process { child, input, output }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{what}").unwrap();
        self.line()
    }

    fn report(&mut self, what: &str) -> Value {
        serde_json::from_str(&self.ask(what)).unwrap()
    }

    /// Until GET and heartbeat of so many devices were accepted since the last mark; seconds since `begin`, of half of
    /// them, of 99 in 100, and of all.
    fn until(&mut self, devices: u64, begin: Instant) -> [f64; 3] {
        let mut times = [devices / 2, devices * 99 / 100, devices].map(|count| (count, None));
        loop {
            let report = self.report("");
            for (_, at) in times.iter_mut().filter(|(count, _)| report["both"].as_u64() >= Some(*count)) {
                at.get_or_insert(begin.elapsed().as_secs_f64());
            }
            if let [(_, Some(half)), (_, Some(most)), (_, Some(all))] = times {
                return [half, most, all];
            }
            assert!(begin.elapsed() < DEADLINE, "not all within {DEADLINE:?}: {report}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
