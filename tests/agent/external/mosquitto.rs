//! Mosquitto, on a port that stays its own while it is down.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::device::{deadline, until_true};

const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin";

pub struct Mosquitto {
    child: Child,
    pub port: u16,
    dir: tempfile::TempDir,
    /// With which the clients log in.
    login: Option<(String, String)>,
}

impl Mosquitto {
    /// With these lines in its configuration.
    pub fn start(config: &str) -> Mosquitto {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let child = run(&dir, port, config);
        Mosquitto { child, port, dir, login: None }
    }

    /// With users: name and password. `acl`: an ACL file's lines.
    pub fn with_users(users: &[(&str, &str)], acl: &str) -> Mosquitto {
        let dir = tempfile::tempdir().expect("a directory");
        let (passwords, rules) = (dir.path().join("passwords"), dir.path().join("acl"));
        std::fs::write(&passwords, "").expect("written");
        for (user, password) in users {
            let made = Command::new("mosquitto_passwd")
                .env("PATH", PATH)
                .arg("-b")
                .arg(&passwords)
                .args([user, password])
                .output();
            assert!(made.expect("mosquitto_passwd").status.success());
        }
        let mut config = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
        if !acl.is_empty() {
            std::fs::write(&rules, acl).expect("written");
            config.push_str(&format!("acl_file {}\n", rules.display()));
        }
        let port = free_port();
        let child = run(&dir, port, &config);
        let login = users.first().map(|(user, password)| ((*user).to_owned(), (*password).to_owned()));
        Mosquitto { child, port, dir, login }
    }

    /// SIGKILL, and gone: what it held in memory is lost.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// SIGTERM, and gone: what it persists is written. Told again and again, as it forgets what comes while it starts.
    pub fn stop(&mut self) {
        until_true("mosquitto ends", || {
            self.signal(Signal::TERM);
            self.child.try_wait().expect("asked").is_some()
        });
    }

    /// After [`Mosquitto::kill`] or [`Mosquitto::stop`].
    pub fn start_again(&mut self, config: &str) {
        self.child = run(&self.dir, self.port, config);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("signalled");
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", PATH).args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1"]);
        if let Some((user, password)) = &self.login {
            command.args(["-u", user, "-P", password]);
        }
        command
    }

    pub fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let mut command = self.client("mosquitto_pub");
        command.args(["-t", topic, "-s"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if retain {
            command.arg("-r");
        }
        let mut child = command.spawn().expect("mosquitto_pub");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(payload.as_bytes()).expect("written");
        drop(stdin);
        assert!(child.wait().expect("reaped").success(), "{topic}");
    }

    /// What the broker holds under a filter now: topic, blank, payload.
    pub fn retained(&self, filter: &str) -> String {
        let output = self.client("mosquitto_sub").args(["-v", "-t", filter, "--retained-only", "-W", "1"]).output();
        text(&output.expect("mosquitto_sub"))
    }

    /// From now on the broker keeps events for [`Mosquitto::events`], through restarts if it persists.
    pub fn keep_events(&self) {
        let output = self
            .client("mosquitto_sub")
            .args(["-c", "-i", "auditor", "-t", "flotta/devices/toto/events", "-E"])
            .output();
        assert!(output.expect("mosquitto_sub").status.success());
    }

    /// The kept events until the one with the number `last`.
    pub fn events(&self, last: u64) -> Vec<Value> {
        let mut command = self.client("mosquitto_sub");
        command.args([
            "-c",
            "-i",
            "auditor",
            "-t",
            "flotta/devices/toto/events",
            "-W",
            &deadline().as_secs().to_string(),
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("mosquitto_sub");
        let mut events = Vec::new();
        for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
            events.push(serde_json::from_str::<Value>(&line).expect("an event"));
            if events.last().is_some_and(|event| event["seq"] == last) {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(events.last().is_some_and(|event| event["seq"] == last), "no event {last} in {events:?}");
        events
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another client's connection; over when it is dropped.
pub fn connect(broker: &Mosquitto) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("connected");
    stream.set_read_timeout(Some(deadline())).expect("set");
    // CONNECT with a clean session, no keep-alive, the client id "x".
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x").expect("sent");
    let mut answer = [0xff; 4];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [0x20, 2, 0, 0], "accepted");
    stream
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(dir: &tempfile::TempDir, port: u16, config: &str) -> Child {
    let file = dir.path().join("mosquitto.conf");
    let anonymous = if config.contains("allow_anonymous") { "" } else { "allow_anonymous true\n" };
    // Started by root it would become a user that cannot write to the directory.
    let all = format!(
        "user root\nlistener {port} 127.0.0.1\n{anonymous}persistence_location {}/\n{config}",
        dir.path().display()
    );
    std::fs::write(&file, all).expect("written");
    let mut child = Command::new("mosquitto")
        .env("PATH", PATH)
        .arg("-v")
        .arg("-c")
        .arg(&file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("mosquitto is there: make test installs it");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    if !lines.any(|line| line.ends_with(" running")) {
        panic!("mosquitto does not run: {:?}", child.wait());
    }
    // Its log is read on, so that it never waits for it.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Below the range from which the kernel gives ports away: it stays free while the broker is down. Each is given out once.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(n < 20_000, "a free port");
        let port = 10_000 + (std::process::id() * 61 + n * 7) % 20_000;
        let port = u16::try_from(port).expect("small");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
