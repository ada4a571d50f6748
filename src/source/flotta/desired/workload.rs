//! One workload of the server.

use serde_json::Value as Json;

use super::contents::{Secrets, config_maps};
use super::{ORIGIN, Settings, times};
use crate::model::id::WorkloadId;
use crate::model::pod::{Content, PodJob, Referred};
use crate::model::problem::Problem;
use crate::model::profile::{ConditionRef, ProfileRef};
use crate::model::workload::{Kind, Payload, SourceKind, Workload};
use crate::source::flotta::wire::configuration::Workload as Wire;
use crate::source::reading::carried::{self, Carried, missing, with_contents};
use crate::source::reading::fields::Report;
use crate::source::reading::kube::References;
use crate::source::reading::limits::{MAX_TEXT, QUOTA_US};
use crate::source::reading::registries;
use crate::source::reading::tree::{self, Node, short};
use crate::source::reading::version::Versioned;

/// What an EdgeWorkload calls what the server sends as `specification`: where somebody will mend it.
const POD_SPEC: &str = "spec.pod.spec";

/// A workload, and what is wrong with it.
pub(super) struct Made {
    /// With errors, a payload that says the first of them.
    pub workload: Workload,
    /// What keeps it from being carried out.
    pub errors: Vec<Problem>,
    /// What does not; also in its own warnings.
    pub warnings: Vec<Problem>,
}

pub(super) fn read(wire: &Wire, id: &WorkloadId, secrets: &Secrets<'_>, settings: &Settings) -> Made {
    let name = if id.namespace() == "default" { id.name().to_owned() } else { id.to_string() };
    let prefix = format!("server: workload {name}");
    let named =
        |problem: &Problem| Problem { message: format!("{} (workload {name})", problem.message), ..problem.clone() };
    let mut errors: Vec<Problem> = wire.problems.iter().map(named).collect();
    let mut warnings: Vec<Problem> = wire.warnings.iter().map(named).collect();
    let kind = kind(wire, &prefix, &mut errors);
    let gates = gates(wire, &mut errors);
    let maps = config_maps(&wire.config_maps, &prefix, &mut errors, &mut warnings);
    let carried = match kind {
        Some(kind @ (Kind::Pod | Kind::K8s | Kind::Microshift)) => {
            specification(wire, kind, &prefix, &mut errors, &mut warnings)
        }
        _ => None,
    };
    let kind = kind.unwrap_or(Kind::Pod);
    let written = carried.as_ref().and_then(|carried| carried.restart);
    let times = times::read(wire, kind, written, &prefix, &mut errors, &mut warnings);
    let none = References::default();
    let references = carried.as_ref().map_or(&none, |carried| &carried.references);
    errors.extend(references.secrets.keys().filter_map(|name| secrets.wrong(name)).cloned());
    let find = |of: Referred, name: &str| -> Option<&Content> {
        match of {
            Referred::ConfigMap => maps.get(name),
            Referred::Secret => secrets.get(name),
        }
    };
    let input = carried.as_ref().map_or(Json::Null, |carried| carried.input.clone());
    let versioned = Versioned {
        id,
        kind,
        rootless: wire.rootless,
        input: &input,
        labels: &wire.labels,
        annotations: &wire.annotations,
        references,
    };
    let hash = versioned.hash(find, &settings.key);
    let mut payload = match carried.as_ref().map(|carried| &carried.payload) {
        Some(Payload::Pod(job)) => {
            let registries = credentials(wire, &prefix, &mut warnings);
            let job = PodJob { registries, ..(**job).clone() };
            let mut said = Vec::new();
            let payload = with_contents(&job, references, id, &wire.annotations, find, &mut said);
            warnings.extend(said.into_iter().map(|what| Problem::new(prefix.clone(), what)));
            payload
        }
        Some(other) => {
            warnings.extend(missing(references, id, find).into_iter().map(|what| Problem::new(prefix.clone(), what)));
            other.clone()
        }
        None => Payload::Invalid(String::new()),
    };
    if let (true, Payload::Invalid(what)) = (errors.is_empty(), &payload) {
        errors.push(Problem::new(prefix.clone(), format!("{what}{}", hint(what))));
    }
    if let Some(first) = errors.first() {
        payload = Payload::Invalid(first.message.clone());
    }
    let workload = Workload {
        id: id.clone(),
        hash,
        kind,
        rootless: wire.rootless,
        payload,
        labels: wire.labels.clone(),
        annotations: wire.annotations.clone(),
        gates,
        cron: times.cron,
        retry: times.retry,
        restart: times.restart,
        priority: 0,
        source: SourceKind::Flotta,
        origin: ORIGIN.to_owned(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
    };
    Made { workload, errors, warnings }
}

/// A Secret that a volume names never comes (contract, section 4.3); nobody would find that out.
fn hint(what: &str) -> &'static str {
    if what.starts_with("Secret ") {
        "; the server sends the Secrets that env and envFrom name, not those of volumes"
    } else {
        ""
    }
}

/// `None`: the one that is asked for is none.
fn kind(wire: &Wire, prefix: &str, errors: &mut Vec<Problem>) -> Option<Kind> {
    let Some(written) = &wire.kind else { return Some(Kind::Pod) };
    let known = [Kind::Pod, Kind::K8s, Kind::Microshift, Kind::Shell, Kind::Ansible];
    let kind = known.into_iter().find(|kind| kind.as_str() == written);
    let message = match kind {
        Some(Kind::Shell | Kind::Ansible) => {
            format!("spec.type: the server sends pods; it has no way to send what {written} needs")
        }
        Some(_) => return kind,
        None => format!("spec.type: must be pod, k8s or microshift, not {:?}", short(written)),
    };
    errors.push(Problem::new(prefix, message));
    kind
}

fn specification(
    wire: &Wire,
    kind: Kind,
    prefix: &str,
    errors: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Carried> {
    let mut report = Report::new(&format!("{prefix}, specification"));
    let carried = one_document(&mut report, &wire.specification, "a PodSpec")
        .and_then(|node| carried::pod_spec(&mut report, POD_SPEC, &node, kind));
    errors.append(&mut report.errors);
    warnings.append(&mut report.warnings);
    carried
}

/// The one document of a YAML text.
pub(super) fn one_document(report: &mut Report, text: &str, what: &str) -> Option<Node> {
    let begin = tree::At { line: 1, column: 1 };
    if text.len() > MAX_TEXT {
        report.error(begin, "is larger than 1 MiB");
        return None;
    }
    match tree::parse(text) {
        Err(why) => report.error(why.at, why.message),
        Ok(mut documents) => match (documents.pop(), documents.is_empty()) {
            (Some(node), true) => return Some(node),
            (Some(node), false) => report.error(node.at, format!("must be {what}, one document; there are more")),
            (None, _) => report.error(begin, format!("is empty: must be the YAML of {what}")),
        },
    }
    None
}

fn gates(wire: &Wire, errors: &mut Vec<Problem>) -> Vec<ProfileRef> {
    let (from, to) = QUOTA_US;
    let mut quota = |at: &str, cpu: i64| {
        let found = u32::try_from(cpu).ok().filter(|_| (from..=to).contains(&cpu));
        if found.is_none() {
            let message = format!("must be µs per 100 ms from {from} to {to}, not {cpu} (workload {})", wire.name);
            errors.push(Problem::new(format!("server: {at}.cpu"), message));
        }
        found
    };
    let mut gates = Vec::new();
    for profile in &wire.profiles {
        let mut conditions = Vec::new();
        for condition in &profile.conditions {
            let cpu_quota_us = condition.cpu.and_then(|cpu| quota(&condition.at, cpu));
            conditions.push(ConditionRef { name: condition.name.clone(), cpu_quota_us });
        }
        gates.push(ProfileRef { name: profile.name.clone(), conditions });
    }
    gates
}

/// What cannot be used of them does not keep a workload whose image is here from running.
fn credentials(wire: &Wire, prefix: &str, warnings: &mut Vec<Problem>) -> crate::model::registry::Registries {
    let Some(file) = &wire.auth_file else { return crate::model::registry::Registries::default() };
    let (registries, wrong) = registries::read(file);
    let place = format!("{prefix}, imageRegistries.authFile");
    warnings.extend(wrong.into_iter().map(|why| Problem::new(place.clone(), why)));
    registries
}
