//! A container's probes and lifecycle hooks, with Kubernetes' defaults.

use std::time::Duration;

use super::super::fields::{Fields, Report, as_written};
use super::super::tree::{Node, Value, short};
use crate::model::pod::{Container, Header, Hook, HttpAction, Lifecycle, Port, Probe, ProbeAction, Probes};

/// Kubernetes' own.
const PERIOD: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(1);
const FAILURES: u32 = 3;
/// Of what a probe may ask for: a try each second is the most often there is, a day the longest.
const SECONDS_MAX: i64 = 86_400;
const THRESHOLD_MAX: i64 = 100_000;
/// A command, a path, headers: what is longer is a mistake.
const TEXT_MAX: usize = 4_096;
const HEADERS_MAX: usize = 32;

/// Reads them; a name of a port is one of the container's. `init`: of an init container, which has none.
pub(super) fn read(report: &mut Report, fields: &mut Fields<'_>, container: &mut Container, init: bool) {
    if init {
        for field in ["startupProbe", "readinessProbe", "livenessProbe", "lifecycle"] {
            if let Some((key, _)) = fields.take_entry(field) {
                let name = fields.name(field);
                report.error(key.at, format!("{name}: an init container runs to its end and has none: remove it"));
            }
        }
        return;
    }
    let ports = &container.ports;
    let probes = Probes {
        startup: probe(report, fields, "startupProbe", ports),
        readiness: probe(report, fields, "readinessProbe", ports),
        liveness: probe(report, fields, "livenessProbe", ports),
    };
    let lifecycle = lifecycle(report, fields, ports);
    container.probes = probes;
    container.lifecycle = lifecycle;
}

fn probe(report: &mut Report, fields: &mut Fields<'_>, field: &'static str, ports: &[Port]) -> Option<Probe> {
    let path = fields.name(field);
    let node = fields.take(field)?;
    let mut of = Fields::of(report, &path, node)?;
    let mut whole = |report: &mut Report, name: &'static str, least: i64, most: i64, usual: u64| {
        let found = of.integer(report, name, least, most).and_then(|found| u64::try_from(found).ok());
        found.unwrap_or(usual)
    };
    let initial_delay = Duration::from_secs(whole(report, "initialDelaySeconds", 0, SECONDS_MAX, 0));
    // Kubernetes takes 0 for "the default".
    let or = |found: u64, usual: u64| if found == 0 { usual } else { found };
    let period = Duration::from_secs(or(whole(report, "periodSeconds", 0, SECONDS_MAX, 0), PERIOD.as_secs()));
    let timeout = Duration::from_secs(or(whole(report, "timeoutSeconds", 0, SECONDS_MAX, 0), TIMEOUT.as_secs()));
    let successes = or(whole(report, "successThreshold", 0, THRESHOLD_MAX, 0), 1);
    let failures = or(whole(report, "failureThreshold", 0, THRESHOLD_MAX, 0), u64::from(FAILURES));
    if field != "readinessProbe" && successes != 1 {
        report.error(
            node.at,
            format!("{path}.successThreshold: must be 1, as one success is enough for this probe: write 1, or nothing"),
        );
    }
    let grace_path = of.name("terminationGracePeriodSeconds");
    let grace = of.integer(report, "terminationGracePeriodSeconds", 1, SECONDS_MAX);
    if field == "readinessProbe" && grace.is_some() {
        report.error(node.at, format!("{grace_path}: a readiness probe ends nothing: remove it"));
    }
    let mut actions = Vec::new();
    actions.extend(exec(report, &mut of).map(ProbeAction::Exec));
    actions.extend(http(report, &mut of, ports).map(ProbeAction::Http));
    actions.extend(tcp(report, &mut of, ports));
    actions.extend(grpc(report, &mut of));
    of.finish(report);
    let action = one_of(report, node, &path, actions, "exec, httpGet, tcpSocket, grpc")?;
    let count = |found: u64| u32::try_from(found).unwrap_or(u32::MAX);
    Some(Probe {
        action,
        initial_delay,
        period,
        timeout,
        success_threshold: count(successes),
        failure_threshold: count(failures),
        grace: grace.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
    })
}

/// Each of the actions that could be read stands for one that was written; one that could not was said.
fn one_of<T>(report: &mut Report, node: &Node, path: &str, mut actions: Vec<T>, names: &str) -> Option<T> {
    let written = names.split(", ").filter(|name| node.get(name).is_some()).count();
    match written {
        0 => report.error(node.at, format!("{path}: says nothing of what is done: write one of {names}")),
        1 => {}
        _ => report.error(node.at, format!("{path}: may have one of {names} only: keep one")),
    }
    if written == 1 { actions.pop() } else { None }
}

fn lifecycle(report: &mut Report, fields: &mut Fields<'_>, ports: &[Port]) -> Lifecycle {
    let Some(mut of) = fields.map(report, "lifecycle") else { return Lifecycle::default() };
    let found = Lifecycle {
        post_start: hook(report, &mut of, "postStart", ports),
        pre_stop: hook(report, &mut of, "preStop", ports),
    };
    of.not_yet(report, &["stopSignal"]);
    of.finish(report);
    found
}

fn hook(report: &mut Report, fields: &mut Fields<'_>, field: &'static str, ports: &[Port]) -> Option<Hook> {
    let path = fields.name(field);
    let node = fields.take(field)?;
    let mut of = Fields::of(report, &path, node)?;
    let mut actions = Vec::new();
    actions.extend(exec(report, &mut of).map(Hook::Exec));
    actions.extend(http(report, &mut of, ports).map(Hook::Http));
    if let Some(mut sleep) = of.map(report, "sleep") {
        let seconds = sleep.integer(report, "seconds", 0, SECONDS_MAX);
        if seconds.is_none() && sleep.entry("seconds").is_none() {
            report.error(sleep.at, format!("{}.seconds: is missing", sleep.path));
        }
        let length = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        actions.extend(length.map(Hook::Sleep));
        sleep.finish(report);
    }
    if let Some((key, _)) = of.take_entry("tcpSocket") {
        report
            .error(key.at, format!("{path}.tcpSocket: Kubernetes never carried it out: write exec, httpGet or sleep"));
    }
    of.finish(report);
    one_of(report, node, &path, actions, "exec, httpGet, sleep")
}

fn exec(report: &mut Report, fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let mut of = fields.map(report, "exec")?;
    let path = of.name("command");
    let list = of.list(report, "command").unwrap_or_default();
    let item = |(index, node): (usize, &Node)| as_written(report, &format!("{path}[{index}]"), node);
    let command: Vec<String> = list.iter().enumerate().filter_map(item).collect();
    if list.is_empty() {
        report
            .error(of.at, format!("{path}: is missing: write the command as a list, [ \"test\", \"-e\", \"/ready\" ]"));
    }
    of.finish(report);
    (!command.is_empty()).then_some(command)
}

fn http(report: &mut Report, fields: &mut Fields<'_>, ports: &[Port]) -> Option<HttpAction> {
    let mut of = fields.map(report, "httpGet")?;
    let at = of.at;
    let name = |field: &str| format!("{}.{field}", of.path);
    let (scheme_path, path_path, headers_path) = (name("scheme"), name("path"), name("httpHeaders"));
    let port = port(report, &mut of, ports);
    let host = host(report, &mut of);
    let tls = match of.text(report, "scheme").as_deref() {
        None | Some("" | "HTTP") => false,
        Some("HTTPS") => true,
        Some(other) => {
            report.error(at, format!("{scheme_path}: {:?} is none of HTTP, HTTPS", short(other)));
            false
        }
    };
    let mut path = of.text(report, "path").unwrap_or_default();
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if path.len() > TEXT_MAX || path.parse::<hyper::Uri>().is_err() {
        report.error(at, format!("{path_path}: {:?} is no path: write it as in /healthz?full=1", short(&path)));
    }
    let mut headers = Vec::new();
    for (index, node) in of.list(report, "httpHeaders").unwrap_or_default().iter().enumerate() {
        let path = format!("{headers_path}[{index}]");
        let Some(mut header) = Fields::of(report, &path, node) else { continue };
        let name = header.text(report, "name").unwrap_or_default();
        let value = header.text(report, "value").unwrap_or_default();
        header.finish(report);
        if name.parse::<hyper::header::HeaderName>().is_err() {
            report.error(node.at, format!("{path}.name: {:?} is no name of a header", short(&name)));
        } else if value.len() > TEXT_MAX || hyper::header::HeaderValue::from_str(&value).is_err() {
            // Not shown: it may be secret.
            report.error(node.at, format!("{path}.value: is no value of a header: it has other than visible characters, or more than {TEXT_MAX}"));
        } else {
            headers.push(Header { name, value });
        }
    }
    if headers.len() > HEADERS_MAX {
        report.error(at, format!("{headers_path}: there may be {HEADERS_MAX} at most"));
    }
    of.finish(report);
    Some(HttpAction { tls, host, port: port?, path, headers })
}

fn tcp(report: &mut Report, fields: &mut Fields<'_>, ports: &[Port]) -> Option<ProbeAction> {
    let mut of = fields.map(report, "tcpSocket")?;
    let port = port(report, &mut of, ports);
    let host = host(report, &mut of);
    of.finish(report);
    Some(ProbeAction::Tcp { host, port: port? })
}

fn grpc(report: &mut Report, fields: &mut Fields<'_>) -> Option<ProbeAction> {
    let mut of = fields.map(report, "grpc")?;
    // A number only, as in Kubernetes.
    let port = port(report, &mut of, &[]);
    let service = of.text(report, "service").unwrap_or_default();
    if service.len() > TEXT_MAX {
        report.error(of.at, format!("{}.service: may have {TEXT_MAX} characters at most", of.path));
    }
    of.finish(report);
    Some(ProbeAction::Grpc { port: port?, service })
}

fn host(report: &mut Report, fields: &mut Fields<'_>) -> Option<String> {
    let path = fields.name("host");
    let at = fields.at;
    let host = fields.text(report, "host").filter(|host| !host.is_empty())?;
    let is_name = host.parse::<std::net::IpAddr>().is_ok() || crate::model::id::rfc1123("host", &host).is_ok();
    if !is_name {
        report.error(at, format!("{path}: {:?} is no host: write a name or an address, without a port", short(&host)));
    }
    Some(host)
}

fn port(report: &mut Report, fields: &mut Fields<'_>, ports: &[Port]) -> Option<u16> {
    let (path, at) = (fields.name("port"), fields.at);
    let Some((_, node)) = fields.entry("port") else {
        report.error(at, format!("{path}: is missing"));
        return None;
    };
    if let Value::Text(name) = &node.value {
        let _ = fields.take("port");
        let number = name.parse::<u16>().ok().filter(|number| *number != 0);
        let named = ports.iter().find(|port| port.name.as_deref() == Some(name.as_str())).map(|port| port.container);
        if named.or(number).is_none() {
            let names: Vec<&str> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
            let hint = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            report.error(
                node.at,
                format!("{path}: {:?} is the name of no port of this container{hint}: write a number, or a name under ports", short(name)),
            );
        }
        return named.or(number);
    }
    fields.integer(report, "port", 1, i64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
}

#[cfg(test)]
mod tests;
