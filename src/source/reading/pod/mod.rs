//! The PodSpec of a podman pod: every field is carried out, warned about with its place, or refused with its place.

mod container;
mod env;
mod files;
pub(crate) mod network;
mod of_pod;
mod probe;
pub(crate) mod quantity;
mod shown;
mod volume;

use std::collections::{BTreeMap, BTreeSet};

use super::carried::DEFAULT_GRACE;
use super::fields::{Fields, Report};
use super::tree::{Node, Value};
use crate::model::pod::{Container, PodSpec, Security};

/// Fields that ask a scheduler of many machines something.
const OF_CLUSTERS: [&str; 14] = [
    "affinity",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
];

/// Reads it; what is wrong with it stands in the report.
pub(crate) fn read(report: &mut Report, path: &str, node: &Node) -> Option<PodSpec> {
    let mut fields = Fields::of(report, path, node)?;
    let (security, sysctls) = pod_security(report, &mut fields);
    let mut spec = PodSpec {
        volumes: volume::read_all(report, &mut fields),
        host_network: fields.boolean(report, "hostNetwork").unwrap_or(false),
        host_pid: fields.boolean(report, "hostPID").unwrap_or(false),
        host_ipc: fields.boolean(report, "hostIPC").unwrap_or(false),
        share_processes: fields.boolean(report, "shareProcessNamespace").unwrap_or(false),
        sysctls,
        grace: fields.duration(report, "terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE),
        ..PodSpec::default()
    };
    let mut names = BTreeSet::new();
    for (field, into) in
        [("initContainers", &mut spec.init_containers as &mut Vec<Container>), ("containers", &mut spec.containers)]
    {
        let list_path = fields.name(field);
        let Some(list) = fields.list(report, field) else { continue };
        for (index, node) in list.iter().enumerate() {
            let path = format!("{list_path}[{index}]");
            let init = field == "initContainers";
            let Some(container) = container::read(report, &path, node, &security, &spec.volumes, init) else {
                continue;
            };
            if !names.insert(container.name.clone()) {
                report.error(node.at, format!("{path}.name: {:?} is used twice in this pod", container.name));
            }
            into.push(container);
        }
    }
    of_pod::check(report, node.at, path, &spec);
    let path_of_secrets = fields.name("imagePullSecrets");
    for (index, node) in fields.list(report, "imagePullSecrets").unwrap_or_default().iter().enumerate() {
        let path = format!("{path_of_secrets}[{index}]");
        let Some(mut secret) = Fields::of(report, &path, node) else { continue };
        match secret.text(report, "name") {
            Some(name) => spec.pull_secrets.push(name),
            None => report.error(node.at, format!("{path}.name: is missing: which Secret?")),
        }
        secret.finish(report);
    }
    // Read by the caller, which gives it its default.
    fields.ignore(&["restartPolicy"]);
    network::read(report, &mut fields, &mut spec);
    for field in OF_CLUSTERS {
        if let Some((key, _)) = fields.take_entry(field) {
            report.warn(key.at, format!("{path}.{field}: has no meaning on a single device, and is ignored"));
        }
    }
    if let Some((key, _)) = fields.take_entry("runtimeClassName") {
        // Whoever asks for a stronger wall must not get the usual one in silence.
        report.error(
            key.at,
            format!("{path}.runtimeClassName: is not carried out; podman's own runtime is set in containers.conf"),
        );
    }
    fields.not_yet(
        report,
        &[
            "activeDeadlineSeconds",
            "ephemeralContainers",
            "hostUsers",
            "os",
            "readinessGates",
            "resourceClaims",
            "resources",
            "schedulingGates",
        ],
    );
    fields.finish(report);
    Some(spec)
}

fn pod_security(report: &mut Report, fields: &mut Fields<'_>) -> (Security, BTreeMap<String, String>) {
    let Some(mut of_pod) = fields.map(report, "securityContext") else { return Default::default() };
    let mut security = Security::default();
    run_as(report, &mut of_pod, &mut security);
    let path = of_pod.name("supplementalGroups");
    for (index, node) in of_pod.list(report, "supplementalGroups").unwrap_or_default().iter().enumerate() {
        security.groups.extend(id(report, &format!("{path}[{index}]"), node));
    }
    seccomp(report, &mut of_pod, &mut security);
    let sysctls = network::sysctls(report, &mut of_pod);
    of_pod.not_yet(
        report,
        &[
            "appArmorProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "seLinuxChangePolicy",
            "seLinuxOptions",
            "supplementalGroupsPolicy",
            "windowsOptions",
        ],
    );
    of_pod.finish(report);
    (security, sysctls)
}

/// What pods and containers have in common.
fn run_as(report: &mut Report, fields: &mut Fields<'_>, security: &mut Security) {
    for (field, into) in [("runAsUser", &mut security.user as &mut Option<u32>), ("runAsGroup", &mut security.group)] {
        let path = fields.name(field);
        if let Some(node) = fields.take(field) {
            *into = id(report, &path, node).or(*into);
        }
    }
    security.non_root = fields.boolean(report, "runAsNonRoot").unwrap_or(security.non_root);
}

fn id(report: &mut Report, path: &str, node: &Node) -> Option<u32> {
    super::fields::integer(report, path, node, 0, i64::from(u32::MAX) - 1).and_then(|id| u32::try_from(id).ok())
}

/// Podman's own profile is the runtime's default; one from a file cannot be asked for yet.
fn seccomp(report: &mut Report, fields: &mut Fields<'_>, security: &mut Security) {
    let path = fields.name("seccompProfile");
    let Some((key, node)) = fields.take_entry("seccompProfile") else { return };
    match node.get("type") {
        Some(Node { value: Value::Text(text), .. }) if text == "RuntimeDefault" => security.seccomp_unconfined = false,
        Some(Node { value: Value::Text(text), .. }) if text == "Unconfined" => security.seccomp_unconfined = true,
        _ => report.warn(
            key.at,
            format!("{path}: only RuntimeDefault and Unconfined are carried out; RuntimeDefault is used"),
        ),
    }
}
