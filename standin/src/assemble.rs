//! The configuration of a device, assembled as the real server does it, with the real one's ways to fail (API §3.4, §4).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cluster::Cluster;
use crate::device::Device;
use crate::pod::{Reference, References, references};

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 404: no such device, or the Secret with the registries' credentials is missing [cap b6].
    NotFound,
    /// 500: something else is missing [cap b5, b7, b8, b9].
    Internal,
    /// The server panics [cap b4].
    Panic,
}

/// The `content` of a GET.
pub(crate) fn content(cluster: &mut Cluster, id: &str, namespace: &str) -> Result<Value, Failure> {
    let device = cluster.device(id, namespace).ok_or(Failure::NotFound)?;
    let version = device.version.to_string();
    if let Some(content) = &device.content {
        let mut content = content.clone();
        if let Value::Object(fields) = &mut content {
            fields.entry("device_id").or_insert_with(|| json!(id));
            fields.entry("version").or_insert_with(|| json!(version));
        }
        return Ok(content);
    }
    let mut workloads = Vec::new();
    let mut wanted = Vec::new();
    for one in &device.workloads {
        let (workload, mut secrets) = workload(cluster, namespace, one)?;
        workloads.push(workload);
        wanted.append(&mut secrets);
    }
    let mut secrets = secrets(cluster, namespace, &wanted)?;
    let mut content = Map::new();
    content.insert("configuration".to_owned(), configuration(device));
    content.insert("device_id".to_owned(), json!(id));
    content.insert("version".to_owned(), json!(version));
    // The orders mean nothing, and the real ones are those of Go's maps (API §4).
    for workload in &mut workloads {
        if let Some(Value::Array(maps)) = workload.get_mut("configmaps") {
            cluster.random.shuffle(maps);
        }
    }
    cluster.random.shuffle(&mut workloads);
    cluster.random.shuffle(&mut secrets);
    if !workloads.is_empty() {
        content.insert("workloads".to_owned(), Value::Array(workloads));
    }
    if !secrets.is_empty() {
        content.insert("secrets".to_owned(), Value::Array(secrets));
    }
    Ok(Value::Object(content))
}

/// §4.1, with what is always there [cap 05].
fn configuration(device: &Device) -> Value {
    let mut configuration = device.configuration.clone();
    configuration.entry("profiles").or_insert_with(|| json!([]));
    configuration.entry("mounts").or_insert_with(|| json!([]));
    let heartbeat = configuration.entry("heartbeat").or_insert_with(|| json!({"period_seconds": 60}));
    if let Some(heartbeat) = heartbeat.as_object_mut() {
        heartbeat.entry("hardware_profile").or_insert_with(|| json!({}));
    }
    let metrics = configuration.entry("metrics").or_insert_with(|| json!({}));
    if let Some(metrics) = metrics.as_object_mut() {
        let receiver = || json!({"request_num_samples": 30_000, "timeout_seconds": 10});
        metrics.entry("receiver").or_insert_with(receiver);
    }
    Value::Object(configuration)
}

/// §4.2; and the Secrets that the workload wants.
fn workload(cluster: &Cluster, namespace: &str, one: &Value) -> Result<(Value, Vec<Reference>), Failure> {
    let Value::Object(fields) = one else { return Ok((one.clone(), Vec::new())) };
    let mut fields = fields.clone();
    fields.entry("namespace").or_insert_with(|| json!(namespace));
    fields.entry("profiles").or_insert_with(|| json!([]));
    if let Some(secret) = one["imageRegistries"]["secret"].as_str() {
        let secret = cluster.secrets.get(&(namespace.to_owned(), secret.to_owned())).ok_or(Failure::NotFound)?;
        let file = secret.get(".dockerconfigjson").ok_or(Failure::Internal)?;
        fields.insert("imageRegistries".to_owned(), json!({"authFile": file}));
    }
    if let Some(object @ Value::Object(_)) = fields.get("specification") {
        let yaml = serde_yaml::to_string(object).map_err(|_| Failure::Internal)?;
        fields.insert("specification".to_owned(), json!(yaml));
    }
    let References { secrets, config_maps, literal_env } =
        fields.get("specification").and_then(Value::as_str).map(references).unwrap_or_default();
    if literal_env {
        return Err(Failure::Panic);
    }
    let mut maps = fields.get("configmaps").and_then(Value::as_array).cloned().unwrap_or_default();
    maps.extend(rendered_maps(cluster, namespace, &config_maps)?);
    if !maps.is_empty() {
        fields.insert("configmaps".to_owned(), Value::Array(maps));
    }
    if let Some(name) = one["metrics"]["allow_list"]["configMap"].as_str() {
        let map = cluster.config_maps.get(&(namespace.to_owned(), name.to_owned())).ok_or(Failure::Internal)?;
        let list = map["data"]["metrics_list.yaml"].as_str().ok_or(Failure::Internal)?;
        let list: Value = serde_yaml::from_str(list).map_err(|_| Failure::Internal)?;
        fields["metrics"]["allow_list"] = json!({"names": list["names"]});
    }
    Ok((Value::Object(fields), secrets))
}

/// Each ConfigMap once, as YAML.
fn rendered_maps(cluster: &Cluster, namespace: &str, wanted: &[Reference]) -> Result<Vec<Value>, Failure> {
    let mut rendered = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in wanted {
        let Some(map) = cluster.config_maps.get(&(namespace.to_owned(), reference.name.clone())) else {
            if reference.optional {
                continue;
            }
            return Err(Failure::Internal);
        };
        if !seen.insert(&reference.name) {
            continue;
        }
        let mut whole = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"creationTimestamp": null, "name": reference.name},
        });
        for part in ["data", "binaryData"] {
            if map[part].as_object().is_some_and(|part| !part.is_empty()) {
                whole[part] = map[part].clone();
            }
        }
        rendered.push(json!(serde_yaml::to_string(&whole).map_err(|_| Failure::Internal)?));
    }
    Ok(rendered)
}

/// §4.3: each Secret once with all its keys, `data` being a JSON text.
fn secrets(cluster: &Cluster, namespace: &str, wanted: &[Reference]) -> Result<Vec<Value>, Failure> {
    let mut found = BTreeMap::new();
    for reference in wanted {
        let secret = cluster.secrets.get(&(namespace.to_owned(), reference.name.clone()));
        let key_there = |secret: &&BTreeMap<String, String>| {
            reference.key.as_ref().is_none_or(|key| secret.contains_key(key)) || reference.optional
        };
        match secret.filter(key_there) {
            Some(secret) => {
                let encoded: BTreeMap<_, _> = secret.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
                found.insert(&reference.name, json!(encoded).to_string());
            }
            None if reference.optional => {}
            None => return Err(Failure::Internal),
        }
    }
    Ok(found.into_iter().map(|(name, data)| json!({"name": name, "data": data})).collect())
}
