//! Fields of a pod that its containers may ask for (`fieldRef`, `resourceFieldRef`).

use std::collections::BTreeMap;

use super::Place;
use crate::model::pod::{Container, DownwardWhat, Field, PodJob, ResourceField};
use crate::model::workload::Workload;

/// A single field.
pub(super) fn field(field: &Field, workload: &Workload, place: &Place) -> String {
    match field {
        Field::Name => workload.id.name().to_owned(),
        Field::Namespace => workload.id.namespace().to_owned(),
        Field::NodeName => place.device.clone(),
        Field::Label(key) => workload.labels.get(key).cloned().unwrap_or_default(),
        Field::Annotation(key) => workload.annotations.get(key).cloned().unwrap_or_default(),
    }
}

/// The content of a file of a `downwardAPI` volume.
pub(super) fn downward(what: &DownwardWhat, workload: &Workload, job: &PodJob, place: &Place) -> String {
    match what {
        DownwardWhat::Field(of) => field(of, workload, place),
        DownwardWhat::Labels => lines(&workload.labels),
        DownwardWhat::Annotations => lines(&workload.annotations),
        DownwardWhat::Resource(of) => resource(of, "", job),
    }
}

/// As the kubelet writes them.
fn lines(of: &BTreeMap<String, String>) -> String {
    of.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// A limit or request, divided and rounded up; without one: 0. `asking` is the container that asks.
pub(super) fn resource(of: &ResourceField, asking: &str, job: &PodJob) -> String {
    let name = if of.container.is_empty() { asking } else { &of.container };
    let all = job.spec.init_containers.iter().chain(&job.spec.containers);
    let found = all.into_iter().find(|container| container.name == name).and_then(|container| milli(container, of));
    found.unwrap_or(0).div_ceil(of.divisor_milli.max(1)).to_string()
}

/// In thousandths of a core or byte.
fn milli(container: &Container, of: &ResourceField) -> Option<u64> {
    let resources = &container.resources;
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes.saturating_mul(1000));
    match of.resource.as_str() {
        // 100 000 µs per 100 ms are a whole core.
        "limits.cpu" => resources.cpu_limit_us.map(|us| u64::from(us / 100)),
        "requests.cpu" => resources.cpu_request_milli.map(u64::from),
        "limits.memory" => bytes(resources.memory_limit),
        "requests.memory" => bytes(resources.memory_request),
        _ => None,
    }
}
