//! A device as the cluster has it: the EdgeDevice, its status, and what its heartbeats said.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// On a device that has not registered yet; an administrator puts it back to let the registration certificate in
/// again (API §1).
pub const SIGNED_REQUEST_LABEL: &str = "edgedeviceSignedRequest";

/// Events kept for one device; later ones are counted only.
const EVENTS: usize = 10_000;

/// One device. `Standin::set_device` changes it.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// `configuration` as API §4.1 has it. What the server always sends is added where it is missing.
    pub configuration: Map<String, Value>,
    /// Workloads as API §4.2 has them, with three additions: `specification` may be an object, which becomes YAML;
    /// `imageRegistries: {"secret": NAME}` and `metrics.allow_list: {"configMap": NAME}` are looked up in the cluster.
    pub workloads: Vec<Value>,
    /// The whole `content` of a GET, as it is, instead of what is assembled from the rest. `device_id` and `version`
    /// are added where they are missing.
    pub content: Option<Value>,
    /// The labels of the EdgeDevice.
    pub labels: BTreeMap<String, String>,
    /// Being deleted: the control channel says disconnect already, the rest still answers (API §3.5).
    pub deleting: bool,
    /// The `resourceVersion`: moves with every change of the object, status and labels included (API §4).
    pub version: u64,
    /// How often it registered, renewals included.
    pub registrations: u64,
    /// `status` of the last heartbeat; empty if that had none.
    pub phase: String,
    /// `version` of the last heartbeat: the configuration that the device applied last.
    pub last_synced: String,
    /// The phase of each assigned workload; `Deploying` until the device says otherwise.
    pub phases: BTreeMap<String, String>,
    /// `hardware` as it was last sent, in a heartbeat or a registration.
    pub hardware: Value,
    /// `upgrade` of the last heartbeat; null if that had none.
    pub upgrade: Value,
    /// How many heartbeats were stored.
    pub heartbeats: u64,
    /// The content of the last heartbeat that was stored.
    pub last_heartbeat: Option<Value>,
    /// Every event in the order of arrival, also of heartbeats that failed later on (API §3.3).
    pub events: Vec<Value>,
    /// Events beyond what is kept.
    pub events_dropped: u64,
}

impl Device {
    /// What only the status of the object holds: a change of it moves the version.
    pub(crate) fn status(&self) -> (String, String, BTreeMap<String, String>, Value, Value, BTreeMap<String, String>) {
        let (hardware, upgrade) = (self.hardware.clone(), self.upgrade.clone());
        (self.phase.clone(), self.last_synced.clone(), self.phases.clone(), hardware, upgrade, self.labels.clone())
    }

    /// Assigns these workloads. True if their names are others than before: only that touches the EdgeDevice (API §4).
    pub(crate) fn assign(&mut self, workloads: Vec<Value>) -> bool {
        self.workloads = workloads;
        self.reassign()
    }

    /// Labels and phases follow the workloads.
    pub(crate) fn reassign(&mut self) -> bool {
        let names: Vec<String> =
            self.workloads.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect();
        let same = names.len() == self.phases.len() && names.iter().all(|name| self.phases.contains_key(name));
        self.labels.retain(|label, _| !label.starts_with("workload/"));
        self.labels.extend(names.iter().map(|name| (format!("workload/{name}"), "true".to_owned())));
        let mut before = std::mem::take(&mut self.phases);
        for name in names {
            let phase = before.remove(&name).unwrap_or_else(|| "Deploying".to_owned());
            self.phases.insert(name, phase);
        }
        !same
    }

    pub(crate) fn happened(&mut self, event: Value) {
        if self.events.len() < EVENTS {
            self.events.push(event);
        } else {
            self.events_dropped = self.events_dropped.saturating_add(1);
        }
    }

    /// For a person, or a script.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "version": self.version.to_string(), "registrations": self.registrations, "heartbeats": self.heartbeats,
            "phase": self.phase, "lastSyncedResourceVersion": self.last_synced, "workloads": self.phases,
            "labels": self.labels, "hardware": self.hardware, "upgrade": self.upgrade, "events": self.events,
            "deleting": self.deleting,
        })
    }
}
