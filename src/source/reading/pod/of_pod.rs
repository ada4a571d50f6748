//! What a container may ask for of its own pod: `fieldRef` and `resourceFieldRef`, as variables and as files.

use super::super::fields::{Fields, Report, as_written};
use super::super::tree::{At, short};
use super::quantity;
use crate::model::pod::{DownwardWhat, EnvValue, Field, FileSource, PodSpec, ResourceField, Volume};

const RESOURCES: [&str; 4] = ["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

/// The value of a variable, if one of the two is there.
pub(super) fn value(report: &mut Report, from: &mut Fields<'_>) -> Option<EnvValue> {
    let field = field_ref(report, from, |path| match pod_field(path)? {
        DownwardWhat::Field(field) => Some(field),
        _ => None,
    });
    let resource = resource_ref(report, from);
    field.map(EnvValue::Field).or(resource.map(EnvValue::Resource))
}

/// The content of a file, if one of the two is there.
pub(super) fn content(report: &mut Report, item: &mut Fields<'_>) -> Option<DownwardWhat> {
    let field = field_ref(report, item, pod_field);
    let at = item.entry("resourceFieldRef").map(|(key, _)| key.at);
    let resource = resource_ref(report, item);
    if let (Some(at), Some(ResourceField { container, .. })) = (at, &resource)
        && container.is_empty()
    {
        report.error(at, format!("{}.resourceFieldRef.containerName: is missing: of which container?", item.path));
    }
    field.or(resource.map(DownwardWhat::Resource))
}

fn field_ref<T>(report: &mut Report, from: &mut Fields<'_>, understood: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut field = from.map(report, "fieldRef")?;
    field.ignore(&["apiVersion"]);
    let (path, at) = (field.name("fieldPath"), field.at);
    let wanted = field.text(report, "fieldPath").unwrap_or_default();
    field.finish(report);
    let found = understood(&wanted);
    if found.is_none() {
        let why = match wanted.as_str() {
            "metadata.labels" | "metadata.annotations" => "all of them at once are a file (a downwardAPI volume); ",
            "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => {
                "the address is only known when the pod runs; "
            }
            _ => "",
        };
        report.error(
            at,
            format!(
                "{path}: {:?} cannot be had: {why}there are metadata.name, metadata.namespace, spec.nodeName, metadata.labels['key'] and metadata.annotations['key']",
                short(&wanted)
            ),
        );
    }
    found
}

fn pod_field(path: &str) -> Option<DownwardWhat> {
    let keyed = |prefix: &str| {
        let rest = path.strip_prefix(prefix)?;
        let key = rest.strip_prefix("['")?.strip_suffix("']")?;
        Some(key.to_owned())
    };
    let field = match path {
        "metadata.labels" => return Some(DownwardWhat::Labels),
        "metadata.annotations" => return Some(DownwardWhat::Annotations),
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        "spec.nodeName" => Field::NodeName,
        _ => keyed("metadata.labels")
            .map(Field::Label)
            .or_else(|| keyed("metadata.annotations").map(Field::Annotation))?,
    };
    Some(DownwardWhat::Field(field))
}

fn resource_ref(report: &mut Report, from: &mut Fields<'_>) -> Option<ResourceField> {
    let mut fields = from.map(report, "resourceFieldRef")?;
    let (path, at) = (fields.path.clone(), fields.at);
    let container = fields.text(report, "containerName").unwrap_or_default();
    let resource = fields.text(report, "resource").unwrap_or_default();
    let divisor = fields.take("divisor").and_then(|node| as_written(report, &format!("{path}.divisor"), node));
    fields.finish(report);
    let divisor_milli = match divisor.as_deref().map(quantity::milli) {
        // As in Kubernetes: 0 is the same as none.
        None | Some(Ok(0)) => 1000,
        Some(Ok(milli)) => milli,
        Some(Err(why)) => {
            report.error(at, format!("{path}.divisor: {why}"));
            return None;
        }
    };
    if !RESOURCES.contains(&resource.as_str()) {
        report.error(
            at,
            format!("{path}.resource: {:?} cannot be had; there are {}", short(&resource), RESOURCES.join(", ")),
        );
        return None;
    }
    Some(ResourceField { container, resource, divisor_milli })
}

/// The containers that are asked about are there.
pub(super) fn check(report: &mut Report, at: At, path: &str, spec: &PodSpec) {
    let all = || spec.init_containers.iter().chain(&spec.containers);
    let of_env = all().flat_map(|container| &container.env).filter_map(|variable| match &variable.value {
        EnvValue::Resource(of) => Some(of),
        EnvValue::Literal(_) | EnvValue::Key(_) | EnvValue::Field(_) => None,
    });
    let sources = spec.volumes.values().filter_map(Volume::files).flat_map(|files| &files.sources);
    let of_files = sources
        .filter_map(|source| match source {
            FileSource::Downward(items) => Some(items),
            FileSource::Object(_) => None,
        })
        .flatten()
        .filter_map(|item| match &item.what {
            DownwardWhat::Resource(of) => Some(of),
            DownwardWhat::Field(_) | DownwardWhat::Labels | DownwardWhat::Annotations => None,
        });
    for of in of_env.chain(of_files).filter(|of| !of.container.is_empty()) {
        if !all().any(|container| container.name == of.container) {
            let known: Vec<&str> = all().map(|container| container.name.as_str()).collect();
            report.error(
                at,
                format!(
                    "{path}: a resourceFieldRef asks about container {:?}, which is not there; there are {}",
                    short(&of.container),
                    known.join(", ")
                ),
            );
        }
    }
}
