//! A broker elsewhere: real Mosquitto, that comes and goes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::device::{Device, until_true};

struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    fn start(port: u16) -> Mosquitto {
        let path = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin";
        let mut child = Command::new("mosquitto")
            .env("PATH", path)
            .args(["-v", "-p", &port.to_string()])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("mosquitto is there: make test installs it");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        lines.find(|line| line.ends_with(" running")).expect("mosquitto runs");
        std::thread::spawn(move || lines.for_each(drop));
        Mosquitto { child, port }
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let port = self.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", payload]);
        if retain {
            command.arg("-r");
        }
        let sent = command.output().expect("mosquitto_pub");
        assert!(sent.status.success(), "{topic}: {}", String::from_utf8_lossy(&sent.stderr));
    }

    /// What the broker holds under a filter now.
    fn retained(&self, filter: &str) -> String {
        let port = self.port.to_string();
        let output = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-v", "-t", filter, "--retained-only", "-W", "1"])
            .output()
            .expect("mosquitto_sub");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the range from which the kernel gives ports away: it stays free while the broker is down.
fn free_port() -> u16 {
    let first = u16::try_from(std::process::id() % 20_000).expect("small");
    let mut ports = (0..20_000).map(|n| 10_000 + u16::try_from((u32::from(first) + n * 7) % 20_000).unwrap_or(0));
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

#[test]
fn an_external_broker_carries_everything_and_may_come_and_go() {
    let port = free_port();
    let mut broker = Mosquitto::start(port);
    // Of a life of this device before: no longer true.
    broker.publish("flotta/devices/toto/workloads/default/old/status", "{}", true);
    let mut device = Device::new();
    device.manifest("device.yaml", "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec: { profiles: [ { name: p, conditions: [ { name: c, expression: \"x == 1\" } ] } ] }\n");
    device.manifest("w.yaml", "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: w }\nspec: { type: shell, profiles: [ { name: p } ], shell: { command: [ sleep, \"1000\" ] } }\n");
    let url = format!("mqtt://127.0.0.1:{port}");
    device.start_with(&[("EDGE_DEVICE_MQTT_BROKER", &url)]);
    let agent = device.agent();
    let link = |agent: &super::device::Agent| agent.get("/api/v1/device")["broker"]["state"].clone();
    until_true("the agent connects", || link(agent) == "connected");
    until_true("the status is there and the old one is cleared", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("/default/w/status") && held.contains("profiles/p") && !held.contains("/default/old/status")
    });
    until_true("a metric arrives", || {
        broker.publish("flotta/metrics/x", "1", false);
        agent.get("/api/v1/workloads")[0]["state"] == "running"
    });
    broker.kill();
    until_true("the loss is noticed", || link(agent) == "disconnected");
    agent.set("x", 0.0);
    agent.until_state("w", "inactive");
    // Mosquitto without persistence has forgotten everything: all of it is said again.
    let broker = Mosquitto::start(port);
    until_true("it is all said again", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("\"inactive\"") && held.contains("\"state\":\"online\"") && held.contains("profiles/p")
    });
    device.kill();
    until_true("the last will says so", || {
        broker.retained("flotta/devices/toto/status").contains("{\"state\":\"offline\"}")
    });
}
