//! The version of a workload, made the same way for every source (SPEC "Identity").

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::kube::References;
use crate::model::id::WorkloadId;
use crate::model::pod::{Content, Referred};
use crate::model::workload::{Kind, SpecHash};
use crate::spec_hash::{DeviceKey, HashInput, spec_hash};

/// What a version is made of. Credentials for registries are not in it, on purpose: they say how an image is fetched, not
/// what runs, and a changed password must not restart anything.
pub(crate) struct Versioned<'a> {
    /// Whose.
    pub id: &'a WorkloadId,
    /// Which executor's.
    pub kind: Kind,
    /// Run by the user's own podman.
    pub rootless: bool,
    /// What the executor gets, as written.
    pub input: &'a Json,
    /// From the metadata.
    pub labels: &'a BTreeMap<String, String>,
    /// From the metadata.
    pub annotations: &'a BTreeMap<String, String>,
    /// What it refers to.
    pub references: &'a References,
}

impl Versioned<'_> {
    /// The hash. `find` knows the source's ConfigMaps and Secrets.
    pub fn hash<'a>(&self, find: impl Fn(Referred, &str) -> Option<&'a Content>, key: &DeviceKey) -> SpecHash {
        let config_maps = self.references.config_maps.keys();
        let secrets = self.references.secrets.keys();
        let input = HashInput {
            namespace: self.id.namespace(),
            name: self.id.name(),
            kind: self.kind,
            rootless: self.rootless,
            input: self.input,
            labels: self.labels,
            annotations: self.annotations,
            config_maps: config_maps.map(|name| (name.as_str(), find(Referred::ConfigMap, name))).collect(),
            secrets: secrets.map(|name| (name.as_str(), find(Referred::Secret, name))).collect(),
        };
        spec_hash(&input, key)
    }
}
