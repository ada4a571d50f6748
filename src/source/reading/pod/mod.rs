//! The PodSpec of a podman pod: every field is carried out, warned about with its place, or refused with its place.

mod container;
mod env;
mod files;
mod of_pod;
mod probe;
pub(crate) mod quantity;
mod shown;
mod volume;

use std::collections::BTreeSet;

use super::carried::DEFAULT_GRACE;
use super::fields::{Fields, Report};
use super::tree::{Node, Value, short};
use crate::model::pod::{Container, PodSpec, Security};

/// The kernel takes no longer one.
const HOSTNAME_MAX: usize = 63;
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
    let security = pod_security(report, &mut fields);
    let mut spec = PodSpec {
        volumes: volume::read_all(report, &mut fields),
        host_network: fields.boolean(report, "hostNetwork").unwrap_or(false),
        hostname: fields.text(report, "hostname"),
        share_processes: fields.boolean(report, "shareProcessNamespace").unwrap_or(false),
        host_aliases: host_aliases(report, &mut fields),
        grace: fields.duration(report, "terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE),
        ..PodSpec::default()
    };
    if let Some(name) = &spec.hostname {
        let checked = crate::model::id::rfc1123("hostname", name);
        let too_long = || (name.len() > HOSTNAME_MAX).then(|| format!("may have {HOSTNAME_MAX} characters at most"));
        if let Some(why) = checked.err().map(|why| why.to_string()).or_else(too_long) {
            report.error(node.at, format!("{path}.hostname: {why}"));
        }
    }
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
    // Read by the caller, which gives it its default.
    fields.ignore(&["restartPolicy"]);
    match fields.take_entry("dnsPolicy") {
        Some((_, Node { value: Value::Text(text), .. })) if text == "Default" || text == "ClusterFirst" => {}
        Some((key, _)) => report.warn(key.at, format!("{path}.dnsPolicy: is not carried out yet, and ignored")),
        None => {}
    }
    for field in OF_CLUSTERS {
        if let Some((key, _)) = fields.take_entry(field) {
            report.warn(key.at, format!("{path}.{field}: has no meaning on a single device, and is ignored"));
        }
    }
    fields.not_yet(
        report,
        &[
            "activeDeadlineSeconds",
            "dnsConfig",
            "ephemeralContainers",
            "hostIPC",
            "hostPID",
            "hostUsers",
            "imagePullSecrets",
            "os",
            "readinessGates",
            "resourceClaims",
            "resources",
            "runtimeClassName",
            "schedulingGates",
            "setHostnameAsFQDN",
            "subdomain",
        ],
    );
    fields.finish(report);
    Some(spec)
}

fn pod_security(report: &mut Report, fields: &mut Fields<'_>) -> Security {
    let Some(mut of_pod) = fields.map(report, "securityContext") else { return Security::default() };
    let mut security = Security::default();
    run_as(report, &mut of_pod, &mut security);
    let path = of_pod.name("supplementalGroups");
    for (index, node) in of_pod.list(report, "supplementalGroups").unwrap_or_default().iter().enumerate() {
        security.groups.extend(id(report, &format!("{path}[{index}]"), node));
    }
    seccomp(report, &mut of_pod);
    of_pod.not_yet(
        report,
        &[
            "appArmorProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "seLinuxChangePolicy",
            "seLinuxOptions",
            "supplementalGroupsPolicy",
            "sysctls",
            "windowsOptions",
        ],
    );
    of_pod.finish(report);
    security
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

/// Podman's own profile is the runtime's default; another one cannot be asked for yet.
fn seccomp(report: &mut Report, fields: &mut Fields<'_>) {
    let path = fields.name("seccompProfile");
    let Some((key, node)) = fields.take_entry("seccompProfile") else { return };
    let default = matches!(node.get("type"), Some(Node { value: Value::Text(text), .. }) if text == "RuntimeDefault");
    if !default {
        report.warn(key.at, format!("{path}: only RuntimeDefault is carried out, which is used"));
    }
}

fn host_aliases(report: &mut Report, fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let path = fields.name("hostAliases");
    let mut found = Vec::new();
    for (index, node) in fields.list(report, "hostAliases").unwrap_or_default().iter().enumerate() {
        let Some(mut alias) = Fields::of(report, &format!("{path}[{index}]"), node) else { continue };
        let ip = alias.text(report, "ip").unwrap_or_default();
        if ip.parse::<std::net::IpAddr>().is_err() {
            report.error(node.at, format!("{path}[{index}].ip: {:?} is not an IP address", short(&ip)));
        }
        let names = alias.name("hostnames");
        for node in alias.list(report, "hostnames").unwrap_or_default() {
            if let Some(name) = super::fields::text(report, &names, node) {
                found.push((name, ip.clone()));
            }
        }
        alias.finish(report);
    }
    found
}
