//! Whether two configurations say the same.
//!
//! `version` says nothing about that: it moves with the device's status, and stays when a workload changes. And the servers
//! send `workloads`, `secrets` and `configmaps` in any order (contract, section 4).

use serde_json::Value as Json;

use crate::source::flotta::wire::configuration::Configuration;
use crate::spec_hash::encode;

/// Whether two configurations say the same, whatever their version and the order of workloads, Secrets and ConfigMaps. The
/// order of profiles and conditions counts; a field that is `null` is the same as one that is absent.
#[must_use]
pub fn same_content(a: &Configuration, b: &Configuration) -> bool {
    a.content == b.content || normal(a.content.json()) == normal(b.content.json())
}

/// In one order, whatever the order was.
fn normal(content: &Json) -> Vec<u8> {
    let mut content = without_nulls(content);
    if let Some(fields) = content.as_object_mut() {
        fields.remove("version");
        if let Some(Json::Array(workloads)) = fields.get_mut("workloads") {
            for workload in workloads.iter_mut() {
                if let Some(Json::Array(maps)) = workload.get_mut("configmaps") {
                    sort(maps);
                }
            }
            sort(workloads);
        }
        if let Some(Json::Array(secrets)) = fields.get_mut("secrets") {
            sort(secrets);
        }
    }
    encode(&content)
}

/// By all that they say: by name, where names differ.
fn sort(items: &mut [Json]) {
    items.sort_by_cached_key(|item| {
        (item["namespace"].as_str().map(str::to_owned), item["name"].as_str().map(str::to_owned), encode(item))
    });
}

fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(fields) => Json::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
