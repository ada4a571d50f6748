//! Heartbeats: what is checked, and what becomes of the rest (API §3.3, §5.3).

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;
use crate::cluster::Cluster;
use crate::device::Device;
use crate::handle::Outcome;
use crate::hardware::{Hardware, null};
use crate::message::is_time;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Heartbeat {
    status: Option<String>,
    version: Option<String>,
    workloads: Option<Vec<Option<Workload>>>,
    events: Option<Vec<Option<Event>>>,
    hardware: Option<Hardware>,
    upgrade: Option<Upgrade>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workload {
    name: Option<String>,
    status: Option<String>,
    last_data_upload: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "there for their types: a wrong one is a 400")]
struct Event {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "there for their types: a wrong one is a 400")]
struct Upgrade {
    #[serde(rename = "current_commit_ID")]
    current_commit_id: Option<String>,
    last_upgrade_status: Option<String>,
    last_upgrade_time: Option<String>,
}

/// A heartbeat of this device, with a certificate that is its own.
pub(crate) fn receive(cluster: &mut Cluster, id: &str, namespace: &str, content: &Value) -> Outcome {
    let Ok(Some(heartbeat)) = Option::<Heartbeat>::deserialize(content).map(|one| one.or_else(|| Some(<_>::default())))
    else {
        return Outcome::Answer(Answer::bare(400));
    };
    let mut uploads = heartbeat.workloads.iter().flatten().flatten().filter_map(|one| one.last_data_upload.as_ref());
    if !uploads.all(|time| is_time(time)) {
        return Outcome::Answer(Answer::bare(400));
    }
    let Some(device) = cluster.device_mut(id, namespace) else {
        return Outcome::Answer(Answer::bare(404));
    };
    if null(heartbeat.events.as_ref()) {
        return Outcome::Abort;
    }
    // Events are Kubernetes events before anything else is stored, and stay if that fails.
    for event in content["events"].as_array().into_iter().flatten() {
        device.happened(event.clone());
    }
    if null(heartbeat.workloads.as_ref()) || heartbeat.hardware.as_ref().is_some_and(Hardware::has_null) {
        return Outcome::Abort;
    }
    let before = device.status();
    if let Some(hardware) = &heartbeat.hardware {
        let Some(labels) = hardware.labels().filter(|_| !hardware.refused()) else {
            return Outcome::Answer(Answer::bare(500));
        };
        device.labels.extend(labels);
        device.hardware = content["hardware"].clone();
    }
    store(device, heartbeat, content);
    if device.status() != before {
        cluster.touched(id, namespace);
    }
    Outcome::Answer(Answer::empty())
}

fn store(device: &mut Device, heartbeat: Heartbeat, content: &Value) {
    device.phase = heartbeat.status.unwrap_or_default();
    device.last_synced = heartbeat.version.unwrap_or_default();
    device.upgrade = content["upgrade"].clone();
    // Names that are not assigned are ignored; assigned ones that are not listed keep their phase [cap 63].
    for one in heartbeat.workloads.into_iter().flatten().flatten() {
        if let Some(phase) = one.name.and_then(|name| device.phases.get_mut(&name)) {
            *phase = one.status.unwrap_or_default();
        }
    }
    device.heartbeats = device.heartbeats.saturating_add(1);
    device.last_heartbeat = Some(content.clone());
}
