//! The built agent as a process of its own, on free ports and in a directory of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// An agent that runs; told to end when it is dropped.
pub struct Agent {
    child: Child,
    pub http: String,
    pub mqtt: String,
    pub dir: tempfile::TempDir,
}

impl Agent {
    /// Until it is ready. `env` goes over what is set here: what runs is stopped when the agent ends.
    pub fn start(binary: &Path, manifests: &[(String, String)], env: &[(&str, &str)]) -> Agent {
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
            .envs(env.iter().copied())
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

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn counter(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("x 0");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    }

    pub fn held(&self, name: &str) -> Option<f64> {
        let all: serde_json::Value = serde_json::from_str(&self.get("/api/v1/metrics")).unwrap();
        all.as_array().unwrap().iter().find(|m| m["name"] == name).and_then(|m| m["value"].as_f64())
    }

    pub fn until_states(&self, state: &str, count: usize) {
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
