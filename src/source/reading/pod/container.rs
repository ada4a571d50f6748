//! A container of a pod.

use std::collections::BTreeMap;

use super::super::fields::{Fields, Report, as_written, text};
use super::super::tree::{Node, Value, short};
use super::{env, probe, quantity, run_as, seccomp, shown, volume};
use crate::model::pod::{Container, Port, PullPolicy, Resources, Security, Volume};

pub(super) fn read(
    report: &mut Report,
    path: &str,
    node: &Node,
    of_pod: &Security,
    volumes: &BTreeMap<String, Volume>,
    init: bool,
) -> Option<Container> {
    let mut fields = Fields::of(report, path, node)?;
    let name = fields.text(report, "name").unwrap_or_default();
    let image = fields.text(report, "image").unwrap_or_default();
    for (field, found) in [("name", &name), ("image", &image)] {
        if found.is_empty() {
            report.error(node.at, format!("{path}.{field}: is missing"));
        }
    }
    let is_label = name.len() <= 63 && !name.contains('.');
    if !name.is_empty() && (crate::model::id::rfc1123("name", &name).is_err() || !is_label) {
        report.error(
            node.at,
            format!(
                "{path}.name: {:?} is not a name: use lower-case letters, digits and '-', at most 63",
                short(&name)
            ),
        );
    }
    let words = shown::words(&fields);
    let mut container = Container {
        pull: pull(report, &mut fields, &image, node),
        name,
        image,
        command: strings(report, &mut fields, "command"),
        args: strings(report, &mut fields, "args"),
        working_dir: fields.text(report, "workingDir"),
        tty: fields.boolean(report, "tty").unwrap_or(false),
        stdin: fields.boolean(report, "stdin").unwrap_or(false),
        security: security(report, &mut fields, of_pod, node),
        ..Container::default()
    };
    if container.working_dir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
        report.error(node.at, format!("{path}.workingDir: must be absolute: write it from / on"));
    }
    env::read(report, &mut fields, &mut container);
    shown::warn(report, &words, &container);
    ports(report, &mut fields, &mut container);
    probe::read(report, &mut fields, &mut container, init);
    container.resources = resources(report, &mut fields);
    volume::mounts(report, &mut fields, &mut container, volumes);
    fields.not_yet(
        report,
        &[
            "resizePolicy",
            "restartPolicy",
            "stdinOnce",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "volumeDevices",
        ],
    );
    fields.finish(report);
    Some(container)
}

/// As in Kubernetes: `Always` for `:latest` and for no tag at all, else `IfNotPresent`.
fn pull(report: &mut Report, fields: &mut Fields<'_>, image: &str, node: &Node) -> PullPolicy {
    match fields.text(report, "imagePullPolicy").as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("IfNotPresent") => PullPolicy::IfNotPresent,
        Some("Never") => PullPolicy::Never,
        Some(other) => {
            report.error(
                node.at,
                format!("{}.imagePullPolicy: {:?} is none of Always, IfNotPresent, Never", fields.path, short(other)),
            );
            PullPolicy::IfNotPresent
        }
        None => {
            let name = image.rsplit('/').next().unwrap_or_default();
            let tagged = image.contains('@') || name.split_once(':').is_some_and(|(_, tag)| tag != "latest");
            if tagged { PullPolicy::IfNotPresent } else { PullPolicy::Always }
        }
    }
}

fn strings(report: &mut Report, fields: &mut Fields<'_>, field: &'static str) -> Vec<String> {
    let path = fields.name(field);
    let list = fields.list(report, field).unwrap_or_default();
    let item = |(index, node): (usize, &Node)| as_written(report, &format!("{path}[{index}]"), node);
    list.iter().enumerate().filter_map(item).collect()
}

fn security(report: &mut Report, fields: &mut Fields<'_>, of_pod: &Security, node: &Node) -> Security {
    let mut security = of_pod.clone();
    let path = fields.name("securityContext");
    let own = fields.map(report, "securityContext").map(|mut own| {
        run_as(report, &mut own, &mut security);
        own
    });
    if security.non_root && security.user == Some(0) {
        report.error(node.at, format!("{path}: runAsNonRoot and runAsUser: 0 contradict each other: keep one"));
    }
    let Some(mut own) = own else { return security };
    security.privileged = own.boolean(report, "privileged").unwrap_or(false);
    security.escalation = own.boolean(report, "allowPrivilegeEscalation");
    security.read_only_root = own.boolean(report, "readOnlyRootFilesystem").unwrap_or(false);
    if let Some(mut caps) = own.map(report, "capabilities") {
        security.cap_add = capabilities(report, &mut caps, "add");
        security.cap_drop = capabilities(report, &mut caps, "drop");
        caps.finish(report);
    }
    seccomp(report, &mut own);
    own.not_yet(report, &["appArmorProfile", "procMount", "seLinuxOptions", "windowsOptions"]);
    own.finish(report);
    security
}

fn capabilities(report: &mut Report, fields: &mut Fields<'_>, field: &'static str) -> Vec<String> {
    let path = fields.name(field);
    let mut found = Vec::new();
    for (index, node) in fields.list(report, field).unwrap_or_default().iter().enumerate() {
        let Some(name) = text(report, &format!("{path}[{index}]"), node) else { continue };
        let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_') {
            report.error(
                node.at,
                format!("{path}[{index}]: {:?} is no capability: write NET_ADMIN or ALL", short(&name)),
            );
            continue;
        }
        found.push(name);
    }
    found
}

fn ports(report: &mut Report, fields: &mut Fields<'_>, container: &mut Container) {
    let path = fields.name("ports");
    for (index, node) in fields.list(report, "ports").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut port) = Fields::of(report, &path, node) else { continue };
        let mut number =
            |field| port.integer(report, field, 1, i64::from(u16::MAX)).and_then(|number| u16::try_from(number).ok());
        let (inside, host) = (number("containerPort"), number("hostPort"));
        let name = port.text(report, "name").filter(|name| !name.is_empty());
        let host_ip = port.text(report, "hostIP").filter(|ip| !ip.is_empty());
        let protocol = match port.text(report, "protocol").as_deref() {
            None | Some("TCP") => "tcp",
            Some("UDP") => "udp",
            Some("SCTP") => "sctp",
            Some(other) => {
                report.error(node.at, format!("{path}.protocol: {:?} is none of TCP, UDP, SCTP", short(other)));
                "tcp"
            }
        };
        port.finish(report);
        if let Some(ip) = host_ip.as_ref().filter(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
            report.error(node.at, format!("{path}.hostIP: {:?} is not an IP address", short(ip)));
        }
        match inside {
            Some(inside) => container.ports.push(Port { name, container: inside, host, host_ip, protocol }),
            None => report.error(node.at, format!("{path}.containerPort: is missing")),
        }
    }
}

fn resources(report: &mut Report, fields: &mut Fields<'_>) -> Resources {
    let mut found = Resources::default();
    let Some(mut resources) = fields.map(report, "resources") else { return found };
    for limit in [true, false] {
        let Some(mut of) = resources.map(report, if limit { "limits" } else { "requests" }) else { continue };
        let cpu = amount(report, &mut of, "cpu");
        let memory = amount(report, &mut of, "memory").map(|milli| milli.div_ceil(1000));
        if limit {
            // One core is 100 000 µs per 100 ms; below 1 ms the kernel refuses.
            let quota = cpu.map(|milli| milli.saturating_mul(100).clamp(1_000, 1_000_000_000));
            found.cpu_limit_us = quota.and_then(|us| u32::try_from(us).ok());
            found.memory_limit = memory;
        } else {
            found.cpu_request_milli = cpu.map(|milli| u32::try_from(milli).unwrap_or(u32::MAX));
            found.memory_request = memory;
        }
        of.not_yet(report, &["ephemeral-storage"]);
        of.finish(report);
    }
    resources.not_yet(report, &["claims"]);
    resources.finish(report);
    found
}

fn amount(report: &mut Report, fields: &mut Fields<'_>, field: &'static str) -> Option<u64> {
    let path = fields.name(field);
    let node = fields.take(field)?;
    let text = match &node.value {
        Value::Number(_, text) | Value::Text(text) => text.clone(),
        _ => {
            report.error(node.at, format!("{path}: must be a quantity like 500m or 64Mi, not {}", node.what()));
            return None;
        }
    };
    match quantity::milli(&text) {
        Ok(0) => None,
        Ok(milli) => Some(milli),
        Err(why) => {
            report.error(node.at, format!("{path}: {why}"));
            None
        }
    }
}
