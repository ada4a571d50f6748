//! A pod as it is desired: what of Kubernetes' PodSpec a podman pod can be made of, read and checked by its source.

use std::collections::BTreeMap;
use std::time::Duration;

use super::registry::Registries;

/// The content of a ConfigMap or Secret: keys and bytes.
pub type Content = BTreeMap<String, Vec<u8>>;

/// Everything a pod executor needs of a workload: the pod, and what its references say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodJob {
    /// The pod.
    pub spec: PodSpec,
    /// The ConfigMaps and Secrets that it refers to and that are there.
    pub contents: Contents,
    /// What its images are fetched with. Not part of its version: a changed password restarts nothing.
    pub registries: Registries,
}

/// The contents of what a pod refers to, by name. Shown without the secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Of ConfigMaps.
    pub config_maps: BTreeMap<String, Content>,
    /// Of Secrets.
    pub secrets: BTreeMap<String, Content>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |of: &BTreeMap<String, Content>| of.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("Contents")
            .field("config_maps", &names(&self.config_maps))
            .field("secrets", &names(&self.secrets))
            .finish_non_exhaustive()
    }
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec {
    /// Run one after the other before the others.
    pub init_containers: Vec<Container>,
    /// At least one.
    pub containers: Vec<Container>,
    /// By name.
    pub volumes: BTreeMap<String, Volume>,
    /// It has the device's own network.
    pub host_network: bool,
    /// `None`: the workload's name.
    pub hostname: Option<String>,
    /// Its containers see each other's processes.
    pub share_processes: bool,
    /// Lines for `/etc/hosts`: name and address.
    pub host_aliases: Vec<(String, String)>,
    /// Between TERM and KILL.
    pub grace: Duration,
}

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

/// A key of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Of which.
    pub of: Referred,
    /// Its name.
    pub name: String,
    /// Which key.
    pub key: String,
    /// It may be missing.
    pub optional: bool,
}

/// What is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referred {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Referred {
    /// As in `kind:`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Referred::ConfigMap => "ConfigMap",
            Referred::Secret => "Secret",
        }
    }
}

impl Contents {
    /// What a name stands for, if it is there.
    #[must_use]
    pub fn get(&self, of: Referred, name: &str) -> Option<&Content> {
        match of {
            Referred::ConfigMap => self.config_maps.get(name),
            Referred::Secret => self.secrets.get(name),
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
}

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Which volume.
    pub volume: String,
    /// Where, absolute.
    pub path: String,
    /// A relative path within the volume; empty: all of it.
    pub sub_path: String,
    /// It cannot be written there.
    pub read_only: bool,
    /// Whether mounts made later are seen: `rprivate`, `rslave` or `rshared`.
    pub propagation: &'static str,
}

/// A volume of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Empty at first, gone with the pod.
    Empty {
        /// In memory rather than on disk.
        memory: bool,
        /// In bytes.
        size_limit: Option<u64>,
    },
    /// A path of the device.
    HostPath {
        /// Absolute.
        path: String,
        /// What must be there, or is made.
        kind: HostPathType,
    },
    /// Files from a ConfigMap or Secret.
    Files(FileVolume),
}

/// What must be at a path of the device (Kubernetes' `hostPath.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPathType {
    /// Anything.
    #[default]
    Any,
    /// A directory; made if it is not there.
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file; made if it is not there.
    FileOrCreate,
    /// A file.
    File,
    /// A unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Files from a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVolume {
    /// Of which.
    pub of: Referred,
    /// Its name.
    pub name: String,
    /// Which keys become which files (relative path and mode); empty: all of them, under their own names.
    pub items: Vec<FileItem>,
    /// Mode of files that say none.
    pub mode: u32,
    /// It may be missing.
    pub optional: bool,
}

/// A key that becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// Which key.
    pub key: String,
    /// Relative, within the volume.
    pub path: String,
    /// `None`: the volume's.
    pub mode: Option<u32>,
}

/// The longest name of a file, and so of a volume, on Linux.
const FILE_NAME_MAX: usize = 255;
/// Of the pod's name: a dash, and the beginning of the hash.
const VERSION_LEN: usize = 13;

impl PodJob {
    /// The name of a workload, together with those in its pod, is longer than the machine takes: a sentence.
    #[must_use]
    pub fn too_long(&self, workload: &str) -> Option<String> {
        let containers = self.spec.init_containers.iter().chain(&self.spec.containers).map(|one| one.name.as_str());
        let longest = self.spec.volumes.keys().map(String::as_str).chain(containers).max_by_key(|name| name.len())?;
        let length = workload.len().saturating_add(VERSION_LEN).saturating_add(1).saturating_add(longest.len());
        (length > FILE_NAME_MAX).then(|| {
            let over = length - FILE_NAME_MAX;
            format!("its name and that of {longest:?} in it are too long together: shorten one by {over} characters")
        })
    }

    /// What the pod refers to, must have, and is not there: a sentence.
    #[must_use]
    pub fn missing(&self, namespace: &str) -> Option<String> {
        let whole = |of: Referred, name: &str, optional: bool| match self.contents.get(of, name) {
            None if !optional => Some(format!(
                "{} {namespace}/{name} is referred to and not there: add it; the pod starts when it is there",
                of.kind()
            )),
            _ => None,
        };
        let key = |of: Referred, name: &str, key: &str, optional: bool| match self.contents.get(of, name) {
            Some(content) if !optional && !content.contains_key(key) => {
                Some(format!("{} {namespace}/{name} has no key {key:?}, which is referred to", of.kind()))
            }
            _ => None,
        };
        let all = || self.spec.init_containers.iter().chain(&self.spec.containers);
        let of_env = all().flat_map(|container| &container.env).find_map(|variable| match &variable.value {
            EnvValue::Key(at) => {
                whole(at.of, &at.name, at.optional).or_else(|| key(at.of, &at.name, &at.key, at.optional))
            }
            EnvValue::Literal(_) | EnvValue::Field(_) => None,
        });
        let from = || all().flat_map(|container| &container.env_from).find_map(|f| whole(f.of, &f.name, f.optional));
        let files = || {
            self.spec.volumes.values().find_map(|volume| match volume {
                Volume::Files(files) => whole(files.of, &files.name, files.optional).or_else(|| {
                    files.items.iter().find_map(|item| key(files.of, &files.name, &item.key, files.optional))
                }),
                Volume::Empty { .. } | Volume::HostPath { .. } => None,
            })
        };
        of_env.or_else(from).or_else(files)
    }
}
