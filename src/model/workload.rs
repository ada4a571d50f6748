//! A workload as it is desired: read, checked, and hashed by its source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::WorkloadId;
use super::pod::PodJob;
use super::profile::ProfileRef;
use crate::cron::Schedule;

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

    /// Carried out by a cluster, which has cron and retries of its own.
    #[must_use]
    pub fn is_of_a_cluster(self) -> bool {
        matches!(self, Kind::K8s | Kind::Microshift)
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

/// How long to wait before a start is tried again. It never ends: there is no last try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
    /// The same interval each time; never below [`Retry::LEAST`].
    Constant(Duration),
    /// Longer each time, up to a cap.
    Exponential(Exponential),
}

/// A wait that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    /// After the first failure.
    pub initial: Duration,
    /// Each is this many times the one before; at least 1.
    pub multiplier: f64,
    /// Each is drawn from this share around it, both ways: 0 (not at all) to below 1.
    pub randomization: f64,
    /// No wait is longer before it is drawn.
    pub max: Duration,
}

impl Retry {
    /// What SPEC gives where nothing is said: 20 s.
    pub const DEFAULT: Retry = Retry::Constant(Duration::from_secs(20));
    /// No wait is shorter, whatever is written.
    pub const LEAST: Duration = Duration::from_secs(1);

    /// The wait after the given number of failures in a row (the first failure is 1). `roll` is where in its share a
    /// randomised one falls: 0 at the shortest, `u64::MAX` at the longest.
    #[must_use]
    pub fn interval(&self, failures: u32, roll: u64) -> Duration {
        match self {
            Retry::Constant(every) => (*every).max(Retry::LEAST),
            Retry::Exponential(exponential) => exponential.interval(failures, roll).max(Retry::LEAST),
        }
    }
}

impl Exponential {
    fn interval(&self, failures: u32, roll: u64) -> Duration {
        let times = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        // Far beyond any cap it is infinite, and the cap is less.
        let grown = self.initial.as_secs_f64() * self.multiplier.max(1.0).powi(times);
        let base = grown.min(self.max.max(self.initial).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "where in a share, not how many")]
        let place = roll as f64 / u64::MAX as f64;
        let share = self.randomization.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(base * (1.0 - share + 2.0 * share * place)).unwrap_or(self.max)
    }
}

/// When a workload runs, if not all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// The times.
    pub schedule: Schedule,
    /// Times that passed while no agent was there ask for one run.
    pub catch_up: bool,
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
    /// When it runs; `None`: all the time.
    pub cron: Option<Cron>,
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

#[cfg(test)]
impl Workload {
    /// A pod as most tests want it: ungated, from a manifest.
    pub(crate) fn pod(namespace: &str, name: &str, spec: super::pod::PodSpec) -> Workload {
        let job = super::pod::PodJob { spec, ..super::pod::PodJob::default() };
        Workload {
            id: WorkloadId::try_new(namespace, name).expect("a name"),
            hash: SpecHash("00".into()),
            kind: Kind::Pod,
            rootless: false,
            payload: Payload::Pod(Arc::new(job)),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            gates: Vec::new(),
            cron: None,
            retry: Retry::DEFAULT,
            restart: RestartPolicy::Always,
            priority: 0,
            source: SourceKind::Manifests,
            origin: String::new(),
            warnings: Vec::new(),
        }
    }
}

/// Workloads are shared, never copied.
pub type SharedWorkload = Arc<Workload>;

#[cfg(test)]
mod tests;
