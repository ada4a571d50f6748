//! What a pod specification refers to (API §3.4, §4.2, §4.3).

use serde_json::Value;

/// A Secret or ConfigMap that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// The one key that is wanted.
    pub(crate) key: Option<String>,
    pub(crate) optional: bool,
}

#[derive(Debug, Default)]
pub(crate) struct References {
    pub(crate) secrets: Vec<Reference>,
    pub(crate) config_maps: Vec<Reference>,
    /// A value that comes from nowhere: the real server panics [cap b4].
    pub(crate) literal_env: bool,
}

/// The references of a pod specification. Secrets as volumes or for pulling images do not count (API §4.3). What is
/// no YAML refers to nothing: the server does not look at it either.
pub(crate) fn references(specification: &str) -> References {
    let mut all = References::default();
    let Ok(pod) = serde_yaml::from_str::<Value>(specification) else { return all };
    for container in list(&pod["initContainers"]).chain(list(&pod["containers"])) {
        for variable in list(&container["env"]) {
            let from = &variable["valueFrom"];
            all.literal_env |= !from.is_object();
            all.secrets.extend(reference(&from["secretKeyRef"]));
            all.config_maps.extend(reference(&from["configMapKeyRef"]));
        }
        for source in list(&container["envFrom"]) {
            all.secrets.extend(reference(&source["secretRef"]));
            all.config_maps.extend(reference(&source["configMapRef"]));
        }
    }
    all.config_maps.extend(list(&pod["volumes"]).filter_map(|volume| reference(&volume["configMap"])));
    all
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn reference(value: &Value) -> Option<Reference> {
    let name = value["name"].as_str()?.to_owned();
    let key = value["key"].as_str().map(str::to_owned);
    Some(Reference { name, key, optional: value["optional"].as_bool().unwrap_or(false) })
}
