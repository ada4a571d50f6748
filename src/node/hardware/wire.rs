//! The hardware object of the Flotta server's contract, field by field (HardwareInfo).
//!
//! An absent field is its zero value, so what is not known is left out. Lists are always written, also empty ones: the
//! server stores `flags` without a default and refuses an object in which they are absent.

use serde::{Deserialize, Serialize};

/// What the machine is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// At most 63 characters, and good as a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The processors.
    pub cpu: Cpu,
    /// The main memory.
    pub memory: Memory,
    /// How the machine was started.
    pub boot: Boot,
    /// Who made the machine.
    pub system_vendor: SystemVendor,
    /// Whole disks.
    pub disks: Vec<Disk>,
    /// Graphics and compute cards on PCI.
    pub gpus: Vec<Gpu>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Device nodes.
    pub host_devices: Vec<HostDevice>,
    /// Mounted file systems.
    pub mounts: Vec<Mount>,
}

/// The processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// As `uname -m` writes it: `x86_64`, `aarch64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Logical processors that are online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// The highest frequency, in MHz; finite. A string here is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<f64>,
    /// What the processor is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// What it can do; always written.
    pub flags: Vec<String>,
}

/// The main memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_bytes: Option<i64>,
    /// What the kernel can give away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_bytes: Option<i64>,
}

/// How the machine was started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Boot {
    /// `uefi` or `bios`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_boot_mode: Option<String>,
    /// The address that the boot loader gave as `BOOTIF`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pxe_interface: Option<String>,
}

/// Who made the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemVendor {
    /// The maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// The machine's own number; DMI tells it to root only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// A virtual machine.
    #[serde(rename = "virtual", skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<bool>,
}

/// A whole disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// `by_id`, else `by_path`, else `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The kernel's name: `sda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The node: `/dev/sda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A link that follows the disk wherever it is plugged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_id: Option<String>,
    /// A link that follows the plug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_path: Option<String>,
    /// `HDD`, `SSD`, `FDD`, `ODD`, `iSCSI`, `FC`, `Multipath`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drive_type: Option<String>,
    /// The maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The disk's own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The world wide name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Host, channel, target and unit of a SCSI disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hctl: Option<String>,
    /// The size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Has a partition that firmware starts from. Absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootable: Option<bool>,
    /// Holds an ISO image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_installation_media: Option<bool>,
    /// Never filled: needs root and wakes sleeping disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart: Option<String>,
    /// Never filled: would have to write to the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_perf: Option<IoPerf>,
}

/// How long a disk takes to write.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IoPerf {
    /// The 99th percentile of fsync, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_duration: Option<i64>,
}

/// A graphics or compute card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// The place on the bus: `0000:00:02.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The maker's number: `8086`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// The model's number: `3ea0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The maker's name, where the machine has a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model's name, where the machine has a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// The kernel's name: `eth0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// The largest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<i64>,
    /// The other end of the cable is there.
    pub has_carrier: bool,
    /// `up`, `broadcast`, `loopback`, `pointtopoint`, `multicast`; always written.
    pub flags: Vec<String>,
    /// With prefix length: `10.0.2.15/24`.
    pub ipv4_addresses: Vec<String>,
    /// With prefix length, without link-local ones.
    pub ipv6_addresses: Vec<String>,
    /// The speed of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<i64>,
    /// The maker's number: `0x8086`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Never filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub biosdevname: Option<String>,
    /// Never filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A device node. The server keeps the numbers in 32 bits and refuses the object if one does not fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostDevice {
    /// `/dev/ttyUSB0`.
    pub path: String,
    /// `block` or `char`.
    pub device_type: String,
    /// The owner.
    pub uid: i32,
    /// The group.
    pub gid: i32,
    /// The driver's number.
    pub major: i32,
    /// The number among the driver's devices.
    pub minor: i32,
}

/// A mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// `/dev/sda1`, or a server and its path.
    pub device: String,
    /// Where it is mounted.
    pub directory: String,
    /// `ext4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `rw,relatime`.
    pub options: String,
}
