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
        DownwardWhat::Resource(of) => resource(of, "", job, place),
    }
}

/// As the kubelet writes them.
fn lines(of: &BTreeMap<String, String>) -> String {
    of.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// A limit or request, divided and rounded up. `asking` is the container that asks.
pub(super) fn resource(of: &ResourceField, asking: &str, job: &PodJob, place: &Place) -> String {
    let name = if of.container.is_empty() { asking } else { &of.container };
    let all = job.spec.init_containers.iter().chain(&job.spec.containers);
    let found = all.into_iter().find(|container| container.name == name).map(|container| milli(container, of, place));
    found.unwrap_or(0).div_ceil(of.divisor_milli.max(1)).to_string()
}

/// In thousandths of a core or byte. As in Kubernetes: what has no limit may use the whole machine; what requests nothing
/// requests its limit, or else nothing.
fn milli(container: &Container, of: &ResourceField, place: &Place) -> u64 {
    let resources = &container.resources;
    let thousand = |number: u64| number.saturating_mul(1000);
    // 100 000 µs per 100 ms are a whole core.
    let cpu = resources.cpu_limit_us.map(|us| u64::from(us / 100));
    let memory = resources.memory_limit.map(thousand);
    match of.resource.as_str() {
        "limits.cpu" => cpu.unwrap_or(thousand(place.cores)),
        "requests.cpu" => resources.cpu_request_milli.map(u64::from).or(cpu).unwrap_or(0),
        "limits.memory" => memory.unwrap_or(thousand(place.memory_total)),
        "requests.memory" => resources.memory_request.map(thousand).or(memory).unwrap_or(0),
        _ => 0,
    }
}
