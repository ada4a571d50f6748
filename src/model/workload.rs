//! A workload as it is desired: read, checked, and hashed by its source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::WorkloadId;
use super::pod::PodJob;
use super::profile::ProfileRef;

/// What carries a workload out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A podman pod.
    Pod,
    /// A pod on a Kubernetes cluster.
    K8s,
    /// A pod on MicroShift.
    Microshift,
    /// An Ansible playbook.
    Ansible,
    /// A command on the device itself.
    Shell,
}

impl Kind {
    /// As it is written in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Pod => "pod",
            Kind::K8s => "k8s",
            Kind::Microshift => "microshift",
            Kind::Ansible => "ansible",
            Kind::Shell => "shell",
        }
    }
}

/// Which source a workload came from: decides what it may ask for and who wins a name clash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The directory of files.
    Manifests,
    /// The Flotta server.
    Flotta,
}

/// When an ended run is started again (SPEC "Retry").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum RestartPolicy {
    /// However it ended.
    Always,
    /// When it ended badly.
    OnFailure,
    /// Not by itself.
    Never,
}

/// How long to wait before a start is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same interval each time; never below one second.
    Constant(Duration),
}

impl Retry {
    /// What SPEC gives where nothing is said: 20 s.
    pub const DEFAULT: Retry = Retry::Constant(Duration::from_secs(20));

    /// The wait after the given number of failures in a row (the first failure is 1).
    #[must_use]
    pub fn interval(&self, _failures: u32) -> Duration {
        match self {
            Retry::Constant(every) => (*every).max(Duration::from_secs(1)),
        }
    }
}

/// What the shell executor is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellSpec {
    /// The program and its arguments: `command` as written, or `["/bin/sh", "-c", script]`.
    pub argv: Vec<String>,
    /// Added to the environment of the run.
    pub env: BTreeMap<String, String>,
    /// Absolute; `None`: `/`.
    pub working_dir: Option<String>,
    /// A user's name or number; `None`: the agent's own.
    pub user: Option<String>,
    /// Time between TERM and KILL.
    pub grace: Duration,
}

/// What is carried out, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// For the shell executor.
    Shell(ShellSpec),
    /// A pod, for podman.
    Pod(Arc<PodJob>),
    /// A PodSpec as written (`spec.pod.spec`), for a cluster.
    Kube(serde_json::Value),
    /// A playbook and its variables, as written.
    Ansible(serde_json::Value),
    /// What a server asked for is not given to it by this device: which field, and which key decides.
    Forbidden(String),
    /// What was asked for cannot be carried out by anybody: why, in a sentence. State `error`/`InvalidSpec`.
    Invalid(String),
}

/// A workload's version: hex SHA-256 over what its executor gets (SPEC "Identity").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SpecHash(pub String);

impl SpecHash {
    /// The first 12 hex digits: what people, labels and pod names show.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A workload that this device should know about.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Who it is.
    pub id: WorkloadId,
    /// Which version of it.
    pub hash: SpecHash,
    /// Which executor's.
    pub kind: Kind,
    /// Run by the user's own podman.
    pub rootless: bool,
    /// What is run.
    pub payload: Payload,
    /// From the metadata.
    pub labels: BTreeMap<String, String>,
    /// From the metadata.
    pub annotations: BTreeMap<String, String>,
    /// Every one of these must be active; empty: always active.
    pub gates: Vec<ProfileRef>,
    /// A crontab(5) line, as written.
    pub cron: Option<String>,
    /// The wait between starts.
    pub retry: Retry,
    /// Whether an ended run is started again.
    pub restart: RestartPolicy,
    /// Higher starts first.
    pub priority: i32,
    /// Which source said so.
    pub source: SourceKind,
    /// Where it stands, for people: `manifests/a.yaml:12`.
    pub origin: String,
    /// What its manifest asks for and does not get, or got in another place than it should stand.
    pub warnings: Vec<String>,
}

/// Workloads are shared, never copied.
pub type SharedWorkload = Arc<Workload>;
