//! The JSON is the contract's: its names, what is left out, what is always there.

use crate::accepted::accepted;
use flotta_agent::node::hardware::{Hardware, read};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a real server took with 200 in a heartbeat.
const TAKEN: &str = r#"{
  "hostname": "lab-host.example",
  "cpu": { "architecture": "x86_64", "count": 2, "frequency": 2400.5, "flags": ["fpu", "sse4_2"], "model_name": "Lab CPU(R) @ 2.40GHz" },
  "memory": { "physical_bytes": 25165824000, "usable_bytes": 25000000000 },
  "boot": { "current_boot_mode": "uefi", "pxe_interface": "" },
  "system_vendor": { "manufacturer": "Lab Inc.", "product_name": "Bench 1", "serial_number": "SN-0001", "virtual": true },
  "disks": [{ "name": "vda", "path": "/dev/vda", "drive_type": "HDD", "size_bytes": 270582939648, "bootable": true, "io_perf": { "sync_duration": 3 } }],
  "gpus": [],
  "interfaces": [{ "name": "eth0", "mac_address": "52:54:00:00:00:01", "mtu": 1500, "has_carrier": true, "flags": ["up", "broadcast"],
    "ipv4_addresses": ["10.0.2.15/24"], "ipv6_addresses": [], "speed_mbps": 1000, "vendor": "0x1af4", "product": "0x0001" }],
  "host_devices": [{ "path": "/dev/loop0", "device_type": "block", "uid": 0, "gid": 6, "major": 7, "minor": 0 }],
  "mounts": [{ "device": "/dev/vda", "directory": "/", "type": "ext4", "options": "rw,relatime" }]
}"#;

#[test]
fn an_object_that_a_server_took_is_read_and_written_unchanged() {
    let taken: Value = serde_json::from_str(TAKEN).unwrap();
    let hardware: Hardware = serde_json::from_str(TAKEN).unwrap();
    assert_eq!(serde_json::to_value(&hardware).unwrap(), taken);
    assert_eq!(accepted(&taken), Ok(()));
}

#[test]
fn the_smallest_object_is_the_one_that_the_reference_agent_sends() {
    let sent = json!({
        "boot": {}, "cpu": { "flags": [] }, "disks": [], "gpus": [], "host_devices": [], "interfaces": [], "memory": {},
        "mounts": [], "system_vendor": {}
    });
    assert_eq!(serde_json::to_value(Hardware::minimal()).unwrap(), sent);
    assert_eq!(accepted(&sent), Ok(()));
}

#[test]
fn this_machine_is_told_in_the_contracts_words() {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let taken: Value = serde_json::from_str(TAKEN).unwrap();
    let told = serde_json::to_value(read("/".as_ref())).unwrap();
    assert_eq!(keys(&told), keys(&taken));
}
