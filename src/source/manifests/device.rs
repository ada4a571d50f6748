//! `EdgeDevice`: the device's labels and profiles.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Metadata;
use crate::model::mount::Mount;
use crate::model::profile::{ConditionSpec, ProfileSpec};
use crate::source::reading::fields::{Fields, Report, items};
use crate::source::reading::limits::{MAX_CONDITIONS, MAX_PROFILES};
use crate::source::reading::tree::{Node, short};

/// The most mounts that are read.
const MAX_MOUNTS: usize = 1_000;

/// What an EdgeDevice says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceDoc {
    /// From the metadata.
    pub labels: BTreeMap<String, String>,
    /// `spec.profiles`.
    pub profiles: Vec<ProfileSpec>,
    /// `spec.mounts`.
    pub mounts: Vec<Mount>,
}

/// The old README's EdgeDevice: name and namespace one level too deep.
pub(super) fn name_under_labels(report: &mut Report, metadata: &mut Metadata) {
    let Some(name) = metadata.labels.get("name") else { return };
    report.warn(metadata.at, "metadata.labels.name: read as the device's name; it belongs in metadata.name");
    metadata.name = Some(name.clone());
    if metadata.namespace.is_none()
        && let Some(namespace) = metadata.labels.get("namespace")
    {
        report.warn(
            metadata.at,
            "metadata.labels.namespace: read as the device's namespace; it belongs in metadata.namespace",
        );
        metadata.namespace = Some(namespace.clone());
    }
}

/// What is mounted where, in the words of `/etc/fstab`.
fn mounts(report: &mut Report, spec: &mut Fields<'_>) -> Vec<Mount> {
    let (path, mut found) = (spec.name("mounts"), Vec::new());
    let Some(list) = spec.take("mounts") else { return found };
    for (index, node) in items(report, &path, list, MAX_MOUNTS).iter().enumerate() {
        let Some(mut one) = Fields::of(report, &format!("{path}[{index}]"), node) else { continue };
        let mut text = |field| one.text(report, field).unwrap_or_default();
        let mount = Mount {
            device: text("device"),
            directory: text("directory"),
            kind: text("type"),
            options: text("options"),
        };
        one.finish(report);
        if mount.directory.is_empty() {
            report.error(node.at, format!("{path}[{index}].directory: is missing: where is it mounted?"));
        } else {
            found.push(mount);
        }
    }
    found
}

pub(super) fn read(report: &mut Report, document: &mut Fields<'_>, metadata: Metadata) -> DeviceDoc {
    let mut device = DeviceDoc { labels: metadata.labels, ..DeviceDoc::default() };
    let Some(mut spec) = document.map(report, "spec") else { return device };
    let right = spec.take("profiles").map(|node| (node, "spec.profiles"));
    let mut legacy = None;
    if let Some(mut heartbeat) = spec.map(report, "heartbeat") {
        let _ = heartbeat.integer(report, "periodSeconds", 0, i64::from(u32::MAX));
        heartbeat.ignore(&["hardwareProfile"]);
        if let Some((key, node)) = heartbeat.take_entry("profiles") {
            let used =
                if right.is_some() { "ignored, since spec.profiles is there too" } else { "read as spec.profiles" };
            report.warn(key.at, format!("spec.heartbeat.profiles: {used}; profiles belong in spec.profiles"));
            legacy = Some((node, "spec.heartbeat.profiles"));
        }
        heartbeat.finish(report);
    }
    if let Some((node, path)) = right.or(legacy) {
        device.profiles = profiles(report, path, node);
    }
    device.mounts = mounts(report, &mut spec);
    spec.ignore(&["requestTime", "osImageId"]);
    spec.not_yet(report, &["storage", "metrics", "logCollection", "osInformation", "upgrade"]);
    spec.finish(report);
    device
}

fn profiles(report: &mut Report, path: &str, node: &Node) -> Vec<ProfileSpec> {
    let mut profiles: Vec<ProfileSpec> = Vec::new();
    for (index, node) in items(report, path, node, MAX_PROFILES).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut fields) = Fields::of(report, &path, node) else { continue };
        let name = fields.text(report, "name");
        let conditions_path = fields.name("conditions");
        let list = fields.take("conditions");
        fields.finish(report);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            report.error(node.at, format!("{path}.name: is missing: a profile needs a name"));
            continue;
        };
        if profiles.iter().any(|known| known.name == name) {
            report.error(
                node.at,
                format!("{path}.name: there are two profiles {:?}: give one another name", short(&name)),
            );
            continue;
        }
        let Some(list) = list else {
            report.error(
                node.at,
                format!("{path}.conditions: is missing: write a list of `{{ name: …, expression: \"…\" }}`"),
            );
            continue;
        };
        let conditions = conditions(report, &conditions_path, list);
        profiles.push(ProfileSpec { name, conditions });
    }
    profiles
}

fn conditions(report: &mut Report, path: &str, node: &Node) -> Vec<ConditionSpec> {
    let mut conditions: Vec<ConditionSpec> = Vec::new();
    for (index, node) in items(report, path, node, MAX_CONDITIONS).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut fields) = Fields::of(report, &path, node) else { continue };
        let name = fields.text(report, "name").filter(|name| !name.is_empty());
        let expression = fields.text(report, "expression");
        let hold_off = fields.duration(report, "for").unwrap_or(Duration::ZERO);
        let hold = fields.duration(report, "hold").unwrap_or(Duration::ZERO);
        if let Some((key, _)) = fields.take_entry("cpu") {
            report.warn(key.at, format!("{path}.cpu: ignored; it belongs to the condition where a workload names it"));
        }
        fields.finish(report);
        let (Some(name), Some(expression)) = (name, expression) else {
            report.error(
                node.at,
                format!("{path}: a condition needs name and expression: `{{ name: low, expression: \"cpu < 50\" }}`"),
            );
            continue;
        };
        if conditions.iter().any(|known| known.name == name) {
            report.error(
                node.at,
                format!("{path}.name: there are two conditions {:?}: give one another name", short(&name)),
            );
            continue;
        }
        conditions.push(ConditionSpec { name, expression, hold_off, hold });
    }
    conditions
}
