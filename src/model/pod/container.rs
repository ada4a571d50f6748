//! A container of a pod.

use super::probe::{Lifecycle, Probes};
use super::{KeyRef, Mount, Referred};

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Unique in its pod.
    pub name: String,
    /// As written.
    pub image: String,
    /// When the image is fetched.
    pub pull: PullPolicy,
    /// Instead of the image's entrypoint; empty: the image's.
    pub command: Vec<String>,
    /// Instead of the image's command; empty: the image's.
    pub args: Vec<String>,
    /// `None`: the image's.
    pub working_dir: Option<String>,
    /// Whole ConfigMaps and Secrets into the environment, in order.
    pub env_from: Vec<EnvFrom>,
    /// The environment, in order; wins over `env_from`.
    pub env: Vec<EnvVar>,
    /// Only those with a host port are published.
    pub ports: Vec<Port>,
    /// Limits and requests.
    pub resources: Resources,
    /// Who it runs as and what it may.
    pub security: Security,
    /// What is mounted where.
    pub mounts: Vec<Mount>,
    /// It has a terminal.
    pub tty: bool,
    /// Its standard input stays open.
    pub stdin: bool,
    /// How the agent finds out whether it has started, works, and is ready.
    pub probes: Probes,
    /// What is done right after its start and right before its end.
    pub lifecycle: Lifecycle,
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When it is not there.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// The one of the two that asks for more.
    #[must_use]
    pub fn stricter(self, other: PullPolicy) -> PullPolicy {
        match (self, other) {
            (PullPolicy::Always, _) | (_, PullPolicy::Always) => PullPolicy::Always,
            (PullPolicy::IfNotPresent, _) | (_, PullPolicy::IfNotPresent) => PullPolicy::IfNotPresent,
            (PullPolicy::Never, PullPolicy::Never) => PullPolicy::Never,
        }
    }
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: EnvValue,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// Written there; `$(NAME)` stands for an earlier variable.
    Literal(String),
    /// A key of a ConfigMap or Secret.
    Key(KeyRef),
    /// A field of the pod.
    Field(Field),
    /// What a container may use.
    Resource(ResourceField),
}

/// A limit or request of a container that it may ask for, as `resourceFieldRef` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceField {
    /// Which container; empty: the one that asks.
    pub container: String,
    /// `limits.cpu`, `limits.memory`, `requests.cpu` or `requests.memory`.
    pub resource: String,
    /// In thousandths: the value is divided by it and rounded up. Never zero.
    pub divisor_milli: u64,
}

/// A field of the pod that its containers may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `metadata.name`: the workload's name, which stays the same from version to version.
    Name,
    /// `metadata.namespace`.
    Namespace,
    /// `spec.nodeName`: the device's id.
    NodeName,
    /// `metadata.labels['key']`.
    Label(String),
    /// `metadata.annotations['key']`.
    Annotation(String),
}

/// All keys of a ConfigMap or Secret as variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// Of which.
    pub of: Referred,
    /// Its name.
    pub name: String,
    /// Before each key.
    pub prefix: String,
    /// It may be missing.
    pub optional: bool,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// By which probes may name it.
    pub name: Option<String>,
    /// Inside.
    pub container: u16,
    /// On the device; `None`: not published.
    pub host: Option<u16>,
    /// On which address of the device; `None`: all.
    pub host_ip: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU time per 100 ms, in µs.
    pub cpu_limit_us: Option<u32>,
    /// Bytes.
    pub memory_limit: Option<u64>,
    /// Thousandths of a core: the weight when the CPU is short.
    pub cpu_request_milli: Option<u32>,
    /// Bytes.
    pub memory_request: Option<u64>,
}

/// Who a container runs as and what it may; the pod's own settings are merged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// `None`: the image's.
    pub user: Option<u32>,
    /// `None`: the image's.
    pub group: Option<u32>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// It is refused when it would run as root.
    pub non_root: bool,
    /// It may do everything.
    pub privileged: bool,
    /// It may gain more rights than it began with.
    pub escalation: Option<bool>,
    /// Added capabilities, as Kubernetes writes them (without `CAP_`).
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// Its root file system cannot be written.
    pub read_only_root: bool,
    /// No system call is kept from it.
    pub seccomp_unconfined: bool,
    /// Nothing of `/proc` and `/sys` is hidden from it.
    pub unmasked: bool,
}
