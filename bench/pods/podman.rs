//! The real podman: a service of our own over the machine's containers, its command line, and no pods left behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::common::cost::children;
use crate::manifests::{DEVICE, LABEL};

/// The service ends, and all pods of these benchmarks go, when this is dropped, or when somebody ends the benchmark.
pub struct Podman {
    service: Child,
    cli: Cli,
    dir: tempfile::TempDir,
    /// What the pods run.
    pub image: String,
}

/// Podman's command line.
#[derive(Clone)]
pub struct Cli(PathBuf);

impl Podman {
    /// By what `tests/podman.sh start` printed.
    pub fn start() -> Podman {
        let told =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bench/pods.sh sets it"));
        let cli = Cli(told("FLOTTA_PODMAN_CLI").into());
        cli.remove_all();
        clean_up_when_told_to_end(cli.clone());
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("podman.sock");
        let mut service = Command::new(told("FLOTTA_PODMAN_SERVICE"));
        let service = service.arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let podman = Podman { service: service.spawn().unwrap(), cli, dir, image: told("FLOTTA_PODMAN_IMAGE") };
        let begin = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "podman's service does not start");
            thread::sleep(Duration::from_millis(50));
        }
        podman
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    /// A path for one more socket.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The service's.
    pub fn pid(&self) -> u32 {
        self.service.id()
    }

    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// A request of our own, past the relay; its answer from the body on.
    fn ask(&self, method: &str, path: &str, body: &str) -> BufReader<UnixStream> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // HTTP/1.0: the answer's body is as it is, and ends with the connection.
        let length = body.len();
        write!(stream, "{method} /v4.0.0/libpod/{path} HTTP/1.0\r\nHost: d\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        assert!(line.contains(" 20"), "{method} {path}: {line}");
        while line.trim() != "" {
            line.clear();
            answer.read_line(&mut line).unwrap();
        }
        answer
    }

    /// Asks for something to be done; what podman says of it.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut answer = String::new();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(method, path, &body).read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// All containers of the agents' pods, past the relay.
    pub fn containers(&self) -> Vec<Value> {
        let filters = encoded(&json!({ "label": [of_agents()] }).to_string());
        let listed = self.call("GET", &format!("containers/json?all=true&filters={filters}"), &Value::Null);
        listed.as_array().cloned().unwrap_or_default()
    }

    /// The ids of those that die, with the moment at which podman's own stream of events said so.
    pub fn deaths(&self) -> Receiver<(Instant, String)> {
        let filters = json!({ "type": ["container"], "event": ["died"], "label": [of_agents()] }).to_string();
        let stream = self.ask("GET", &format!("events?stream=true&filters={}", encoded(&filters)), "");
        let (tell, heard) = channel();
        thread::spawn(move || {
            for line in stream.lines().map_while(Result::ok) {
                let now = Instant::now();
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                let id = event["Actor"]["ID"].as_str().unwrap_or_default().to_owned();
                if tell.send((now, id)).is_err() {
                    return;
                }
            }
        });
        heard
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.cli.remove_all();
        let _ = kill_process(Pid::from_child(&self.service), Signal::TERM);
        let _ = self.service.wait();
    }
}

impl Cli {
    /// What it printed; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.0).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {}: {said}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What it printed, whatever became of it: the way of a clean-up.
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let output = Command::new(&self.0).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// Removes every pod and volume of these benchmarks.
    pub fn remove_all(&self) {
        let pods = self.lines(&["pod", "ls", "-q", "--no-trunc", "--filter", &format!("label={LABEL}")]);
        if !pods.is_empty() {
            let with = |first: &[&str]| {
                let all: Vec<&str> = first.iter().copied().chain(pods.iter().map(String::as_str)).collect();
                self.lines(&all);
            };
            // Killed first, and a moment for podman to see it: else some removals take three seconds.
            with(&["pod", "kill"]);
            thread::sleep(Duration::from_millis(500));
            with(&["pod", "rm", "-f", "-i", "-t", "0"]);
        }
        for volume in self.lines(&["volume", "ls", "-q", "--filter", &format!("label={}", of_agents())]) {
            self.lines(&["volume", "rm", "-f", &volume]);
        }
    }
}

fn clean_up_when_told_to_end(cli: Cli) {
    let (mut told, tell) = UnixStream::pair().unwrap();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, tell.try_clone().unwrap()).unwrap();
    }
    thread::spawn(move || {
        let _ = told.read(&mut [0]);
        // Whoever could make one more pod goes first.
        for child in children(std::process::id()) {
            let _ = i32::try_from(child).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, Signal::KILL));
        }
        cli.remove_all();
        std::process::exit(130);
    });
}

/// On every container of an agent under test, and on its volumes.
fn of_agents() -> String {
    format!("project-flotta.io/device={DEVICE}")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What an agent is told so that it talks to this socket, and leaves its pods when it ends.
pub fn environment(socket: &Path) -> [(&'static str, String); 3] {
    [
        ("EDGE_DEVICE_PODMAN_SOCKET", socket.display().to_string()),
        ("EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET", socket.with_extension("none").display().to_string()),
        ("EDGE_DEVICE_WORKLOADS_ON_EXIT", "leave".into()),
    ]
}
