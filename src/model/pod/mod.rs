//! A pod as it is desired: what of Kubernetes' PodSpec a podman pod can be made of, read and checked by its source.

use std::collections::BTreeMap;
use std::time::Duration;

use super::registry::Registries;

mod container;
mod network;
mod probe;
mod volume;

pub use container::{
    Container, EnvFrom, EnvValue, EnvVar, Field, Port, PullPolicy, ResourceField, Resources, Security,
};
pub use network::{Dns, DnsPolicy};
pub use probe::{Header, Hook, HttpAction, Lifecycle, Probe, ProbeAction, Probes};
pub use volume::{DownwardItem, DownwardWhat, FileItem, FileSource, Files, HostPathType, Mount, ObjectFiles, Volume};

/// Of a Secret in a command line: what that means, and what would be right.
pub const SECRET_IS_SHOWN: &str = "everybody on the device sees it in the list of processes, and in podman inspect; let the program read the variable itself (in a shell: \"$NAME\"), or a file (a volume of the Secret)";

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
    /// How its containers find names.
    pub dns: Dns,
    /// Between TERM and KILL.
    pub grace: Duration,
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
            EnvValue::Literal(_) | EnvValue::Field(_) | EnvValue::Resource(_) => None,
        });
        let from = || all().flat_map(|container| &container.env_from).find_map(|f| whole(f.of, &f.name, f.optional));
        let of_files = |files: &ObjectFiles| {
            whole(files.of, &files.name, files.optional)
                .or_else(|| files.items.iter().find_map(|item| key(files.of, &files.name, &item.key, files.optional)))
        };
        let sources = self.spec.volumes.values().filter_map(Volume::files).flat_map(|files| &files.sources);
        let files = || {
            sources.filter_map(|source| match source {
                FileSource::Object(files) => Some(files),
                FileSource::Downward(_) => None,
            })
        };
        let files = || files().find_map(of_files);
        of_env.or_else(from).or_else(files)
    }
}
