//! The agent's doors without an agent behind them: whoever asks is answered by the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use clap::Parser;
use flotta_agent::board::Board;
use flotta_agent::cli::{Action, Cli, Exit, Screen, run_client};
use flotta_agent::commands::Commands;
use flotta_agent::gates::Gates;
use flotta_agent::http::prometheus::{Counters, Family};
use flotta_agent::http::{self, Shared};
use flotta_agent::intake::Intake;
use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::WorkloadStatus;
use flotta_agent::model::time::{Mono, Wall};
use serde_json::{Value, json};

use super::device::deadline;

/// What the loop says to a command; `None`: it goes away without a word.
pub type Answer = Option<Result<String, String>>;

pub struct Desk {
    dir: tempfile::TempDir,
    pub socket: PathBuf,
    pub tcp: String,
    pub intake: Arc<Intake>,
    /// Each command that came through.
    pub asked: Receiver<Command>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct None_;

impl Counters for None_ {
    fn families(&self) -> Vec<Family> {
        Vec::new()
    }
}

impl Desk {
    /// With these workloads (`namespace/name`).
    pub fn with(workloads: &[&str], answer: impl Fn(&Command) -> Answer + Send + 'static) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let board = Arc::new(Board::new("toto".into(), Wall(0), deadline()));
        let statuses: Vec<_> = workloads.iter().map(|id| (WorkloadId::parse(id).unwrap(), Some(status(id)))).collect();
        board.post(&statuses, &[], Mono(0));
        board.set_planned();
        let intake = Arc::new(Intake::new(Gates::default()));
        let shared = Shared {
            board: board.clone(),
            intake: intake.clone(),
            counters: Arc::new(None_),
            hosts: Vec::new().into(),
            socket: socket.as_path().into(),
        };
        let (commands, mut inbox) = Commands::channel();
        let (tell, asked) = channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tcp = runtime.block_on(async {
            let (listener, tcp) = http::server::bind(([127, 0, 0, 1], 0).into(), &board).await;
            let bound = http::unix::bind(&socket, &board).await;
            tokio::spawn(http::server::serve(listener, http::router(shared.clone())));
            tokio::spawn(http::unix::serve(bound, http::router_with_commands(shared, commands)));
            tokio::spawn(async move {
                while let Some(asked) = inbox.recv().await {
                    let answer = answer(&asked.command);
                    let _ = tell.send(asked.command);
                    if let Some(answer) = answer {
                        let _ = asked.answer.send(answer);
                    }
                }
            });
            tcp.to_string()
        });
        Desk { dir, socket, tcp, intake, asked, runtime: Some(runtime) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Over the unix socket; status and body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        over(&self.socket, method, path, body)
    }

    /// Over TCP; status and body.
    pub fn ask_over_tcp(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let stream = TcpStream::connect(&self.tcp).unwrap();
        stream.set_read_timeout(Some(deadline())).unwrap();
        exchange(stream, method, path, body)
    }

    /// The client, with `--socket`.
    pub fn client(&self, words: &[&str]) -> (Exit, String) {
        client(&[words, &["--socket", self.socket.to_str().unwrap()]].concat())
    }

    /// What came through until now.
    pub fn commands(&self) -> Vec<Command> {
        self.asked.try_iter().collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The client's command in this process; what it said, errors too.
pub fn client(words: &[&str]) -> (Exit, String) {
    let cli = Cli::try_parse_from(["flotta-agent"].iter().chain(words)).unwrap();
    let Action::Client(command, settings) = cli.action() else { panic!("{words:?} is not a client's command") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run_client(&command, &settings, Screen::default(), &mut out, &mut err);
    (exit, String::from_utf8([out, err].concat()).unwrap())
}

pub fn over(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(deadline())).unwrap();
    exchange(stream, method, path, body)
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    // A refusal may come before all of it was read.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (code, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn status(id: &str) -> WorkloadStatus {
    let (namespace, name) = id.split_once('/').unwrap();
    let status = json!({
        "namespace": namespace, "name": name, "kind": "shell", "rootless": false, "state": "stopped",
        "reason": "Completed", "message": "ended well", "since": "2026-11-21T08:00:00.000Z",
        "observed_at": "2026-11-21T08:00:00.000Z", "hash": "0123456789ab", "restarts": 0, "warnings": [], "profiles": [],
    });
    serde_json::from_value(status).unwrap()
}
