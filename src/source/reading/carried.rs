//! What an executor gets of a workload, and when an ended run is started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::fields::Report;
use super::kube::{self, References};
use super::tree::{Node, Value};
use crate::model::id::WorkloadId;
use crate::model::pod::{Content, Contents, PodJob, Referred};
use crate::model::workload::{Kind, Payload, RestartPolicy};

/// Between TERM and KILL where nothing is said, as in Kubernetes.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The part of a workload that an executor gets.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// What is carried out.
    pub payload: Payload,
    /// As written: it makes the version.
    pub input: Json,
    /// When an ended run is started again, where that is said.
    pub restart: Option<RestartPolicy>,
    /// The ConfigMaps and Secrets that it refers to.
    pub references: References,
}

/// Reads a PodSpec for its kind. `path` names it in sentences.
pub(crate) fn pod_spec(report: &mut Report, path: &str, node: &Node, kind: Kind) -> Option<Carried> {
    let some = matches!(node.get("containers").map(|node| &node.value), Some(Value::List(items)) if !items.is_empty());
    if !some {
        report.error(node.at, format!("{path}.containers: is missing: a pod needs at least one container"));
        return None;
    }
    let restart = restart_policy(report, node.get("restartPolicy"), &format!("{path}.restartPolicy"));
    let input = node.to_json();
    let references = kube::references(&input);
    let payload = match kind {
        Kind::Pod => {
            let spec = super::pod::read(report, path, node)?;
            Payload::Pod(Arc::new(PodJob { spec, ..PodJob::default() }))
        }
        // The cluster reads it itself.
        Kind::K8s | Kind::Microshift | Kind::Ansible | Kind::Shell => Payload::Kube(input.clone()),
    };
    Some(Carried { payload, input: json!({ "spec": input }), restart, references })
}

/// A restart policy as it is written.
pub(crate) fn restart_policy(report: &mut Report, node: Option<&Node>, path: &str) -> Option<RestartPolicy> {
    let node = node?;
    match &node.value {
        Value::Text(text) if text == "Always" => Some(RestartPolicy::Always),
        Value::Text(text) if text == "OnFailure" => Some(RestartPolicy::OnFailure),
        Value::Text(text) if text == "Never" => Some(RestartPolicy::Never),
        _ => {
            report.error(node.at, format!("{path}: must be Always, OnFailure or Never, not {}", node.what()));
            None
        }
    }
}

/// When an ended run is started again where nothing is said (SPEC "Retry").
pub(crate) fn default_restart(kind: Kind, cron: bool) -> RestartPolicy {
    match kind {
        _ if cron => RestartPolicy::Never,
        Kind::Shell | Kind::Ansible => RestartPolicy::OnFailure,
        Kind::Pod | Kind::K8s | Kind::Microshift => RestartPolicy::Always,
    }
}

/// Puts what a pod refers to beside it; a pod that lacks something, or has too long a name, cannot be carried out.
pub(crate) fn with_contents<'a>(
    job: &PodJob,
    references: &References,
    id: &WorkloadId,
    annotations: &BTreeMap<String, String>,
    find: impl Fn(Referred, &str) -> Option<&'a Content>,
    warnings: &mut Vec<String>,
) -> Payload {
    let all = |of: Referred, names: &BTreeMap<String, bool>| -> BTreeMap<String, Content> {
        names.keys().filter_map(|name| Some((name.clone(), find(of, name)?.clone()))).collect()
    };
    let contents = Contents {
        config_maps: all(Referred::ConfigMap, &references.config_maps),
        secrets: all(Referred::Secret, &references.secrets),
    };
    let mut job = PodJob { contents, ..job.clone() };
    for name in std::mem::take(&mut job.spec.pull_secrets) {
        let found = job.contents.secrets.get(&name);
        warnings.extend(super::registries::add_secret(&mut job.registries, &name, found));
        job.spec.pull_secrets.push(name);
    }
    if let Err(why) = super::pod::network::annotated(&mut job.spec, annotations) {
        return Payload::Invalid(why);
    }
    match job.missing(id.namespace()).or_else(|| job.too_long(id.name())) {
        Some(what) => Payload::Invalid(what),
        None => Payload::Pod(Arc::new(job)),
    }
}

/// What a workload that no pod is made of here refers to and is not there: for its warnings.
pub(crate) fn missing<'a>(
    references: &References,
    id: &WorkloadId,
    find: impl Fn(Referred, &str) -> Option<&'a Content>,
) -> Vec<String> {
    let of = |of: Referred, names: &BTreeMap<String, bool>| -> Vec<String> {
        let absent = names.iter().filter(|(name, optional)| !**optional && find(of, name).is_none());
        absent
            .map(|(name, _)| format!("{} {}/{name} is referred to and not there", of.kind(), id.namespace()))
            .collect()
    };
    let mut all = of(Referred::ConfigMap, &references.config_maps);
    all.extend(of(Referred::Secret, &references.secrets));
    all
}
