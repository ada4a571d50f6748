//! From a pod as it is desired to what podman's API is asked to make. Pure.
//!
//! `play kube` is not used: it ignores cgroup parents, restarts without backoff, mangles secrets, shares emptyDirs between
//! pods, publishes every port on all addresses, and leaves half pods behind.

mod container;
mod env;
mod fields;
mod limits;
mod network;
mod secrets;
mod security;
mod volumes;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use self::container::container_body;
use self::env::environment;
pub(in crate::executor::podman) use self::env::expand_open;
use self::network::pod_body;
use self::volumes::Made;
use super::{cpu, labels};
use crate::model::pod::{HostPathType, PodJob, PullPolicy};
use crate::model::workload::Workload;

/// Output of a container on disk; the driver turns it over where it keeps files.
const LOG_MAX_BYTES: u64 = 10 << 20;
/// The period of all quotas.
const PERIOD_US: u32 = cpu::PERIOD_US;

/// Whose pods these are, and what the machine can do.
#[derive(Clone, Debug)]
pub struct Place {
    /// The agent's own mark.
    pub owner: String,
    /// The device's id.
    pub device: String,
    /// CPU limits are kept here.
    pub cpu: bool,
    /// Memory limits are kept here.
    pub memory: bool,
    /// Cores of the machine: what a container without a limit may use.
    pub cores: u64,
    /// Bytes of memory of the machine.
    pub memory_total: u64,
    /// Why those that are not kept are not.
    pub no_limits: &'static str,
    /// Where the pod's files from ConfigMaps and Secrets will be, absolute.
    pub files: String,
}

/// Everything that is made for a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// The pod's name.
    pub name: String,
    /// The body of `pods/create`.
    pub pod: Json,
    /// Volumes of its own, removed with it.
    pub volumes: Vec<NewVolume>,
    /// Files below [`Place::files`].
    pub files: Vec<NewFile>,
    /// Podman's secrets for variables, removed with it.
    pub secrets: Vec<NewSecret>,
    /// Paths of the device that must be there, or are made.
    pub host_paths: Vec<(String, HostPathType)>,
    /// In the order in which they are started; init containers first.
    pub containers: Vec<NewContainer>,
    /// What the machine does not enforce.
    pub warnings: Vec<String>,
}

/// A volume that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVolume {
    /// Its name.
    pub name: String,
    /// The body of `volumes/create`.
    pub body: Json,
}

/// A file that is written.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Relative.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// Content; may be secret.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:o}, {} bytes)", self.path, self.mode, self.bytes.len())
    }
}

/// A secret of podman's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// Its name.
    pub name: String,
    /// Where its value is, absolute.
    pub file: String,
}

/// A container that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewContainer {
    /// Its name in the pod.
    pub name: String,
    /// It runs to its end before the next one starts.
    pub init: bool,
    /// Its image.
    pub image: String,
    /// When that is fetched.
    pub pull: PullPolicy,
    /// It is refused when its image would run it as root.
    pub non_root: bool,
    /// Its group, where the user is the image's.
    pub group: Option<u32>,
    /// The body of `containers/create`.
    pub body: Json,
}

/// The pod's name: `<name>-<first 12 hex>`.
#[must_use]
pub fn pod_name(workload: &Workload) -> String {
    format!("{}-{}", workload.id.name(), workload.hash.short())
}

/// Translates; `cpu_quota_us` is a condition's quota that holds from the first moment.
#[must_use]
pub fn translate(workload: &Workload, job: &PodJob, place: &Place, cpu_quota_us: Option<u32>) -> Blueprint {
    let name = pod_name(workload);
    let spec = &job.spec;
    let identity = identity(workload, place);
    let mut warnings = Vec::new();

    let Made { volumes, mut files, host_paths } = volumes::volumes(&name, workload, job, place);

    let all = spec.init_containers.iter().map(|c| (true, c)).chain(spec.containers.iter().map(|c| (false, c)));
    let own: Vec<Option<u32>> = spec.containers.iter().map(|container| container.resources.cpu_limit_us).collect();
    let shared = cpu_quota_us.map(|quota| cpu::shares(quota, &own));
    let mut containers = Vec::new();
    let mut secrets = Vec::new();
    for (at, (init, container)) in all.enumerate() {
        let place_in_list = at.saturating_sub(if init { 0 } else { spec.init_containers.len() });
        let quota = match (init, cpu_quota_us) {
            // An init container runs alone: all of the quota is its.
            (true, Some(quota)) => Some(container.resources.cpu_limit_us.map_or(quota, |own| own.min(quota))),
            (false, Some(_)) => shared.as_ref().and_then(|parts| parts.get(place_in_list)).copied(),
            (_, None) => container.resources.cpu_limit_us,
        };
        let mut labels = identity.clone();
        labels.insert(labels::CONTAINER.into(), container.name.clone());
        labels.insert(labels::ROLE.into(), format!("{}.{place_in_list}", if init { "init" } else { "main" }));
        if let Some(limit) = container.resources.cpu_limit_us {
            labels.insert(labels::CPU.into(), limit.to_string());
        }
        let env = environment(container, workload, job, place);
        let secret_env = secrets::variables(&env, workload.hash.short(), place, &mut secrets, &mut files);
        if !secret_env.is_empty() {
            labels.insert(labels::SECRET_ENV.into(), secret_env.len().to_string());
        }
        let mut body = container_body(&name, container, workload, job, &env, place, quota, &labels, &mut warnings);
        if !secret_env.is_empty() {
            body["secret_env"] = json!(secret_env);
        }
        let body = volumes::mounted(body, container, &spec.volumes, place, &name);
        containers.push(NewContainer {
            name: container.name.clone(),
            init,
            image: container.image.clone(),
            pull: container.pull,
            non_root: container.security.non_root && container.security.user.is_none(),
            group: container.security.group.filter(|_| container.security.user.is_none()),
            body,
        });
    }

    let mut labels = identity;
    labels.insert(labels::CONTAINERS.into(), containers.len().to_string());
    labels.insert(labels::GRACE.into(), spec.grace.as_secs().to_string());
    if !volumes.is_empty() {
        let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        labels.insert(labels::VOLUMES.into(), names.join(","));
    }
    if !secrets.is_empty() {
        labels.insert(labels::SECRETS.into(), secrets.len().to_string());
    }
    for (key, value) in workload.labels.iter().filter(|(key, _)| !key.starts_with(labels::PREFIX)) {
        labels.insert(key.clone(), value.clone());
    }
    let pod = pod_body(&name, workload, job, &labels);
    let mut blueprint = Blueprint { name, pod, volumes, files, secrets, host_paths, containers, warnings: Vec::new() };
    blueprint.warn(&warnings);
    blueprint
}

impl Blueprint {
    /// Adds warnings; they stand on the pod, for the agents after this one.
    pub fn warn(&mut self, more: &[String]) {
        self.warnings.extend(more.iter().map(|warning| warning.replace('\n', " ")));
        self.warnings.sort();
        self.warnings.dedup();
        if !self.warnings.is_empty() {
            self.pod["labels"][labels::WARNINGS] = json!(self.warnings.join("\n"));
        }
    }
}

fn identity(workload: &Workload, place: &Place) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::VERSION.into(), workload.hash.short().into()),
        (labels::DEVICE.into(), place.device.clone()),
        (labels::OWNER.into(), place.owner.clone()),
        (labels::NAMESPACE.into(), workload.id.namespace().into()),
        (labels::NAME.into(), workload.id.name().into()),
        (labels::HASH.into(), workload.hash.0.clone()),
    ])
}
