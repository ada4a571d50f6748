//! A server in this process, and an agent that is a process of its own and configured for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotta_standin::{End, Exchange, Operation, Options, Protocols, Standin, Watch};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::agent::Agent;

/// The device's id.
pub const ID: &str = "bench-device-1";

pub struct Site {
    runtime: Runtime,
    pub server: Standin,
    watch: Watch,
    files: tempfile::TempDir,
}

impl Site {
    /// With a configuration of `workloads` workloads, none of which may run, and this period.
    pub fn new(protocols: Protocols, period: u64, workloads: usize) -> Site {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options =
            Options { protocols, keep_bodies: false, deadline: Duration::from_secs(300), ..Options::default() };
        let server = runtime.block_on(Standin::start(options)).unwrap();
        let files = tempfile::tempdir().unwrap();
        write_files(&server, files.path());
        // Before it comes: else it would hear of the period one default period late.
        server.enrol(ID);
        server.set_configuration(ID, configuration(period));
        server.set_workloads(ID, (0..workloads).map(workload).collect());
        let watch = server.watch();
        Site { runtime, server, watch, files }
    }

    /// What the agent is told of the server.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.files.path().join(name).display().to_string();
        let all = [
            ("SERVER", self.server.url()),
            ("CA_ROOT", path("ca.pem")),
            ("CERT", path("register.pem")),
            ("KEY", path("register.key")),
        ];
        all.map(|(name, value)| (format!("EDGE_DEVICE_{name}"), value)).into()
    }

    pub fn start(&self, binary: &Path) -> Agent {
        start(binary, &self.environment())
    }

    /// The next answered exchange of a kind; what came before is behind it.
    pub fn next(&mut self, operation: Operation) -> Arc<Exchange> {
        let fits = |one: &Exchange| one.operation == operation && one.status == 200 && one.end == End::Answered;
        self.runtime.block_on(self.watch.next(fits)).unwrap()
    }

    /// The first answered exchange of a kind since the last [`Site::skip`].
    pub fn peek(&self, operation: Operation) -> Arc<Exchange> {
        let fits = |one: &Exchange| one.operation == operation && one.status == 200 && one.end == End::Answered;
        self.runtime.block_on(self.watch.clone().next(fits)).unwrap()
    }

    /// What came so far is behind.
    pub fn skip(&mut self) {
        self.watch = self.server.watch();
    }

    /// As many more heartbeats.
    pub fn beats(&mut self, count: u64) {
        for _ in 0..count {
            self.next(Operation::Heartbeat);
        }
    }
}

/// An agent without manifests and pods.
pub fn start(binary: &Path, environment: &[(String, String)]) -> Agent {
    let own = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all: Vec<(&str, &str)> = own.chain([("EDGE_DEVICE_DEVICE_ID", ID)]).collect();
    Agent::start(binary, &[], &all)
}

/// What an administrator brings to a device.
pub fn write_files(server: &Standin, into: &Path) {
    let (certificate, key) = server.registration_pem();
    std::fs::write(into.join("ca.pem"), server.ca_pem()).unwrap();
    std::fs::write(into.join("register.pem"), certificate).unwrap();
    std::fs::write(into.join("register.key"), key).unwrap();
}

/// As a server sends it, with one profile that is never true.
pub fn configuration(period: u64) -> Value {
    let never = json!({ "name": "gate", "conditions": [{ "name": "open", "expression": "gate > 0" }] });
    json!({ "heartbeat": { "period_seconds": period }, "profiles": [never] })
}

fn workload(number: usize) -> Value {
    let container = json!({
        "name": "web", "image": "quay.io/project-flotta/nginx:1.21.6",
        "ports": [{ "containerPort": 80, "hostPort": 9090 + number, "protocol": "TCP" }],
        "resources": { "limits": { "cpu": "500m", "memory": "64Mi" } },
    });
    json!({
        "name": format!("workload-{number}"), "namespace": "default", "kind": "pod",
        "specification": { "containers": [container] },
        "profiles": [{ "name": "gate", "conditions": [{ "name": "open", "cpu": { "cpu": 50_000 } }] }],
    })
}
