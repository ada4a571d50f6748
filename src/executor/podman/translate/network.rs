//! The body of `pods/create`: what the containers of a pod share.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::model::pod::{PodJob, Port};
use crate::model::workload::Workload;

pub(super) fn pod_body(name: &str, workload: &Workload, job: &PodJob, labels: &BTreeMap<String, String>) -> Json {
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
        body["hostname"] = json!(spec.hostname.as_deref().unwrap_or(host_name(workload.id.name())));
        let published = |port: &Port| {
            port.host.map(|host| {
                json!({
                    "container_port": port.container,
                    "host_port": host,
                    "host_ip": port.host_ip.as_deref().unwrap_or(""),
                    "protocol": port.protocol,
                })
            })
        };
        let ports: Vec<Json> = spec.containers.iter().flat_map(|c| &c.ports).filter_map(published).collect();
        if !ports.is_empty() {
            body["portmappings"] = json!(ports);
        }
    }
    if spec.share_processes {
        body["shared_namespaces"] = json!(["ipc", "net", "uts", "pid"]);
    }
    if !spec.host_aliases.is_empty() {
        let lines: Vec<String> = spec.host_aliases.iter().map(|(name, ip)| format!("{name}:{ip}")).collect();
        body["hostadd"] = json!(lines);
    }
    body
}

/// The kernel takes at most 64 characters; a name may have more.
fn host_name(name: &str) -> &str {
    name.get(..63).map_or(name, |short| short.trim_end_matches(['-', '.']))
}
