//! `EdgeWorkload`: what is to run, for which devices, behind which gates.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::document::Metadata;
use super::selector::Selector;
use super::times;
use crate::model::profile::{ConditionRef, ProfileRef};
use crate::model::workload::{Kind, Payload, RestartPolicy, Retry, ShellSpec};
use crate::source::reading::carried::{Carried, DEFAULT_GRACE, default_restart, pod_spec, restart_policy};
use crate::source::reading::cron::WrittenCron;
use crate::source::reading::fields::{Fields, Report, as_written, integer, items};
use crate::source::reading::kube::References;
use crate::source::reading::limits::{MAX_GATES, QUOTA_US};
use crate::source::reading::tree::{Node, Value, short};

/// The most arguments of a command.
const MAX_ARGUMENTS: usize = 1_000;

/// What an EdgeWorkload says.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadDoc {
    /// From the metadata.
    pub labels: BTreeMap<String, String>,
    /// From the metadata.
    pub annotations: BTreeMap<String, String>,
    /// Which devices are meant.
    pub selector: Selector,
    /// `spec.type`.
    pub kind: Kind,
    /// `spec.rootless`.
    pub rootless: bool,
    /// `spec.cron` with what stands beside it.
    pub cron: Option<WrittenCron>,
    /// `spec.retry`.
    pub retry: Retry,
    /// When an ended run is started again.
    pub restart: RestartPolicy,
    /// `spec.priority`.
    pub priority: i32,
    /// `spec.profiles`.
    pub gates: Vec<ProfileRef>,
    /// What is carried out.
    pub payload: Payload,
    /// The executor's input as written: it makes the version.
    pub input: Json,
    /// What a pod refers to.
    pub references: References,
}

pub(super) fn read(report: &mut Report, document: &mut Fields<'_>, metadata: Metadata) -> WorkloadDoc {
    let mut doc = WorkloadDoc {
        labels: metadata.labels,
        annotations: metadata.annotations,
        selector: Selector::default(),
        kind: Kind::Pod,
        rootless: false,
        cron: None,
        retry: Retry::DEFAULT,
        restart: RestartPolicy::Always,
        priority: 0,
        gates: Vec::new(),
        payload: Payload::Invalid("spec: is missing".into()),
        input: Json::Null,
        references: References::default(),
    };
    let at = document.at;
    let Some(mut spec) = document.map(report, "spec") else {
        report.error(at, "spec: is missing: write what is to run");
        return doc;
    };
    let right = spec.take("profiles").map(|node| (node, "spec.profiles".to_owned()));
    let mut legacy = None;
    if let Some(mut selector) = spec.map(report, "deviceSelector") {
        if let Some((key, node)) = selector.take_entry("profiles") {
            let used =
                if right.is_some() { "ignored, since spec.profiles is there too" } else { "read as spec.profiles" };
            report.warn(key.at, format!("spec.deviceSelector.profiles: {used}; profiles belong in spec.profiles"));
            legacy = Some((node, "spec.deviceSelector.profiles".to_owned()));
        }
        doc.selector.read(report, selector);
    }
    doc.selector.device = spec.text(report, "device");
    if let Some((node, path)) = right.or(legacy) {
        doc.gates = gates(report, &path, node);
    }
    doc.kind = kind(report, &mut spec);
    doc.rootless = spec.boolean(report, "rootless").unwrap_or(false);
    doc.cron = times::cron(report, &mut spec, doc.kind);
    doc.retry = times::retry(report, &mut spec, doc.kind, doc.cron.is_some());
    doc.priority = spec
        .integer(report, "priority", i64::from(i32::MIN), i64::from(i32::MAX))
        .and_then(|priority| i32::try_from(priority).ok())
        .unwrap_or(0);
    let errors = report.errors.len();
    let carried = match doc.kind {
        Kind::Shell => shell(report, &mut spec),
        Kind::Ansible => ansible(report, &mut spec),
        Kind::Pod | Kind::K8s | Kind::Microshift => pod(report, &mut spec, doc.kind),
    };
    match carried {
        Some(carried) => {
            doc.restart = match doc.cron {
                Some(_) => times::once(report, &spec, carried.restart),
                None => carried.restart.unwrap_or(default_restart(doc.kind, false)),
            };
            doc.payload = carried.payload;
            doc.input = carried.input;
            doc.references = carried.references;
        }
        None if report.errors.len() == errors => {
            let part = if doc.kind == Kind::Shell || doc.kind == Kind::Ansible { doc.kind.as_str() } else { "pod" };
            report.error(spec.at, format!("spec.{part}: is missing: type {} needs it", doc.kind.as_str()));
        }
        None => {}
    }
    // Of another kind than the one asked for, and what we know and do not need yet.
    spec.ignore(&["pod", "shell", "ansible"]);
    spec.not_yet(report, &["imageRegistries", "data", "metrics", "logCollection", "ignition"]);
    spec.finish(report);
    if let Some(first) = report.errors.first() {
        doc.payload = Payload::Invalid(first.message.clone());
    }
    doc
}

fn kind(report: &mut Report, spec: &mut Fields<'_>) -> Kind {
    let Some((_, node)) = spec.take_entry("type") else { return Kind::Pod };
    let known = [Kind::Pod, Kind::K8s, Kind::Microshift, Kind::Ansible, Kind::Shell];
    let found = match &node.value {
        Value::Text(text) => known.into_iter().find(|kind| kind.as_str() == text),
        _ => None,
    };
    found.unwrap_or_else(|| {
        report
            .error(node.at, format!("spec.type: must be pod, k8s, microshift, ansible or shell, not {}", node.what()));
        Kind::Pod
    })
}

fn gates(report: &mut Report, path: &str, node: &Node) -> Vec<ProfileRef> {
    let mut gates = Vec::new();
    for (index, node) in items(report, path, node, MAX_GATES).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut fields) = Fields::of(report, &path, node) else { continue };
        let name = fields.text(report, "name").filter(|name| !name.is_empty());
        let list_path = fields.name("conditions");
        let list = fields.take("conditions");
        fields.finish(report);
        let Some(name) = name else {
            report.error(node.at, format!("{path}.name: is missing: which profile of the device?"));
            continue;
        };
        let conditions = list.map(|node| conditions(report, &list_path, node)).unwrap_or_default();
        gates.push(ProfileRef { name, conditions });
    }
    gates
}

fn conditions(report: &mut Report, path: &str, node: &Node) -> Vec<ConditionRef> {
    let mut conditions = Vec::new();
    for (index, node) in items(report, path, node, MAX_GATES).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, cpu_quota_us) = match &node.value {
            Value::Text(name) => (Some(name.clone()), None),
            _ => {
                let Some(mut fields) = Fields::of(report, &path, node) else { continue };
                let name = fields.text(report, "name");
                let cpu = fields.take("cpu").and_then(|node| quota(report, &format!("{path}.cpu"), node));
                fields.finish(report);
                (name, cpu)
            }
        };
        match name.filter(|name| !name.is_empty()) {
            Some(name) => conditions.push(ConditionRef { name, cpu_quota_us }),
            None => report.error(node.at, format!("{path}.name: is missing: which condition of the profile?")),
        }
    }
    conditions
}

/// `cpu: 20000`, or as the old CRs have it, `cpu: { cpu: 20000 }`.
fn quota(report: &mut Report, path: &str, node: &Node) -> Option<u32> {
    let node = node.get("cpu").unwrap_or(node);
    let (from, to) = QUOTA_US;
    integer(report, &format!("{path} (µs per 100 ms)"), node, from, to).and_then(|quota| u32::try_from(quota).ok())
}

fn shell(report: &mut Report, spec: &mut Fields<'_>) -> Option<Carried> {
    let node = spec.take("shell")?;
    let path = spec.name("shell");
    let input = node.to_json();
    let mut fields = Fields::of(report, &path, node)?;
    let command = fields.take_entry("command");
    let script = fields.take_entry("script");
    let argv = match (command, script) {
        (Some((key, _)), Some(_)) => {
            report.error(key.at, format!("{path}: command and script are both there: keep one"));
            None
        }
        (None, None) => {
            report.error(
                node.at,
                format!("{path}: command or script is missing: write script: \"…\" or command: [\"…\"]"),
            );
            None
        }
        (Some((_, node)), None) => argv(report, &format!("{path}.command"), node),
        (None, Some((_, node))) => as_written(report, &format!("{path}.script"), node)
            .map(|script| vec!["/bin/sh".into(), "-c".into(), script]),
    };
    let env = env(report, &mut fields);
    let working_dir =
        fields.take("workingDir").and_then(|node| as_written(report, &format!("{path}.workingDir"), node));
    if let Some(dir) = working_dir.as_ref().filter(|dir| !dir.starts_with('/')) {
        report.error(node.at, format!("{path}.workingDir: {:?} is not absolute: write it from / on", short(dir)));
    }
    let user = fields.take("user").and_then(|node| as_written(report, &format!("{path}.user"), node));
    let restart = fields.take("restartPolicy");
    let restart = restart_policy(report, restart, &format!("{path}.restartPolicy"));
    let grace = fields.duration(report, "terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE);
    if let Some((key, _)) = fields.take_entry("resources") {
        report.warn(
            key.at,
            format!("LimitNotEnforced: {path}.resources is not applied to shell workloads by this version"),
        );
    }
    fields.finish(report);
    let payload = Payload::Shell(ShellSpec { argv: argv?, env, working_dir, user, grace });
    Some(Carried { payload, input, restart, references: References::default() })
}

fn argv(report: &mut Report, path: &str, node: &Node) -> Option<Vec<String>> {
    if let Value::Text(text) = &node.value {
        report.error(
            node.at,
            format!(
                "{path}: must be a list like [\"/usr/bin/env\", \"true\"]; for a line of shell write script: {:?}",
                short(text)
            ),
        );
        return None;
    }
    let argv: Vec<String> = items(report, path, node, MAX_ARGUMENTS)
        .iter()
        .enumerate()
        .filter_map(|(index, node)| as_written(report, &format!("{path}[{index}]"), node))
        .collect();
    if argv.first().is_none_or(String::is_empty) {
        report.error(node.at, format!("{path}: is empty: the first item is the program"));
        return None;
    }
    Some(argv)
}

fn env(report: &mut Report, fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let path = fields.name("env");
    let Some(node) = fields.take("env") else { return BTreeMap::new() };
    let Value::Map(entries) = &node.value else {
        report.error(node.at, format!("{path}: must be a map (`NAME: value`), not {}", node.what()));
        return BTreeMap::new();
    };
    let mut env = BTreeMap::new();
    for (key, node) in entries {
        if key.name.is_empty() || key.name.contains(['=', '\0']) {
            report.error(key.at, format!("{path}: {:?} cannot be the name of a variable", short(&key.name)));
            continue;
        }
        if let Some(value) = as_written(report, &format!("{path}.{}", short(&key.name)), node) {
            env.insert(key.name.clone(), value);
        }
    }
    env
}

fn ansible(report: &mut Report, spec: &mut Fields<'_>) -> Option<Carried> {
    let node = spec.take("ansible")?;
    let path = spec.name("ansible");
    let input = node.to_json();
    let mut fields = Fields::of(report, &path, node)?;
    if fields.text(report, "playbook").is_none() {
        report.error(node.at, format!("{path}.playbook: is missing"));
    }
    fields.ignore(&["vars"]);
    fields.finish(report);
    Some(Carried { payload: Payload::Ansible(input.clone()), input, restart: None, references: References::default() })
}

fn pod(report: &mut Report, spec: &mut Fields<'_>, kind: Kind) -> Option<Carried> {
    let node = spec.take("pod")?;
    let path = spec.name("pod");
    let mut fields = Fields::of(report, &path, node)?;
    let inner = fields.take("spec");
    fields.ignore(&["metadata", "apiVersion", "kind"]);
    fields.finish(report);
    let Some(inner) = inner else {
        report.error(node.at, format!("{path}.spec: is missing: the PodSpec with its containers"));
        return None;
    };
    pod_spec(report, &format!("{path}.spec"), inner, kind)
}
