//! A server, and a device that is configured for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotta_standin::{Approval, End, Exchange, Fault, Gate, Operation, Options, Standin, Watch};
use rustix::process::Signal;
use serde_json::Value;

use super::device::{Device, seconds};
pub use super::tools::{Seen, files, side_by_side};
pub use super::wanted::{gated, pod, quick};

/// The device's id.
pub const ID: &str = "toto";
/// Where hurrying looks again whether it helped.
const HURRY: Duration = Duration::from_millis(25);

pub struct Site {
    /// What the server runs on; a test is a plain thread beside it.
    runtime: tokio::runtime::Runtime,
    pub server: Standin,
    pub device: Device,
    start: Watch,
    /// Where the reading of each kind of exchange has got to.
    seen: RefCell<HashMap<Operation, Watch>>,
    /// What the device asks of itself beside the usual.
    more: Vec<(String, String)>,
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
        let (seen, more) = (RefCell::default(), Vec::new());
        let site = Site { runtime, server, start, device: Device::new(), seen, more };
        site.write_certificates();
        site
    }

    /// Whose pods run on the podman under the tests; `None`: there is none to be had (said).
    pub fn with_podman(options: Options) -> Option<Site> {
        let podman = super::service::podman()?;
        let mut site = Site::with(options);
        site.device.podman.clone_from(&podman.socket);
        Some(site)
    }

    /// A device that has taken this configuration and these workloads, and is connected.
    pub fn up(configuration: Value, workloads: Value) -> Site {
        Site::up_with(Options::default(), configuration, workloads)
    }

    pub fn up_with(options: Options, configuration: Value, workloads: Value) -> Site {
        let mut site = Site::with(options);
        site.join(configuration, workloads);
        site
    }

    /// Starts the agent; what it is to do is there before it asks the first time.
    pub fn join(&mut self, configuration: Value, workloads: Value) {
        let gate = Gate::new();
        self.server.fault(Operation::Enrolment, Fault::held(&gate).of(ID));
        self.start();
        self.answered(Operation::Enrolment, 200);
        self.server.set_configuration(ID, configuration);
        self.server.set_workloads(ID, workloads);
        gate.open();
        self.answered(Operation::Registration, 200);
        self.answered(Operation::Get, 200);
        self.answered(Operation::Heartbeat, 200);
        self.until_state("connected");
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

    /// Sets a variable of the agent's environment from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = format!("EDGE_DEVICE_{name}");
        self.more.retain(|(other, _)| *other != name);
        self.more.push((name, value.to_owned()));
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.file(name).display().to_string();
        let own = [
            ("DEVICE_ID", ID.to_owned()),
            ("SERVER", self.server.url()),
            ("CA_ROOT", path("ca.pem")),
            ("CERT", path("register.pem")),
            ("KEY", path("register.key")),
        ];
        let own = own.map(|(name, value)| (format!("EDGE_DEVICE_{name}"), value));
        own.into_iter().chain(self.more.iter().cloned()).collect()
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        let environment = self.environment();
        let all: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.device.start_with(&all);
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

    /// The same, and the agent is told to hurry (SIGHUP, as a person would) until it comes.
    pub fn hurried(&self, operation: Operation, what: &str, fits: impl Fn(&Exchange) -> bool) -> Arc<Exchange> {
        let mut seen = self.seen.borrow_mut();
        let watch = seen.entry(operation).or_insert_with(|| self.start.clone());
        self.hurried_from(watch, what, |exchange| exchange.operation == operation && fits(exchange))
    }

    /// The same, of any kind of exchange, from a place in the log on.
    pub fn hurried_from(&self, watch: &mut Watch, what: &str, fits: impl Fn(&Exchange) -> bool) -> Arc<Exchange> {
        let begin = seconds();
        loop {
            self.device.agent().signal(Signal::HUP);
            let found = self.runtime.block_on(async { tokio::time::timeout(HURRY, watch.next(&fits)).await });
            if let Ok(Ok(exchange)) = found {
                return exchange;
            }
            let late = seconds().saturating_sub(begin) > super::device::deadline().as_secs();
            assert!(!late, "{what}: hurrying does not help; the agent says {:#}", self.says());
        }
    }

    /// What came before is behind all that is waited for from now on.
    pub fn onwards(&mut self) {
        self.start = self.server.watch();
        self.seen.borrow_mut().clear();
    }

    /// So many heartbeats that are taken, from now on.
    pub fn beats(&self, number: usize) -> Vec<Arc<Exchange>> {
        let mut watch = self.server.watch();
        let taken = |exchange: &Exchange| exchange.operation == Operation::Heartbeat && exchange.status == 200;
        let mut next =
            || self.block(watch.next(taken)).unwrap_or_else(|why| panic!("a heartbeat: {why}; {:#}", self.says()));
        (0..number).map(|_| next()).collect()
    }

    /// So many answers to the question for the configuration, from now on.
    pub fn gets(&self, number: usize) {
        let mut watch = self.server.watch();
        for _ in 0..number {
            let whole = |exchange: &Exchange| exchange.operation == Operation::Get && exchange.status == 200;
            self.block(watch.next(whole)).unwrap_or_else(|why| panic!("a configuration: {why}; {:#}", self.says()));
        }
    }

    /// What the device object says of the server.
    pub fn says(&self) -> Value {
        self.device.agent().get("/api/v1/device")["server"].clone()
    }

    pub fn until_says(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut said = Value::Null;
        super::device::until_true_or(what, || {
            said = self.says();
            if wanted(&said) { None } else { Some(format!("{said:#}")) }
        });
        said
    }

    pub fn until_state(&self, state: &str) -> Value {
        self.until_says(state, |says| says["state"] == state)
    }

    /// Until the device says this about the server.
    pub fn until_words(&self, words: &str) -> Value {
        self.until_says(words, |says| says["message"].as_str().is_some_and(|message| message.contains(words)))
    }

    /// All is well: connected, and nothing is wrong.
    pub fn until_well(&self) -> Value {
        self.until_says("all is well", |says| says["state"] == "connected" && says["message"].is_null())
    }

    /// The workload's object once its state is this.
    pub fn until_workload(&self, name: &str, state: &str) -> Value {
        self.device.agent().until_state(name, state)
    }

    /// Until a gated workload waits for its gate; without a podman it is `error` all the same.
    pub fn until_waits(&self, name: &str) -> Value {
        self.until_object(name, "waits for its gate", |one| one["profiles"][0]["active"] == false)
    }

    /// Until the gate of a workload is open.
    pub fn until_open(&self, name: &str) -> Value {
        self.until_object(name, "its gate is open", |one| one["profiles"][0]["active"] == true)
    }

    /// Until a workload's object is like this, where no change of its state tells of it.
    pub fn until_object(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        super::device::until_true_or(&format!("{name}: {what}"), || {
            let all = self.device.agent().get("/api/v1/workloads");
            let one = all.as_array()?.iter().find(|one| one["name"] == name && wanted(one)).cloned();
            found = one.clone().unwrap_or_default();
            one.is_none().then(|| format!("{all:#}"))
        });
        found
    }

    /// Names of the workloads, in order.
    pub fn workloads(&self) -> Vec<String> {
        let all = self.device.agent().get("/api/v1/workloads");
        let mut names: Vec<String> =
            all.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
        names.sort_unstable();
        names
    }

    /// What a person should mend, as one text.
    pub fn problems(&self) -> String {
        self.device.agent().get("/api/v1/device")["problems"].to_string()
    }

    /// One number of `GET /metrics`.
    pub fn counted(&self, name: &str) -> u64 {
        let (_, text) = self.device.agent().request("GET", "/metrics", &[], b"");
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '_'])?.split(' ').next_back());
        let value = value.unwrap_or_else(|| panic!("{name} is not in {text}"));
        value.parse::<f64>().map(|value| value as u64).expect("a number")
    }

    pub fn status_command(&self) -> String {
        let url = format!("http://{}", self.device.agent().http);
        let (code, text) = self.device.client(&["status", "--url", &url]);
        assert_eq!(code, 0, "{text}");
        text
    }

    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for Site {
    /// The server falls over nulls: none may be in anything that was ever sent.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for exchange in self.server.exchanges() {
            let request = &exchange.request;
            assert!(exchange.request_bytes == 0 || request.is_object(), "no message: {exchange:?}");
            assert!(exchange.request_bytes == 0 || !has_null(request), "{request:#}");
            // Kubernetes refuses these without (contract, section 5.4).
            for hardware in [&request["content"]["hardware"], &request["content"]["features"]["hardware"]] {
                assert!(hardware["cpu"].is_null() || hardware["cpu"]["flags"].is_array(), "{hardware:#}");
                let mut interfaces = hardware["interfaces"].as_array().into_iter().flatten();
                assert!(interfaces.all(|interface| interface["flags"].is_array()), "{hardware:#}");
            }
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(all) => all.values().any(has_null),
        _ => false,
    }
}

/// Who has to be asked.
pub fn manual() -> Options {
    Options { approval: Approval::Manual, ..Options::default() }
}
