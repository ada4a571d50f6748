//! What the server keeps: devices, signed requests, Secrets and ConfigMaps. One lock, never held across an await.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::device::{Device, SIGNED_REQUEST_LABEL};
use crate::options::{Approval, Options};
use crate::random::Random;

/// An EdgeDeviceSignedRequest; they all live in namespace `default` (API §3.1).
#[derive(Debug)]
pub(crate) struct SignedRequest {
    pub(crate) namespace: String,
    /// Registrations that are answered 404 before the EdgeDevice appears; `None`: until somebody approves.
    race: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    devices: HashMap<String, BTreeMap<String, Device>>,
    requests: HashMap<String, SignedRequest>,
    namespaces: BTreeSet<String>,
    pub(crate) approval: Approval,
    /// By namespace and name; key to value.
    pub(crate) secrets: HashMap<(String, String), BTreeMap<String, String>>,
    /// By namespace and name; `data` and `binaryData`.
    pub(crate) config_maps: HashMap<(String, String), Value>,
    pub(crate) random: Random,
    revision: u64,
}

impl Cluster {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            devices: HashMap::new(),
            requests: HashMap::new(),
            namespaces: options.namespaces.iter().cloned().collect(),
            approval: options.approval,
            secrets: HashMap::new(),
            config_maps: HashMap::new(),
            random: Random(options.seed),
            revision: 271,
        }
    }

    pub(crate) fn device(&self, id: &str, namespace: &str) -> Option<&Device> {
        self.devices.get(id)?.get(namespace)
    }

    pub(crate) fn device_mut(&mut self, id: &str, namespace: &str) -> Option<&mut Device> {
        self.devices.get_mut(id)?.get_mut(namespace)
    }

    /// The namespace of a device for the test that names only the device: the one where it is, or will be.
    pub(crate) fn namespace_of(&self, id: &str) -> String {
        let existing = self.devices.get(id).and_then(|devices| devices.keys().next().cloned());
        let requested = || self.requests.get(id).map(|request| request.namespace.clone());
        existing.or_else(requested).unwrap_or_else(|| "default".to_owned())
    }

    /// The device, made if it is not there: without labels, so only its own certificate gets it one.
    pub(crate) fn device_or_new(&mut self, id: &str) -> &mut Device {
        let namespace = self.namespace_of(id);
        self.devices.entry(id.to_owned()).or_default().entry(namespace).or_default()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.devices.keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn request(&self, id: &str) -> Option<&SignedRequest> {
        self.requests.get(id)
    }

    /// A new signed request; with automatic approval the EdgeDevice follows.
    pub(crate) fn enrol(&mut self, id: &str, namespace: &str) {
        let race = match self.approval {
            Approval::Automatic => Some(0),
            Approval::Manual => None,
            Approval::Racing(times) => Some(times),
        };
        self.requests.insert(id.to_owned(), SignedRequest { namespace: namespace.to_owned(), race });
        if race == Some(0) {
            self.approve(id);
        }
    }

    /// One more registration found no EdgeDevice: the race comes nearer to its end.
    pub(crate) fn raced(&mut self, id: &str) {
        let Some(request) = self.requests.get_mut(id) else { return };
        request.race = request.race.map(|left| left.saturating_sub(1));
        if request.race == Some(0) {
            self.approve(id);
        }
    }

    /// The controller makes the EdgeDevice, if its namespace exists. False without a signed request.
    pub(crate) fn approve(&mut self, id: &str) -> bool {
        let Some(request) = self.requests.get(id) else { return false };
        let namespace = request.namespace.clone();
        if self.namespaces.contains(&namespace) {
            let version = self.next_revision();
            let devices = self.devices.entry(id.to_owned()).or_default();
            let label = (SIGNED_REQUEST_LABEL.to_owned(), "true".to_owned());
            devices.entry(namespace).or_insert_with(|| Device {
                version,
                labels: BTreeMap::from([label]),
                ..Device::default()
            });
        }
        true
    }

    /// The EdgeDevice and its signed request go (API §3.5). False if there was neither.
    pub(crate) fn delete(&mut self, id: &str) -> bool {
        let request = self.requests.remove(id).is_some();
        self.devices.remove(id).is_some() || request
    }

    /// The version of an object that changes now.
    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision = self.revision.saturating_add(1);
        self.revision
    }

    /// The object of a device changed.
    pub(crate) fn touched(&mut self, id: &str, namespace: &str) {
        let version = self.next_revision();
        if let Some(device) = self.device_mut(id, namespace) {
            device.version = version;
        }
    }
}
