//! The files' own broker configuration, environment and healthchecks, with the real Mosquitto and the real agent.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::device::{Device, until_true};
use super::files::{after, base, environment, root, strings, text};

const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin";

/// Mosquitto with broker/mosquitto.conf; of that only the port and the directory of its data are other ones.
struct Broker {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Broker {
    fn start() -> Broker {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let child = Broker::run(&dir, port);
        Broker { child, dir, port }
    }

    fn run(dir: &tempfile::TempDir, port: u16) -> Child {
        let conf = text("broker/mosquitto.conf");
        let (listener, location) = (after(&conf, "listener"), after(&conf, "persistence_location"));
        let here = dir.path().display().to_string();
        let conf = conf
            .replace(&format!("listener {}", listener[0]), &format!("listener {port} 127.0.0.1"))
            .replace(location[0], &here)
            // As root it would become another user, who may not write there.
            + "\nuser root\n";
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(&file, conf).expect("written");
        let mut child = Command::new("mosquitto")
            .env("PATH", PATH)
            // As chatty as it can be: that it runs is information, which its file does not ask for.
            .args(["-v", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mosquitto is there: make test installs it");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let mut said = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("mosquitto refuses its file:\n{}", said.join("\n")));
            if line.ends_with(" running") {
                break;
            }
            said.push(line);
        }
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    /// An orderly end and another start, as `docker compose restart mosquitto`.
    fn restart(&mut self) {
        self.end();
        self.child = Broker::run(&self.dir, self.port);
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::TERM).expect("told to end");
        self.child.wait().expect("ended");
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments);
        command.output().expect("mosquitto's clients are there: make test installs them")
    }

    /// The retained message of a topic, waited for.
    fn retained(&self, topic: &str) -> String {
        let output = self.client("mosquitto_sub", &["-t", topic, "-C", "1", "-W", "5", "--retained-only"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The service's own healthcheck, on the port that it has here.
    fn is_healthy(&self) -> bool {
        let check = strings(&base()["services"]["mosquitto"]["healthcheck"]["test"]);
        let arguments = check[2..].iter().map(|word| if word == "1883" { self.port.to_string() } else { word.clone() });
        Command::new(&check[1]).args(arguments).output().expect("the healthcheck runs").status.success()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the range from which the kernel gives ports away: it stays free while the broker is down. No two tests get the same.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id();
    let mut ports = std::iter::from_fn(|| Some(TRIED.fetch_add(1, Ordering::Relaxed)))
        .take(20_000)
        .map(|tried| 10_000 + u16::try_from(first.wrapping_add(tried.wrapping_mul(7)) % 20_000).unwrap_or(0));
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

#[test]
fn the_broker_keeps_retained_messages_through_a_restart_and_its_healthcheck_says_whether_it_runs() {
    let mut broker = Broker::start();
    assert!(broker.is_healthy());
    let sent = broker.client("mosquitto_pub", &["-q", "1", "-r", "-t", "flotta/metrics/cpu", "-m", "20"]);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    broker.restart();
    assert_eq!(broker.retained("flotta/metrics/cpu"), "20");
    broker.end();
    assert!(!broker.is_healthy());
}

#[test]
fn a_metric_starts_an_example_over_the_broker_and_the_agent_s_end_says_offline() {
    let broker = Broker::start();
    let mut device = Device::new();
    let mut env = environment(&base()["services"]["agent"]);
    // What is this machine's in the test; all else is as in the container.
    env.insert("EDGE_DEVICE_MQTT_BROKER".into(), format!("mqtt://127.0.0.1:{}", broker.port));
    env.insert("EDGE_DEVICE_HTTP_LISTEN".into(), "127.0.0.1:0".into());
    env.insert("EDGE_DEVICE_STATE_DIR".into(), device.path("state").display().to_string());
    env.insert("EDGE_DEVICE_MANIFESTS_DIR".into(), root().join("examples/manifests").display().to_string());
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let agent = device.start_with(&env);
    let http = agent.http.clone();
    let status = "flotta/devices/my-device/status";
    until_true("the agent says over the broker that it is there", || {
        broker.retained(status).contains("\"state\":\"online\"")
    });
    until_true("a metric starts the example", || {
        broker.client("mosquitto_pub", &["-q", "1", "-t", "flotta/metrics/cpu", "-m", "20"]);
        let all = device.agent().get("/api/v1/workloads");
        all.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "hello" && one["state"] == "running"))
    });
    let check = strings(&base()["services"]["agent"]["healthcheck"]["test"]);
    assert_eq!(check[1], "flotta-agent");
    let is_healthy = || {
        let mut command = device.command();
        command.args(&check[2..]).env("EDGE_DEVICE_HTTP_LISTEN", &http).output().expect("it runs").status.code()
    };
    assert_eq!(is_healthy(), Some(0));
    assert_eq!(device.terminate(), Some(0));
    assert_eq!(broker.retained(status), "{\"state\":\"offline\"}");
    for name in ["hello", "ticker"] {
        let last = broker.retained(&format!("flotta/devices/my-device/workloads/default/{name}/status"));
        assert!(last.contains("\"inactive\""), "it was stopped, and the broker holds: {last}");
    }
}

#[test]
fn what_the_broker_takes_is_never_too_large_for_the_agent_to_read() {
    let broker = Broker::start();
    let mut device = Device::new();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    device.start_with(&[("EDGE_DEVICE_MQTT_BROKER", &url)]);
    let agent = device.agent();
    let link = || agent.get("/api/v1/device")["broker"]["state"].clone();
    until_true("the agent connects", || link() == "connected");
    let publish = |bytes: usize| {
        let file = device.path("payload");
        std::fs::write(&file, vec![b'1'; bytes]).expect("written");
        let file = file.display().to_string();
        broker.client("mosquitto_pub", &["-q", "1", "-r", "-t", "flotta/metrics/x", "-f", &file]).status.success()
    };
    // The packet has the topic besides. Where there is no limit the agent would read this again at each connection.
    assert!(!publish(256 * 1024), "the broker has no limit, or a higher one than the agent");
    assert!(publish(256 * 1024 - 100));
    until_true("the agent has read it, and refuses it as a metric", || {
        agent.request("GET", "/metrics", &[], b"").1.contains("\nflotta_refused_total{")
    });
    assert_eq!(link(), "connected");
}
