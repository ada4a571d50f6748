//! The brokers that are measured, each a process of its own.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::agent::Agent;

/// What can be started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Its defaults, but no-delay sockets like all others here.
    Mosquitto,
    /// The same without limits of queue and flight: it keeps what it could not send yet in memory.
    MosquittoUnlimited,
    /// The built flotta-agent.
    Agent,
    /// Its broker alone, with a tap that counts: `embedded`.
    Embedded,
    /// No broker at all: `relay`.
    Relay,
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(match self {
            Kind::Mosquitto => "mosquitto",
            Kind::MosquittoUnlimited => "mosquitto, no limits",
            Kind::Agent => "flotta-agent",
            Kind::Embedded => "flotta-broker, its tap",
            Kind::Relay => "(relay: no broker)",
        })
    }
}

/// How to start them.
pub struct Brokers {
    pub agent: PathBuf,
}

/// A broker that runs; it ends when it is dropped.
pub struct Running {
    pub address: String,
    pub pid: u32,
    process: Process,
}

enum Process {
    Agent(Box<Agent>),
    Mosquitto { child: Child, _dir: tempfile::TempDir },
    Own { child: Child, stdin: ChildStdin, stdout: BufReader<ChildStdout> },
}

impl Brokers {
    pub fn start(&self, kind: Kind) -> Running {
        match kind {
            Kind::Mosquitto => mosquitto(""),
            Kind::MosquittoUnlimited => mosquitto("max_queued_messages 0\nmax_inflight_messages 0\n"),
            Kind::Agent => {
                let agent = Agent::start(
                    &self.agent,
                    &[],
                    &[("EDGE_DEVICE_LOG_LEVEL", "info"), ("EDGE_DEVICE_MQTT_LIMITS_CONNECTIONS", "2000")],
                );
                let (address, pid) = (agent.mqtt.clone(), agent.pid());
                Running { address, pid, process: Process::Agent(Box::new(agent)) }
            }
            Kind::Embedded => own("embedded"),
            Kind::Relay => own("relay"),
        }
    }
}

impl Running {
    /// The agent, if it is that.
    pub fn agent(&self) -> Option<&Agent> {
        match &self.process {
            Process::Agent(agent) => Some(agent),
            _ => None,
        }
    }

    /// What the tap of the embedded broker has counted: messages, and doubles among them.
    pub fn tapped(&mut self) -> Option<(u64, u64)> {
        let Process::Own { stdin, stdout, .. } = &mut self.process else { return None };
        stdin.write_all(b"report\n").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace().map(|word| word.parse().unwrap());
        Some((words.next().unwrap(), words.next().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Process::Mosquitto { child, .. } | Process::Own { child, .. }) = &mut self.process else { return };
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        let _ = child.wait();
    }
}

fn mosquitto(more: &str) -> Running {
    // Free a moment ago: mosquitto cannot say which port it took.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mosquitto.conf");
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n{more}");
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new("mosquitto")
        .env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin")
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto is there: tests/needs.sh installs it");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.ends_with(" running")).expect("mosquitto runs");
    std::thread::spawn(move || lines.for_each(drop));
    Running { address, pid: child.id(), process: Process::Mosquitto { child, _dir: dir } }
}

/// What `mosquitto -h` calls itself.
pub fn mosquitto_version() -> String {
    let path = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin";
    let output = Command::new("mosquitto").env("PATH", path).arg("-h").output().expect("mosquitto is there");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// This program again, as something to talk to.
fn own(what: &str) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut address = String::new();
    stdout.read_line(&mut address).unwrap();
    let (address, pid) = (address.trim().to_owned(), child.id());
    Running { address, pid, process: Process::Own { child, stdin, stdout } }
}
