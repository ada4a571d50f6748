//! What the server knows of our messages: keys and their types (API 2, 3.1, 3.2, 5.3, 5.4).
//!
//! A path begins with `message`, with the directive whose `content` it is in, or with `hardware`, which is the same in all
//! three. The elements of a list are `[]`.

use std::collections::BTreeMap;

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Text,
    Integer,
    Number,
    Truth,
    List,
    Object,
    Null,
}

impl Type {
    fn of(value: &Value) -> Type {
        match value {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Truth,
            Value::Number(number) if number.is_f64() => Type::Number,
            Value::Number(_) => Type::Integer,
            Value::String(_) => Type::Text,
            Value::Array(_) => Type::List,
            Value::Object(_) => Type::Object,
        }
    }

    /// Whether a server that wants `wanted` takes it.
    pub fn fits(self, wanted: Type) -> bool {
        self == wanted || (self, wanted) == (Type::Integer, Type::Number)
    }
}

/// Every key of a message, with its type; each element of a list for itself.
pub fn paths(message: &Value) -> Vec<(String, Type)> {
    let mut found = Vec::new();
    let directive = message["directive"].as_str().unwrap_or_default();
    for (key, value) in message.as_object().into_iter().flatten() {
        found.push((format!("message.{key}"), Type::of(value)));
        if key == "content" {
            inside(directive, value, &mut found);
        }
    }
    found
}

fn inside(path: &str, value: &Value, found: &mut Vec<(String, Type)>) {
    let step = |path: String, value: &Value, found: &mut Vec<(String, Type)>| {
        found.push((path.clone(), Type::of(value)));
        let path = if path.ends_with(".hardware") { "hardware".to_owned() } else { path };
        inside(&path, value, found);
    };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| step(format!("{path}.{key}"), value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| step(format!("{path}[]"), item, found)),
        _ => {}
    }
}

/// The contract's tables, of keys by type.
const CONTRACT: [(Type, &str); 6] = [
    (
        Type::Text,
        "message.directive message.message_id message.type message.sent message.response_to
         enrolment.target_namespace enrolment.features.modelName registration.certificate_request
         heartbeat.status heartbeat.version heartbeat.workloads[].name heartbeat.workloads[].status
         heartbeat.workloads[].last_data_upload heartbeat.events[].type heartbeat.events[].reason
         heartbeat.events[].message heartbeat.upgrade.current_commit_ID heartbeat.upgrade.last_upgrade_status
         heartbeat.upgrade.last_upgrade_time hardware.hostname hardware.cpu.architecture hardware.cpu.model_name
         hardware.cpu.flags[] hardware.boot.current_boot_mode hardware.boot.pxe_interface
         hardware.system_vendor.manufacturer hardware.system_vendor.product_name
         hardware.system_vendor.serial_number hardware.disks[].id hardware.disks[].name hardware.disks[].path
         hardware.disks[].by_id hardware.disks[].by_path hardware.disks[].drive_type hardware.disks[].vendor
         hardware.disks[].model hardware.disks[].serial hardware.disks[].wwn hardware.disks[].hctl
         hardware.disks[].smart hardware.gpus[].vendor hardware.gpus[].vendor_id hardware.gpus[].device_id
         hardware.gpus[].name hardware.gpus[].address hardware.interfaces[].name
         hardware.interfaces[].mac_address hardware.interfaces[].flags[] hardware.interfaces[].ipv4_addresses[]
         hardware.interfaces[].ipv6_addresses[] hardware.interfaces[].vendor hardware.interfaces[].product
         hardware.interfaces[].biosdevname hardware.interfaces[].client_id hardware.host_devices[].path
         hardware.host_devices[].device_type hardware.mounts[].device hardware.mounts[].directory
         hardware.mounts[].type hardware.mounts[].options",
    ),
    (
        Type::Integer,
        "message.version hardware.cpu.count hardware.memory.physical_bytes hardware.memory.usable_bytes
         hardware.disks[].size_bytes hardware.disks[].io_perf.sync_duration hardware.interfaces[].mtu
         hardware.interfaces[].speed_mbps hardware.host_devices[].uid hardware.host_devices[].gid
         hardware.host_devices[].major hardware.host_devices[].minor",
    ),
    (Type::Number, "hardware.cpu.frequency"),
    (
        Type::Truth,
        "hardware.system_vendor.virtual hardware.disks[].bootable hardware.disks[].is_installation_media
         hardware.interfaces[].has_carrier",
    ),
    (
        Type::List,
        "heartbeat.workloads heartbeat.events hardware.cpu.flags hardware.disks hardware.gpus hardware.interfaces
         hardware.interfaces[].flags hardware.interfaces[].ipv4_addresses hardware.interfaces[].ipv6_addresses
         hardware.host_devices hardware.mounts",
    ),
    (
        Type::Object,
        "message.content message.metadata enrolment.features enrolment.features.hardware registration.hardware
         heartbeat.hardware heartbeat.workloads[] heartbeat.events[] heartbeat.upgrade hardware.cpu hardware.memory
         hardware.boot hardware.system_vendor hardware.disks[] hardware.disks[].io_perf hardware.gpus[]
         hardware.interfaces[] hardware.host_devices[] hardware.mounts[]",
    ),
];

/// By path.
pub fn contract() -> BTreeMap<&'static str, Type> {
    let all = CONTRACT.iter().flat_map(|(kind, paths)| paths.split_whitespace().map(|path| (path, *kind)));
    all.collect()
}
