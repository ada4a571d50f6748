//! What the containers of a pod share: the body of `pods/create`, with its network; and what of that each container has to
//! be told where the pod has the device's network.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::Place;
use crate::model::pod::{DnsPolicy, Joined, Network, PodJob, PodSpec, Port};
use crate::model::workload::Workload;

/// The kernel takes no longer name of a host.
const HOSTNAME_MAX: usize = 64;

pub(super) fn pod_body(
    name: &str,
    workload: &Workload,
    job: &PodJob,
    place: &Place,
    labels: &BTreeMap<String, String>,
) -> Json {
    let spec = &job.spec;
    let mut body = json!({
        "name": name,
        "labels": labels,
        // When all containers have ended the pod stays, so that they can be started again in place.
        "exit_policy": "continue",
    });
    if spec.host_network {
        body["netns"] = json!({ "nsmode": "host" });
    } else {
        let names = Names::of(workload, spec);
        body["hostname"] = json!(names.hostname(spec));
        match &spec.network {
            Network::Default => {}
            Network::None => body["netns"] = json!({ "nsmode": "none" }),
            Network::Named(joined) => {
                body["netns"] = json!({ "nsmode": "bridge" });
                let all: Map<String, Json> =
                    joined.iter().map(|one| (one.name.clone(), membership(one, &names))).collect();
                // Podman's own field has a capital.
                body["Networks"] = Json::Object(all);
            }
        }
        let ports: Vec<Json> = spec.containers.iter().flat_map(|c| &c.ports).filter_map(published).collect();
        if !ports.is_empty() {
            body["portmappings"] = json!(ports);
        }
        lookups(&mut body, spec, place);
    }
    if spec.share_processes && !spec.host_pid {
        body["shared_namespaces"] = json!(["ipc", "net", "uts", "pid"]);
    }
    if !spec.sysctls.is_empty() {
        body["sysctl"] = json!(spec.sysctls);
    }
    body
}

/// Into the body of `containers/create`: what a pod with the device's namespaces cannot say for its containers.
pub(super) fn shared_with_the_device(body: &mut Json, spec: &PodSpec, place: &Place) {
    // Podman writes these files anew for each such container, and asks the container's own settings.
    if spec.host_network {
        lookups(body, spec, place);
    }
    for (field, wanted) in [("pidns", spec.host_pid), ("ipcns", spec.host_ipc)] {
        if wanted {
            body[field] = json!({ "nsmode": "host" });
        }
    }
}

fn published(port: &Port) -> Option<Json> {
    Some(json!({
        "container_port": port.container,
        "host_port": port.host?,
        "host_ip": port.host_ip.as_deref().unwrap_or(""),
        "protocol": port.protocol,
    }))
}

/// `/etc/hosts` and `/etc/resolv.conf`.
fn lookups(body: &mut Json, spec: &PodSpec, place: &Place) {
    if !spec.host_aliases.is_empty() {
        let lines: Vec<String> = spec.host_aliases.iter().map(|(name, ip)| format!("{name}:{ip}")).collect();
        body["hostadd"] = json!(lines);
    }
    let dns = &spec.dns;
    if dns.is_plain() {
        return;
    }
    // What is not said podman takes from the device itself.
    let all = place.resolver.with(dns);
    if !dns.servers.is_empty() {
        // On a network with a DNS of its own the device's servers must not come before that one.
        let own = matches!(spec.network, Network::Named(_));
        body["dns_server"] = json!(if own { &dns.servers } else { &all.servers });
    }
    match (dns.searches.is_empty(), dns.policy) {
        (false, _) => body["dns_search"] = json!(all.searches),
        // Podman's word for "no domain".
        (true, DnsPolicy::None) => body["dns_search"] = json!(["."]),
        (true, DnsPolicy::Default) => {}
    }
    if !dns.options.is_empty() {
        body["dns_option"] = json!(all.options);
    }
}

/// What a pod is called.
struct Names {
    workload: String,
    short: String,
    full: Option<String>,
}

impl Names {
    fn of(workload: &Workload, spec: &PodSpec) -> Names {
        let short = spec.hostname.as_deref().unwrap_or(host_name(workload.id.name())).to_owned();
        let full = spec.subdomain.as_ref().map(|rest| format!("{short}.{rest}"));
        Names { workload: workload.id.name().to_owned(), short, full }
    }

    fn hostname(&self, spec: &PodSpec) -> &str {
        let full = self.full.as_deref().filter(|full| spec.full_hostname && full.len() <= HOSTNAME_MAX);
        full.unwrap_or(&self.short)
    }
}

/// Others on the network find it by its workload's name, its own, and what the annotation says.
fn membership(joined: &Joined, names: &Names) -> Json {
    let mut aliases = vec![names.workload.clone(), names.short.clone()];
    aliases.extend(names.full.clone());
    aliases.extend(joined.aliases.iter().cloned());
    aliases.sort();
    aliases.dedup();
    let mut body = json!({ "aliases": aliases });
    if !joined.ips.is_empty() {
        body["static_ips"] = json!(joined.ips);
    }
    if let Some(mac) = &joined.mac {
        body["static_mac"] = json!(mac);
    }
    body
}

/// The kernel takes at most 64 characters; a name may have more.
fn host_name(name: &str) -> &str {
    name.get(..63).map_or(name, |short| short.trim_end_matches(['-', '.']))
}
