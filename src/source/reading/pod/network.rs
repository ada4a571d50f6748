//! A pod's names, its DNS, its network, and which ports of the device it asks for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::fields::{Fields, Report, as_written, text};
use super::super::tree::{Node, short};
use crate::model::id::rfc1123;
use crate::model::pod::{Dns, DnsPolicy, Joined, NETWORK, Network, PodSpec};

/// The kernel takes no longer one.
const HOSTNAME_MAX: usize = 63;
/// More servers no resolver asks.
const SERVERS_MAX: usize = 3;
/// More domains Kubernetes does not take.
const SEARCHES_MAX: usize = 32;
/// The most networks of one pod.
const NETWORKS_MAX: usize = 16;

/// What is said beside the containers, which are read already.
pub(super) fn read(report: &mut Report, fields: &mut Fields<'_>, spec: &mut PodSpec) {
    names(report, fields, spec);
    spec.host_aliases = host_aliases(report, fields);
    spec.dns = dns(report, fields);
    if let Some(why) = ports(spec) {
        report.error(fields.at, format!("{}.{why}", fields.path));
    }
}

fn names(report: &mut Report, fields: &mut Fields<'_>, spec: &mut PodSpec) {
    for (field, into) in [("hostname", &mut spec.hostname as &mut Option<String>), ("subdomain", &mut spec.subdomain)] {
        let path = fields.name(field);
        let Some(node) = fields.take(field) else { continue };
        let Some(name) = text(report, &path, node) else { continue };
        let too_long = || (name.len() > HOSTNAME_MAX).then(|| format!("may have {HOSTNAME_MAX} characters at most"));
        match rfc1123(field, &name).err().map(|why| why.to_string()).or_else(too_long) {
            Some(why) => report.error(node.at, format!("{path}: {why}")),
            None => *into = Some(name),
        }
    }
    spec.full_hostname = fields.boolean(report, "setHostnameAsFQDN").unwrap_or(false);
}

fn host_aliases(report: &mut Report, fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let path = fields.name("hostAliases");
    let mut found = Vec::new();
    for (index, node) in fields.list(report, "hostAliases").unwrap_or_default().iter().enumerate() {
        let Some(mut alias) = Fields::of(report, &format!("{path}[{index}]"), node) else { continue };
        let ip = alias.text(report, "ip").unwrap_or_default();
        if ip.parse::<IpAddr>().is_err() {
            report.error(node.at, format!("{path}[{index}].ip: {:?} is not an IP address", short(&ip)));
        }
        let names = alias.name("hostnames");
        for node in alias.list(report, "hostnames").unwrap_or_default() {
            let Some(name) = text(report, &names, node) else { continue };
            match is_word(&name) {
                true => found.push((name, ip.clone())),
                false => report.error(node.at, format!("{names}: {:?} is not a name of a host", short(&name))),
            }
        }
        alias.finish(report);
    }
    found
}

/// Stands in a line of `/etc/hosts` or `/etc/resolv.conf` as it is.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

fn dns(report: &mut Report, fields: &mut Fields<'_>) -> Dns {
    let at = fields.at;
    let path = fields.name("dnsPolicy");
    let policy = match fields.text(report, "dnsPolicy").as_deref() {
        // There is no cluster: its DNS is the device's.
        None | Some("Default" | "ClusterFirst" | "ClusterFirstWithHostNet") => DnsPolicy::Default,
        Some("None") => DnsPolicy::None,
        Some(other) => {
            let known = "Default, ClusterFirst, ClusterFirstWithHostNet, None";
            report.error(at, format!("{path}: {:?} is none of {known}", short(other)));
            DnsPolicy::Default
        }
    };
    let mut dns = Dns { policy, ..Dns::default() };
    if let Some(mut config) = fields.map(report, "dnsConfig") {
        for (index, node) in listed(report, &mut config, "nameservers", SERVERS_MAX).iter().enumerate() {
            let path = format!("{}.nameservers[{index}]", config.path);
            let Some(text) = as_written(report, &path, node) else { continue };
            match text.parse() {
                Ok(server) => dns.servers.push(server),
                Err(_) => report.error(node.at, format!("{path}: {:?} is not an IP address", short(&text))),
            }
        }
        for (index, node) in listed(report, &mut config, "searches", SEARCHES_MAX).iter().enumerate() {
            let path = format!("{}.searches[{index}]", config.path);
            let Some(domain) = as_written(report, &path, node) else { continue };
            match is_word(&domain) {
                true => dns.searches.push(domain),
                false => report.error(node.at, format!("{path}: {:?} is not a domain", short(&domain))),
            }
        }
        for (index, node) in listed(report, &mut config, "options", SEARCHES_MAX).iter().enumerate() {
            dns.options.extend(option(report, &format!("{}.options[{index}]", config.path), node));
        }
        config.finish(report);
    }
    if dns.policy == DnsPolicy::None && dns.servers.is_empty() {
        report.error(at, format!("{path}: None needs dnsConfig.nameservers: whom to ask?"));
    }
    dns
}

fn listed<'a>(report: &mut Report, fields: &mut Fields<'a>, field: &'static str, most: usize) -> &'a [Node] {
    let path = fields.name(field);
    fields.take(field).map(|node| super::super::fields::items(report, &path, node, most)).unwrap_or_default()
}

fn option(report: &mut Report, path: &str, node: &Node) -> Option<String> {
    let mut fields = Fields::of(report, path, node)?;
    let name = fields.text(report, "name").unwrap_or_default();
    let value = fields.take("value").and_then(|node| as_written(report, &format!("{path}.value"), node));
    fields.finish(report);
    if !is_word(&name) || value.as_ref().is_some_and(|value| !is_word(value)) {
        report.error(node.at, format!("{path}: must be like name: ndots, value: \"2\""));
        return None;
    }
    Some(value.map_or_else(|| name.clone(), |value| format!("{name}:{value}")))
}

/// Settings of the kernel that a pod has for itself; others would be the device's.
pub(super) fn sysctls(report: &mut Report, fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let path = fields.name("sysctls");
    let mut found = BTreeMap::new();
    for (index, node) in fields.list(report, "sysctls").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut one) = Fields::of(report, &path, node) else { continue };
        let name = one.text(report, "name").unwrap_or_default().replace('/', ".");
        let value = one.take("value").and_then(|node| as_written(report, &format!("{path}.value"), node));
        one.finish(report);
        let own = ["net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        if !own.iter().any(|own| name.starts_with(own)) || !is_word(&name) {
            report.error(
                node.at,
                format!(
                    "{path}.name: {:?} is not a pod's own: there are net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.*",
                    short(&name)
                ),
            );
            continue;
        }
        found.insert(name, value.unwrap_or_default());
    }
    found
}

/// What its ports ask for and cannot be had, from the field on.
fn ports(spec: &PodSpec) -> Option<String> {
    let all = || spec.containers.iter().flat_map(|one| one.ports.iter().map(move |port| (&one.name, port)));
    for (at, (container, port)) in all().enumerate() {
        let Some(host) = port.host else { continue };
        if spec.host_network && host != port.container {
            return Some(format!(
                "hostNetwork: container {container} has the device's own ports: hostPort {host} must be its containerPort {}, or be left out",
                port.container
            ));
        }
        if spec.network == Network::None {
            return Some(format!("containers: {container} asks for hostPort {host}, and the pod has no network"));
        }
        let same = |other: &crate::model::pod::Port| {
            let both = port.host_ip.is_none() || other.host_ip.is_none() || port.host_ip == other.host_ip;
            other.host == port.host && other.protocol == port.protocol && both
        };
        if let Some((other, _)) = all().take(at).find(|(_, other)| same(other)) {
            return Some(format!("containers: {other} and {container} both ask for hostPort {host}/{}", port.protocol));
        }
    }
    let of_net = spec.sysctls.keys().find(|name| name.starts_with("net."));
    let of_ipc = spec.sysctls.keys().find(|name| !name.starts_with("net."));
    match (of_net, of_ipc) {
        (Some(name), _) if spec.host_network => {
            Some(format!("securityContext.sysctls: {name} would be the device's own with hostNetwork"))
        }
        (_, Some(name)) if spec.host_ipc => {
            Some(format!("securityContext.sysctls: {name} would be the device's own with hostIPC"))
        }
        _ => None,
    }
}

/// What the annotation [`NETWORK`] makes of a pod.
///
/// # Errors
/// A sentence.
pub(crate) fn annotated(spec: &mut PodSpec, annotations: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(wish) = annotations.get(NETWORK) else { return Ok(()) };
    let wrong = |why: String| format!("metadata.annotations {NETWORK}: {why}");
    match wish.trim() {
        "host" => spec.host_network = true,
        "none" if spec.host_network => return Err(wrong("none contradicts hostNetwork: true: keep one".into())),
        "none" => spec.network = Network::None,
        names if spec.host_network => {
            return Err(wrong(format!("{:?} contradicts hostNetwork: true: keep one", short(names))));
        }
        names => spec.network = Network::Named(named(names).map_err(wrong)?),
    }
    ports(spec).map_or(Ok(()), |why| Err(wrong(why)))
}

/// `name`, or `name:ip=10.89.0.9,alias=db`; several with blanks between them, as podman's `--network` has each.
fn named(text: &str) -> Result<Vec<Joined>, String> {
    const FORM: &str =
        "write host, none, or names of podman's networks like `lan` or `lan:ip=10.89.0.9,alias=db other`";
    let mut all: Vec<Joined> = Vec::new();
    for one in text.split_whitespace() {
        let (name, options) = one.split_once(':').unwrap_or((one, ""));
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || name.len() > 255 {
            return Err(format!("{:?} is not the name of a network: {FORM}", short(name)));
        }
        if ["bridge", "container", "ns", "private", "slirp4netns", "pasta", "pod"].contains(&name) {
            return Err(format!("{name:?} is a mode of podman's, not the name of a network: {FORM}"));
        }
        if all.iter().any(|other| other.name == name) {
            return Err(format!("{name:?} is there twice"));
        }
        let mut joined = Joined { name: name.to_owned(), ..Joined::default() };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("ip" | "ip6", ip)) => {
                    joined.ips.push(ip.parse().map_err(|_| format!("{:?} is not an IP address", short(ip)))?);
                }
                Some(("mac", mac)) if is_mac(mac) => joined.mac = Some(mac.to_owned()),
                Some(("alias", alias)) if is_word(alias) => joined.aliases.push(alias.to_owned()),
                _ => return Err(format!("{:?} is not understood: {FORM}", short(option))),
            }
        }
        all.push(joined);
    }
    match all.len() {
        0 => Err(format!("is empty: {FORM}")),
        1..=NETWORKS_MAX => Ok(all),
        _ => Err(format!("more than {NETWORKS_MAX} networks")),
    }
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(text: &str, mut spec: PodSpec) -> Result<PodSpec, String> {
        super::annotated(&mut spec, &BTreeMap::from([(NETWORK.to_owned(), text.to_owned())])).map(|()| spec)
    }

    #[test]
    fn the_annotation_names_a_network_of_podmans_or_the_devices_own_or_none() {
        let spec = |text| annotated(text, PodSpec::default()).expect(text);
        assert!(spec("host").host_network);
        assert_eq!(spec("none").network, Network::None);
        let plain = |name: &str| Joined { name: name.into(), ..Joined::default() };
        assert_eq!(spec("lan other_2").network, Network::Named(vec![plain("lan"), plain("other_2")]));
        let full = Joined {
            name: "lan".into(),
            ips: vec!["10.89.0.9".parse().expect("an address"), "fd00::9".parse().expect("an address")],
            mac: Some("92:d0:c6:0a:29:33".into()),
            aliases: vec!["db".into(), "db2".into()],
        };
        let text = "lan:ip=10.89.0.9,ip6=fd00::9,mac=92:d0:c6:0a:29:33,alias=db,alias=db2";
        assert_eq!(spec(text).network, Network::Named(vec![full]));
    }

    #[test]
    fn an_annotation_that_cannot_be_carried_out_is_refused_and_says_what_would_be_right() {
        use crate::model::pod::{Container, Port};
        for (text, says) in [
            ("", "is empty: write host, none, or names"),
            ("a/b", "not the name of a network"),
            ("-a", "not the name of a network"),
            ("container:x", "a mode of podman's"),
            ("ns:/proc/1/ns/net", "a mode of podman's"),
            ("slirp4netns:allow_host_loopback=true", "a mode of podman's"),
            ("lan lan", "there twice"),
            ("lan:ip=10", "not an IP address"),
            ("lan:mac=1", "not understood"),
            ("lan:interface_name=eth0", "not understood"),
        ] {
            let why = annotated(text, PodSpec::default()).expect_err(text);
            assert!(why.contains(says) && why.starts_with("metadata.annotations project-flotta.io/network: "), "{why}");
        }
        let host = PodSpec { host_network: true, ..PodSpec::default() };
        assert!(annotated("lan", host.clone()).is_err_and(|why| why.contains("contradicts hostNetwork")));
        assert!(annotated("none", host.clone()).is_err() && annotated("host", host).is_ok());
        let port = Port { name: None, container: 80, host: Some(8080), host_ip: None, protocol: "tcp" };
        let container = Container { name: "c".into(), ports: vec![port], ..Container::default() };
        let publishes = PodSpec { containers: vec![container], ..PodSpec::default() };
        assert!(annotated("host", publishes.clone()).is_err_and(|why| why.contains("must be its containerPort 80")));
        assert!(annotated("none", publishes.clone()).is_err_and(|why| why.contains("has no network")));
        assert!(annotated("lan", publishes).is_ok());
    }
}
