//! A workload as the server sends it (contract, section 4.2).

use std::collections::BTreeMap;

use super::lenient::{Object, problem};
use crate::model::hidden::Hidden;
use crate::model::problem::Problem;
use crate::source::reading::limits::MAX_GATES;

/// The most ConfigMaps of a workload.
const MAX_CONFIG_MAPS: usize = 1_000;
/// A label's prefix on the server, which takes it off before it sends the label.
const PREFIX: &str = "podman/";

/// A workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// Where it stands: `workloads[2]`. Says nothing about the workload: the order changes from answer to answer.
    pub at: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty: `default`.
    pub namespace: String,
    /// `pod`, `k8s`, or whatever the EdgeWorkload says; `None`: pod.
    pub kind: Option<String>,
    /// YAML of a v1.PodSpec.
    pub specification: String,
    /// Without the prefix `podman/`.
    pub labels: BTreeMap<String, String>,
    /// Without the prefix `podman/`.
    pub annotations: BTreeMap<String, String>,
    /// A crontab(5) line, as written.
    pub cron: Option<String>,
    /// Run by the user's own podman.
    pub rootless: bool,
    /// Never sent by the servers of today.
    pub retry: Option<Retry>,
    /// What gates it.
    pub profiles: Vec<ProfileRef>,
    /// Each the YAML of a v1 ConfigMap.
    pub config_maps: Vec<String>,
    /// `imageRegistries.authFile`: the content of a docker `config.json`.
    pub auth_file: Option<Hidden>,
    /// What is asked for and not for this agent, by field: `data.egress`.
    pub unused: Vec<&'static str>,
    /// What keeps it from being carried out.
    pub problems: Vec<Problem>,
    /// What does not.
    pub warnings: Vec<Problem>,
}

/// The wait between starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry {
    /// Which kind.
    pub backoff: Option<String>,
    /// The constant wait.
    pub period_seconds: Option<i64>,
    /// The first wait of an exponential one.
    pub initial_interval_seconds: Option<i64>,
    /// How much chance is in it.
    pub randomization_factor: Option<f64>,
    /// What each wait is multiplied with.
    pub multiplier: Option<f64>,
}

/// A profile that gates a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRef {
    /// Its name.
    pub name: String,
    /// The conditions of which one must be true; empty: any.
    pub conditions: Vec<ConditionRef>,
}

/// A condition that a workload names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRef {
    /// Where it stands: `workloads[2].profiles[0].conditions[1]`.
    pub at: String,
    /// Its name.
    pub name: String,
    /// `cpu.cpu`, in µs per 100 ms. 0, which arrives as `"cpu":{}`, is no limit: `None`.
    pub cpu: Option<i64>,
}

impl Workload {
    /// `None`: it has no name, so nobody can tell whose it is.
    pub(super) fn read(of: &Object<'_>, outside: &mut Vec<Problem>) -> Option<Workload> {
        let name = of.name(outside, "a workload")?;
        let before = outside.len();
        let namespace = of.text(outside, "namespace").unwrap_or_default();
        if outside.len() > before {
            return None;
        }
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let wrong = &mut problems;
        let stripped = |labels: BTreeMap<String, String>| -> BTreeMap<String, String> {
            let strip = |key: String| key.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(key);
            labels.into_iter().map(|(key, value)| (strip(key), value)).collect()
        };
        let registries = of.object(&mut warnings, "imageRegistries");
        Some(Workload {
            at: of.path.clone(),
            name,
            namespace,
            kind: of.text(wrong, "kind").filter(|kind| !kind.is_empty()),
            specification: of.text(wrong, "specification").unwrap_or_default(),
            labels: stripped(of.texts(wrong, "labels")),
            annotations: stripped(of.texts(wrong, "annotations")),
            cron: of.text(wrong, "cron").filter(|cron| !cron.is_empty()),
            rootless: of.boolean(wrong, "rootless").unwrap_or(false),
            retry: of.object(wrong, "retry").map(|object| retry(&object, wrong)),
            profiles: profiles(of, wrong),
            config_maps: config_maps(of, wrong),
            auth_file: registries
                .and_then(|object| object.hidden_text(&mut warnings, "authFile"))
                .filter(|text| !text.reveal().is_empty()),
            unused: unused(of),
            problems,
            warnings,
        })
    }
}

fn retry(of: &Object<'_>, problems: &mut Vec<Problem>) -> Retry {
    Retry {
        backoff: of.text(problems, "backoff"),
        period_seconds: of.whole(problems, "periodSeconds"),
        initial_interval_seconds: of.whole(problems, "initialIntervalSeconds"),
        randomization_factor: of.number(problems, "randomizationFactor"),
        multiplier: of.number(problems, "multiplier"),
    }
}

fn profiles(of: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<ProfileRef> {
    let path = of.name_of("profiles");
    let mut found = Vec::new();
    let list = of.list(problems, "profiles").unwrap_or_default();
    if list.len() > MAX_GATES {
        problems.push(problem(&path, format!("more than {MAX_GATES} of them")));
    }
    for (index, item) in list.iter().take(MAX_GATES).enumerate() {
        let Some(profile) = Object::of(problems, &format!("{path}[{index}]"), item) else { continue };
        let Some(name) = profile.name(problems, "a profile") else { continue };
        found.push(ProfileRef { name, conditions: conditions(&profile, problems) });
    }
    found
}

fn conditions(profile: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<ConditionRef> {
    let path = profile.name_of("conditions");
    let mut found = Vec::new();
    let list = profile.list(problems, "conditions").unwrap_or_default();
    if list.len() > MAX_GATES {
        problems.push(problem(&path, format!("more than {MAX_GATES} of them")));
    }
    for (index, item) in list.iter().take(MAX_GATES).enumerate() {
        let at = format!("{path}[{index}]");
        let Some(condition) = Object::of(problems, &at, item) else { continue };
        let Some(name) = condition.name(problems, "a condition") else { continue };
        // `cpu: { cpu: N }`; a plain number would mean the same.
        let cpu = match condition.get("cpu") {
            Some(value) if value.is_number() => condition.whole(problems, "cpu"),
            _ => condition.object(problems, "cpu").and_then(|object| object.whole(problems, "cpu")),
        };
        found.push(ConditionRef { at, name, cpu: cpu.filter(|cpu| *cpu != 0) });
    }
    found
}

fn config_maps(of: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
    let path = of.name_of("configmaps");
    let list = of.list(problems, "configmaps").unwrap_or_default();
    if list.len() > MAX_CONFIG_MAPS {
        problems.push(problem(&path, format!("more than {MAX_CONFIG_MAPS} of them")));
    }
    let mut found = Vec::new();
    for (index, item) in list.iter().take(MAX_CONFIG_MAPS).enumerate() {
        match item.as_str() {
            Some(text) => found.push(text.to_owned()),
            None => problems.push(problem(&format!("{path}[{index}]"), "must be text: the YAML of a ConfigMap")),
        }
    }
    found
}

fn unused(of: &Object<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    if let Some(data) = of.object(&mut Vec::new(), "data") {
        found.extend(data.holds("egress").then_some("data.egress"));
        found.extend(data.holds("ingress").then_some("data.ingress"));
    }
    found.extend(of.holds("metrics").then_some("metrics"));
    found.extend(of.holds("log_collection").then_some("log_collection"));
    found
}
