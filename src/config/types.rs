//! The configuration as types: what the rest of the agent is handed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that is configured, checked. The meaning of each key is in [`super::keys::KEYS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `DEVICE_ID`; `None`: from the manifests, else from the machine (SPEC "Which EdgeDevice is ours").
    pub device_id: Option<String>,
    /// `LOG_LEVEL` and `log`.
    pub log: Log,
    /// `NAMESPACE`: where workloads of the Kubernetes kinds go.
    pub namespace: String,
    /// `XDG_RUNTIME_DIR` of the user whose podman runs rootless workloads.
    pub xdg_runtime_dir: PathBuf,
    /// `KUBECONFIG`.
    pub kubeconfig: Option<PathBuf>,
    /// `SERVER`, `CA_ROOT`, `CERT`, `KEY`.
    pub server: Server,
    /// `GRACEFUL_SHUTDOWN`: how long our own end may take.
    pub graceful_shutdown: Duration,
    /// `state`.
    pub state: State,
    /// `control`.
    pub control: Control,
    /// `manifests`.
    pub manifests: Manifests,
    /// `http`.
    pub http: Http,
    /// `mqtt`.
    pub mqtt: Mqtt,
    /// `metrics`.
    pub metrics: Metrics,
    /// `podman`.
    pub podman: Podman,
    /// `remote`.
    pub remote: Remote,
    /// `workloads`.
    pub workloads: Workloads,
    /// `cron.*`
    pub cron: Cron,
    /// `shim`: the program that is the parent of each shell run.
    pub shim: PathBuf,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `LOG_LEVEL`.
    pub level: LogLevel,
    /// `log.format`.
    pub format: LogFormat,
}

/// The least important line that is still logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything, each packet too.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// One line per decision.
    Info,
    /// What a person should look at.
    Warn,
    /// What does not work.
    Error,
}

impl LogLevel {
    /// As `tracing` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The Flotta server and what the device proves itself with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// `SERVER`.
    pub url: Option<String>,
    /// `CA_ROOT`.
    pub ca_root: Option<PathBuf>,
    /// `CERT`.
    pub cert: Option<PathBuf>,
    /// `KEY`.
    pub key: Option<PathBuf>,
}

/// Where the agent keeps what survives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `state.dir`; one agent per directory.
    pub dir: PathBuf,
}

impl State {
    /// `<state dir>/run/endpoints.json`: what was bound, for clients.
    #[must_use]
    pub fn endpoints(&self) -> PathBuf {
        self.dir.join("run").join("endpoints.json")
    }

    /// `<state dir>/run/control.sock`: where commands are taken, unless `control.socket` says otherwise.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.dir.join("run").join("control.sock")
    }
}

/// Commands from a person at this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `control.socket`.
    pub socket: PathBuf,
}

/// The directory of desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifests {
    /// `manifests.dir`.
    pub dir: PathBuf,
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http.listen`; port 0: any free one.
    pub listen: SocketAddr,
    /// `http.hosts`: what a request's `Host` may be, beside loopback.
    pub hosts: Vec<String>,
}

/// MQTT: which broker, and how we speak there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// `mqtt.root`: the first level or levels of every topic; no wildcards, no `/` at either end.
    pub root: String,
    /// `mqtt.broker`.
    pub broker: Broker,
    /// `mqtt.listen`, of the embedded broker; port 0: any free one.
    pub listen: SocketAddr,
    /// `mqtt.limits`, of the embedded broker.
    pub limits: flotta_broker::Limits,
    /// `mqtt.alive`: how often the device object is sent again; at least 1 s.
    pub alive: Duration,
    /// `mqtt.keep_alive`, of an external broker; at least 1 s.
    pub keep_alive: Duration,
    /// `mqtt.ca`.
    pub ca: Option<PathBuf>,
    /// `mqtt.cert`.
    pub cert: Option<PathBuf>,
    /// `mqtt.key`.
    pub key: Option<PathBuf>,
    /// `mqtt.username`.
    pub username: Option<String>,
    /// `mqtt.password_file`: a file with the password and nothing else.
    pub password_file: Option<PathBuf>,
}

/// Which broker carries our topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// Our own, in this process.
    Embedded,
    /// One that somebody else runs.
    External {
        /// A name or an address, without brackets.
        host: String,
        /// 1883, or 8883 with TLS, where none is written.
        port: u16,
        /// `mqtts://`. Refused by this version before a [`Config`] exists.
        tls: bool,
    },
    /// No MQTT at all.
    None,
}

/// How long metrics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `metrics.ttl`, for values that say none; zero: for ever.
    pub ttl: Duration,
    /// `metrics.restart_grace`: how long stored truths stand in for metrics that have not arrived yet.
    pub restart_grace: Duration,
}

/// Where podman listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Podman {
    /// `podman.socket`.
    pub socket: PathBuf,
    /// `podman.rootless_user`: whose podman runs rootless workloads.
    pub rootless_user: Option<String>,
    /// `podman.rootless_socket`; `None`: in that user's runtime directory.
    pub rootless_socket: Option<PathBuf>,
    /// That user's runtime directory; `None`: `/run/user/<uid>`.
    pub rootless_runtime_dir: Option<PathBuf>,
    /// `podman.runtime_dir`.
    pub runtime_dir: PathBuf,
}

/// What a server may ask of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `remote.host_paths`.
    pub host_paths: HostPaths,
    /// `remote.privileged`.
    pub privileged: bool,
    /// `remote.host_network`.
    pub host_network: bool,
    /// `remote.shell`.
    pub shell: bool,
    /// `remote.ansible`.
    pub ansible: bool,
    /// `remote.on_removal`: when the server no longer knows this device.
    pub on_removal: OnEnd,
    /// `remote.namespace`: the server's namespace that the device asks to be in.
    pub namespace: String,
}

pub use crate::model::policy::HostPaths;

/// Schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    /// `cron.trust_clock`: run by the clock even if it shows a time before this version was made.
    pub trust_clock: bool,
}

/// The workloads as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workloads {
    /// `workloads.on_exit`: at an orderly end of the agent.
    pub on_exit: OnEnd,
    /// `workloads.max_operations`: how many are started or stopped at the same time.
    pub max_operations: usize,
}

/// What becomes of running workloads when who wanted them goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// They run on.
    Leave,
    /// They stop, within their grace.
    Stop,
}

impl Config {
    /// A configuration that nobody configured yet: every field is set from the key table before it is handed out.
    pub(super) fn blank() -> Config {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config {
            device_id: None,
            log: Log { level: LogLevel::Info, format: LogFormat::Auto },
            namespace: String::new(),
            xdg_runtime_dir: PathBuf::new(),
            kubeconfig: None,
            server: Server::default(),
            graceful_shutdown: Duration::ZERO,
            state: State { dir: PathBuf::new() },
            control: Control { socket: PathBuf::new() },
            manifests: Manifests { dir: PathBuf::new() },
            http: Http { listen: nowhere, hosts: Vec::new() },
            mqtt: Mqtt {
                root: String::new(),
                broker: Broker::None,
                listen: nowhere,
                limits: flotta_broker::Limits::default(),
                alive: Duration::ZERO,
                keep_alive: Duration::ZERO,
                ca: None,
                cert: None,
                key: None,
                username: None,
                password_file: None,
            },
            metrics: Metrics { ttl: Duration::ZERO, restart_grace: Duration::ZERO },
            podman: Podman {
                socket: PathBuf::new(),
                rootless_user: None,
                rootless_socket: None,
                rootless_runtime_dir: None,
                runtime_dir: PathBuf::new(),
            },
            remote: Remote {
                host_paths: HostPaths::Deny,
                privileged: false,
                host_network: false,
                shell: false,
                ansible: false,
                on_removal: OnEnd::Stop,
                namespace: "default".into(),
            },
            workloads: Workloads { on_exit: OnEnd::Leave, max_operations: 1 },
            cron: Cron { trust_clock: false },
            shim: PathBuf::new(),
        }
    }
}
