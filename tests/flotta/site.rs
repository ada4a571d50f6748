//! A server, and a device that is configured for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use flotta_standin::{Approval, End, Exchange, Operation, Options, Standin, Watch};
use serde_json::{Value, json};

use super::device::Device;

/// The device's id.
pub const ID: &str = "toto";

pub struct Site {
    /// What the server runs on; a test is a plain thread beside it.
    runtime: tokio::runtime::Runtime,
    pub server: Standin,
    pub device: Device,
    start: Watch,
    /// Where the reading of each kind of exchange has got to.
    seen: RefCell<HashMap<Operation, Watch>>,
}

impl Site {
    pub fn new() -> Site {
        Site::with(Options::default())
    }

    pub fn with(options: Options) -> Site {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let options = Options { deadline: super::device::deadline(), ..options };
        let server = runtime.block_on(Standin::start(options)).expect("a server");
        let start = server.watch();
        let site = Site { runtime, server, start, device: Device::new(), seen: RefCell::default() };
        site.write_certificates();
        site
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.device.path(name)
    }

    /// What an administrator brings to the device.
    pub fn write_certificates(&self) {
        let (certificate, key) = self.server.registration_pem();
        std::fs::write(self.file("ca.pem"), self.server.ca_pem()).expect("written");
        std::fs::write(self.file("register.pem"), certificate).expect("written");
        std::fs::write(self.file("register.key"), key).expect("written");
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.file(name).display().to_string();
        [
            ("DEVICE_ID", ID.to_owned()),
            ("SERVER", self.server.url()),
            ("CA_ROOT", path("ca.pem")),
            ("CERT", path("register.pem")),
            ("KEY", path("register.key")),
        ]
        .map(|(name, value)| (format!("EDGE_DEVICE_{name}"), value))
        .into()
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    pub fn start_with(&mut self, more: &[(&str, &str)]) {
        let environment = self.environment();
        let own = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        self.device.start_with(&all);
    }

    /// Heartbeats and questions come every second.
    pub fn quick(&self) {
        self.configure(json!({ "heartbeat": { "period_seconds": 1 } }));
    }

    pub fn configure(&self, configuration: Value) {
        self.server.set_configuration(ID, configuration);
    }

    /// The next exchange of a kind that fits; what was waited for before is behind it.
    pub fn wait(&self, operation: Operation, what: &str, fits: impl Fn(&Exchange) -> bool) -> Arc<Exchange> {
        let mut seen = self.seen.borrow_mut();
        let watch = seen.entry(operation).or_insert_with(|| self.start.clone());
        let fits = |exchange: &Exchange| exchange.operation == operation && fits(exchange);
        match self.runtime.block_on(watch.next(fits)) {
            Ok(exchange) => exchange,
            Err(why) => panic!("{operation:?} {what}: {why}; the agent says {:#}", self.says()),
        }
    }

    /// The next exchange of a kind that the server answers with a status.
    pub fn answered(&self, operation: Operation, status: u16) -> Arc<Exchange> {
        self.wait(operation, &status.to_string(), |exchange| exchange.status == status && exchange.end == End::Answered)
    }

    /// What came before is behind all that is waited for from now on.
    pub fn from_now(&mut self) {
        self.start = self.server.watch();
        self.seen.borrow_mut().clear();
    }

    /// What the device object says of the server.
    pub fn says(&self) -> Value {
        self.device.agent().get("/api/v1/device")["server"].clone()
    }

    pub fn until_says(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        super::device::until_true(what, || wanted(&self.says()));
        self.says()
    }

    pub fn until_state(&self, state: &str) -> Value {
        self.until_says(state, |says| says["state"] == state)
    }

    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Who has to be asked.
pub fn manual() -> Options {
    Options { approval: Approval::Manual, ..Options::default() }
}
