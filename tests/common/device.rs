//! A device in a temporary directory: manifests, state, and an agent on free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest wait for anything that has to happen; FLOTTA_TEST_DEADLINE says another one, in seconds (emulated machines).
pub fn deadline() -> Duration {
    let told = std::env::var("FLOTTA_TEST_DEADLINE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(told.unwrap_or(60))
}

pub struct Device {
    dir: tempfile::TempDir,
    pub agent: Option<Agent>,
    /// Where its podman listens; unless said, nowhere.
    pub podman: PathBuf,
    /// Where a user's podman listens; unless said, nowhere.
    pub rootless: PathBuf,
}

pub struct Agent {
    child: Child,
    pub http: String,
    pub mqtt: String,
    /// Lines that it has logged until now.
    logged: Arc<AtomicU64>,
    /// What it has logged, of one that logs everything.
    log: Arc<Mutex<String>>,
}

impl Device {
    pub fn new() -> Device {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("manifests")).expect("made");
        let podman = dir.path().join("no-podman.sock");
        let rootless = podman.clone();
        Device { dir, agent: None, podman, rootless }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the files of its pods are: in memory, where the machine has a place for that.
    pub fn runtime_dir(&self) -> PathBuf {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { memory.join(format!("flotta-test-{}", self.tag())) } else { self.path("runtime") }
    }

    /// A name that nothing else on the machine has.
    pub fn tag(&self) -> String {
        self.dir.path().file_name().expect("a name").to_string_lossy().trim_start_matches('.').to_lowercase()
    }

    pub fn manifest(&self, name: &str, text: &str) {
        let beside = self.path("manifests").join(format!(".{name}.tmp"));
        std::fs::write(&beside, text).expect("written");
        std::fs::rename(beside, self.path("manifests").join(name)).expect("renamed");
    }

    pub fn delete(&self, name: &str) {
        std::fs::remove_file(self.path("manifests").join(name)).expect("deleted");
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotta-agent"));
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("EDGE_DEVICE_STATE_DIR", self.path("state"))
            .env("EDGE_DEVICE_MANIFESTS_DIR", self.path("manifests"))
            .env("EDGE_DEVICE_HTTP_LISTEN", "127.0.0.1:0")
            .env("EDGE_DEVICE_MQTT_LISTEN", "127.0.0.1:0")
            .env("EDGE_DEVICE_PODMAN_SOCKET", &self.podman)
            .env("EDGE_DEVICE_PODMAN_RUNTIME_DIR", self.runtime_dir())
            .env("EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET", &self.rootless);
        command
    }

    pub fn start(&mut self) -> &Agent {
        self.start_with(&[])
    }

    pub fn start_with(&mut self, env: &[(&str, &str)]) -> &Agent {
        let mut command = self.command();
        command.envs(env.iter().copied());
        self.launch(command)
    }

    /// Starts the agent with a command line of the test's own.
    pub fn launch(&mut self, mut command: Command) -> &Agent {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the agent starts");
        let stderr = child.stderr.take().expect("piped");
        let (lines, log) = channel();
        let logged = Arc::new(AtomicU64::new(0));
        let count = logged.clone();
        let all = Arc::new(Mutex::new(String::new()));
        let keep =
            command.get_envs().any(|(name, value)| name == "EDGE_DEVICE_LOG_LEVEL" && value == Some("trace".as_ref()));
        let kept = keep.then(|| all.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                count.fetch_add(1, Relaxed);
                if let Some(kept) = &kept {
                    let mut kept = kept.lock().expect("whole");
                    kept.push_str(&line);
                    kept.push('\n');
                }
                if std::env::var_os("FLOTTA_TEST_LOG").is_some() {
                    eprintln!("{line}");
                }
                // The test is over: the pipe is still read, so that the agent never waits for it.
                let _ = lines.send(line);
            }
        });
        let mut seen = Vec::new();
        let ready = loop {
            match log.recv_timeout(deadline()) {
                Ok(line) => {
                    let json: Value = serde_json::from_str(&line).unwrap_or_default();
                    if json["message"] == "ready" {
                        break json;
                    }
                    seen.push(line);
                }
                Err(_) => panic!("the agent does not get ready; it said:\n{}", seen.join("\n")),
            }
        };
        let at = |what: &str| ready[what].as_str().unwrap_or_default().to_owned();
        self.agent = Some(Agent { child, http: at("http"), mqtt: at("mqtt"), logged, log: all });
        self.agent.as_ref().expect("just put there")
    }

    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("an agent runs")
    }

    /// kill -9, and gone.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.child.kill().expect("killed");
            agent.child.wait().expect("reaped");
        }
    }

    /// Starts an agent and kills it after `wait`, ready or not.
    #[allow(dead_code, reason = "not all tests with an agent kill it so young")]
    pub fn start_and_kill(&self, wait: impl FnOnce()) {
        let mut command = self.command();
        let said = if std::env::var_os("FLOTTA_TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let mut child = command.spawn().expect("the agent starts");
        wait();
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    /// SIGTERM, and gone; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().expect("an agent runs");
        agent.signal(Signal::TERM);
        agent.child.wait().expect("reaped").code()
    }

    /// Runs the binary as a client of the running agent.
    pub fn client(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.command();
        let output = command.args(arguments).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.kill();
        // An agent with nothing to run takes away what is left.
        let _ = std::fs::remove_dir_all(self.path("manifests"));
        let _ = std::fs::create_dir(self.path("manifests"));
        if self.path("state").exists() && !std::thread::panicking() {
            self.start_with(&[("EDGE_DEVICE_WORKLOADS_ON_EXIT", "stop")]);
            self.terminate();
        }
        for pid in super::processes::with_env("FLOTTA_TEST", &self.tag()).keys() {
            let _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = std::fs::remove_dir_all(self.runtime_dir());
    }
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged; kept of one that is started with EDGE_DEVICE_LOG_LEVEL=trace.
    #[allow(dead_code, reason = "not all tests with an agent read its log")]
    pub fn log(&self) -> String {
        self.log.lock().expect("whole").clone()
    }

    #[allow(dead_code, reason = "not all tests that start an agent count them")]
    pub fn logged(&self) -> u64 {
        self.logged.load(Relaxed)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("signalled");
    }

    /// A request; status code and body.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).expect("connected");
        stream.set_read_timeout(Some(deadline())).expect("set");
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.http));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        // A refusal may come before all of the body was read.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned());
        (code, body)
    }

    pub fn get(&self, path: &str) -> Value {
        let (code, body) = self.request("GET", path, &[], b"");
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|why| panic!("{path}: {why}: {body}"))
    }

    pub fn set(&self, name: &str, value: f64) {
        let body = format!("{{\"name\":\"{name}\",\"value\":{value}}}");
        let (code, answer) = self.request("POST", "/metrics", &[], body.as_bytes());
        assert_eq!(code, 204, "{answer}");
    }

    /// Follows the events until one makes `seen` say so.
    pub fn follow<T>(&self, what: &str, mut seen: impl FnMut(&Value) -> Option<T>) -> T {
        let mut stream = TcpStream::connect(&self.http).expect("connected");
        stream.set_read_timeout(Some(deadline())).expect("set");
        let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", self.http);
        stream.write_all(head.as_bytes()).expect("sent");
        let begin = seconds();
        for line in BufReader::new(stream).lines() {
            // The stream says now and then that it is alive, so that reading it does not time out.
            let late = seconds().saturating_sub(begin) > deadline().as_secs();
            assert!(!late, "{what}: not within {} s; now: {}", deadline().as_secs(), self.get("/api/v1/workloads"));
            let line = line.unwrap_or_else(|why| panic!("{what}: {why}; now: {}", self.get("/api/v1/workloads")));
            let Some(data) = line.strip_prefix("data:") else { continue };
            let event: Value = serde_json::from_str(data.trim()).expect("an event");
            if let Some(found) = seen(&event) {
                return found;
            }
        }
        panic!("{what}: the events ended");
    }

    /// Waits until a workload's object is as wanted: looks at it now, and after each event.
    pub fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let all = self.get("/api/v1/workloads");
            all.as_array().expect("an array").iter().find(|w| w["name"] == name && wanted(w)).cloned()
        };
        if let Some(found) = look() {
            return found;
        }
        self.follow(&format!("{name}: {what}"), |_| look())
    }

    pub fn until_state(&self, name: &str, state: &str) -> Value {
        self.until(name, state, |workload| workload["state"] == state)
    }
}

pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Asks again and again, within the deadline, for what tells nobody when it changes.
pub fn until_true(what: &str, mut is_true: impl FnMut() -> bool) {
    until_true_or(what, || if is_true() { None } else { Some(String::new()) });
}

/// The same, of what can say how it is instead.
pub fn until_true_or(what: &str, mut is_not: impl FnMut() -> Option<String>) {
    let begin = seconds();
    while let Some(now) = is_not() {
        let waited = seconds().saturating_sub(begin);
        assert!(waited < deadline().as_secs(), "{what}: not within {} s; now: {now}", deadline().as_secs());
        #[expect(clippy::disallowed_methods, reason = "the broker's clients are asked again, nothing rings")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Of the monotonic clock.
pub fn seconds() -> u64 {
    millis() / 1000
}

/// Of the monotonic clock.
pub fn millis() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)).unwrap_or(0)
}
