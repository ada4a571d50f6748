//! HardwareInfo: its types, and what the Kubernetes API refuses of it (API §5.4).
#![allow(dead_code, reason = "most fields are there for their types: a wrong one is a 400")]

use std::collections::BTreeMap;

use serde::Deserialize;

type List<T> = Option<Vec<Option<T>>>;
type Text = Option<String>;
type Int = Option<i64>;
type Bool = Option<bool>;

/// A label's value is no longer.
const LABEL: usize = 63;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hardware {
    hostname: Text,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    boot: Option<Boot>,
    system_vendor: Option<Vendor>,
    disks: List<Disk>,
    gpus: List<Gpu>,
    interfaces: List<Interface>,
    host_devices: List<HostDevice>,
    mounts: List<Mount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cpu {
    architecture: Text,
    count: Int,
    flags: List<String>,
    frequency: Option<f64>,
    model_name: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    physical_bytes: Int,
    usable_bytes: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Boot {
    current_boot_mode: Text,
    pxe_interface: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vendor {
    manufacturer: Text,
    product_name: Text,
    serial_number: Text,
    #[serde(rename = "virtual")]
    is_virtual: Bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disk {
    id: Text,
    name: Text,
    path: Text,
    by_id: Text,
    by_path: Text,
    drive_type: Text,
    vendor: Text,
    model: Text,
    serial: Text,
    wwn: Text,
    hctl: Text,
    size_bytes: Int,
    bootable: Bool,
    is_installation_media: Bool,
    smart: Text,
    io_perf: Option<IoPerf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IoPerf {
    sync_duration: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gpu {
    vendor: Text,
    vendor_id: Text,
    device_id: Text,
    name: Text,
    address: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Interface {
    name: Text,
    mac_address: Text,
    mtu: Int,
    has_carrier: Bool,
    flags: List<String>,
    ipv4_addresses: List<String>,
    ipv6_addresses: List<String>,
    speed_mbps: Int,
    vendor: Text,
    product: Text,
    biosdevname: Text,
    client_id: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HostDevice {
    path: Text,
    device_type: Text,
    uid: Int,
    gid: Int,
    major: Int,
    minor: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mount {
    device: Text,
    directory: Text,
    #[serde(rename = "type")]
    kind: Text,
    options: Text,
}

impl Hardware {
    /// The server dereferences every element of these lists [cap 64, e3].
    pub(crate) fn has_null(&self) -> bool {
        null(self.disks.as_ref())
            || null(self.gpus.as_ref())
            || null(self.interfaces.as_ref())
            || null(self.host_devices.as_ref())
            || null(self.mounts.as_ref())
    }

    /// What the CRD does not allow: lists of flags left out, negative numbers of a host device [cap e0, e1, e4, e9].
    pub(crate) fn refused(&self) -> bool {
        let negative = |number: Int| number.is_some_and(|number| number < 0);
        let mut interfaces = self.interfaces.iter().flatten().flatten();
        let mut devices = self.host_devices.iter().flatten().flatten();
        self.cpu.as_ref().is_some_and(|cpu| cpu.flags.is_none())
            || interfaces.any(|interface| interface.flags.is_none())
            || devices.any(|device| [device.uid, device.gid, device.major, device.minor].into_iter().any(negative))
    }

    /// The labels that the server derives [cap b3]; `None` where one is too long for Kubernetes [cap e6].
    pub(crate) fn labels(&self) -> Option<BTreeMap<String, String>> {
        let cpu = self.cpu.as_ref();
        let vendor = self.system_vendor.as_ref();
        let labels: BTreeMap<String, String> = [
            ("device.hostname", self.hostname.as_ref()),
            ("device.cpu-architecture", cpu.and_then(|cpu| cpu.architecture.as_ref())),
            ("device.cpu-model", cpu.and_then(|cpu| cpu.model_name.as_ref())),
            ("device.system-manufacturer", vendor.and_then(|vendor| vendor.manufacturer.as_ref())),
            ("device.system-product", vendor.and_then(|vendor| vendor.product_name.as_ref())),
            ("device.system-serial", vendor.and_then(|vendor| vendor.serial_number.as_ref())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), label(value?))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
        labels.values().all(|value| value.len() <= LABEL).then_some(labels)
    }
}

pub(crate) fn null<T>(list: Option<&Vec<Option<T>>>) -> bool {
    list.is_some_and(|list| list.iter().any(Option::is_none))
}

/// `Lab CPU(R) @ 2.40GHz` becomes `labcpur2.40ghz`, `Lab Inc.` becomes `labinc` [cap b3].
fn label(value: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(c);
    let value: String = value.to_lowercase().chars().filter(kept).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}
