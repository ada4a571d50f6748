//! Whole disks.
//!
//! As the reference agents list them: no loop, ram, zram or network block devices, no RAID (`md`) and no device mapper
//! except multipath, since those are made of the disks that are listed; nothing that sysfs hides or that has no size (a
//! card reader without a card). Boot areas of an eMMC chip belong to the chip.

use super::text;
use super::tree::Tree;
use super::udev::{Links, Record};
use super::wire::Disk;

/// Disks.
const MAX_DISKS: usize = 64;
/// Partitions of one disk that are looked at.
const MAX_PARTITIONS: usize = 128;

/// Kinds of block devices that are no disks, by the beginning of their names.
const NO_DISKS: [&str; 6] = ["loop", "ram", "zram", "nbd", "md", "drbd"];

/// Types of partitions that firmware starts from: EFI system partition and BIOS boot, as GPT and as MBR write them.
const BOOT_TYPES: [&str; 3] = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "21686148-6449-6e6f-744e-656564454649", "0xef"];

/// Reads all disks.
pub(super) fn read(tree: &Tree) -> Vec<Disk> {
    let (by_id, by_path) = (Links::by_id(tree), Links::by_path(tree));
    let mut names = tree.names("sys/block");
    names.retain(|name| is_disk(tree, name));
    tree.keep(&mut names, MAX_DISKS);
    names.iter().filter_map(|name| disk(tree, name, by_id.to(name), by_path.to(name))).collect()
}

fn is_disk(tree: &Tree, name: &str) -> bool {
    let is_numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || c == '_');
    if NO_DISKS.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_numbered)) {
        return false;
    }
    if name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb") || name.contains("gp")) {
        return false;
    }
    !name.starts_with("dm-") || is_multipath(tree, name)
}

fn is_multipath(tree: &Tree, name: &str) -> bool {
    name.starts_with("dm-")
        && tree.value(&format!("sys/block/{name}/dm/uuid")).is_some_and(|uuid| uuid.starts_with("mpath-"))
}

fn disk(tree: &Tree, name: &str, by_id: Option<String>, by_path: Option<String>) -> Option<Disk> {
    let at = |file: &str| format!("sys/block/{name}/{file}");
    let value = |file: &str| tree.value(&at(file));
    // In units of 512 bytes, whatever the disk's own blocks are.
    let size = tree.number(&at("size")).and_then(|sectors| sectors.checked_mul(512)).filter(|bytes| *bytes > 0)?;
    if value("hidden").as_deref() == Some("1") {
        return None;
    }
    let udev = Record::of(tree, value("dev").as_deref());
    // `!` stands for the slash in names such as cciss/c0d0.
    let path = format!("/dev/{}", name.replace('!', "/"));
    let partitions = partitions(tree, name);
    let iso = |record: &Record| record.get("ID_FS_TYPE").as_deref() == Some("iso9660");
    Some(Disk {
        id: by_id.clone().or_else(|| by_path.clone()).or_else(|| Some(path.clone())),
        drive_type: Some(drive_type(tree, name, by_path.as_deref()).to_owned()),
        vendor: value("device/vendor").or_else(|| udev.get("ID_VENDOR")),
        model: value("device/model").or_else(|| value("device/name")).or_else(|| udev.get("ID_MODEL")),
        serial: udev.get("ID_SERIAL_SHORT").or_else(|| value("serial")).or_else(|| value("device/serial")),
        wwn: udev.get("ID_WWN").or_else(|| wwn(&value("wwid").or_else(|| value("device/wwid"))?)),
        hctl: tree.names(&at("device/scsi_device")).into_iter().next(),
        size_bytes: Some(size),
        bootable: partitions.iter().any(starts_firmware).then_some(true),
        is_installation_media: (iso(&udev) || partitions.iter().any(iso)).then_some(true),
        name: Some(name.to_owned()),
        path: Some(path),
        by_id,
        by_path,
        smart: None,
        io_perf: None,
    })
}

fn drive_type(tree: &Tree, name: &str, by_path: Option<&str>) -> &'static str {
    let by_path = by_path.unwrap_or_default();
    let spins = || tree.value(&format!("sys/block/{name}/queue/rotational")).as_deref() != Some("0");
    match name {
        _ if by_path.contains("-iscsi-") => "iSCSI",
        _ if by_path.contains("-fc-") || by_path.contains("/fc-") => "FC",
        _ if name.starts_with("dm-") => "Multipath",
        _ if name.starts_with("fd") => "FDD",
        _ if name.starts_with("sr") => "ODD",
        _ if name.starts_with("mmcblk") || name.starts_with("nvme") || name.starts_with("mtdblock") => "SSD",
        _ if spins() => "HDD",
        _ => "SSD",
    }
}

/// `naa.5000c500a1b2c3d4` of SCSI is written as udev does; other forms are no world wide names or are written alike.
fn wwn(wwid: &str) -> Option<String> {
    match wwid.split_once('.') {
        Some(("naa", number)) => text::clean_str(&format!("0x{number}")),
        Some(("eui" | "uuid" | "nvme", _)) => Some(wwid.to_owned()),
        _ => None,
    }
}

/// udev's records of a disk's partitions.
fn partitions(tree: &Tree, disk: &str) -> Vec<Record> {
    let mut names = tree.names(&format!("sys/block/{disk}"));
    names.retain(|name| name.starts_with(disk));
    tree.keep(&mut names, MAX_PARTITIONS);
    let device = |name: &String| tree.value(&format!("sys/block/{disk}/{name}/dev"));
    names.iter().map(|name| Record::of(tree, device(name).as_deref())).collect()
}

/// Whether firmware starts from a partition: its type, or the flag that says so in an MBR (0x80) or GPT (bit 2).
fn starts_firmware(partition: &Record) -> bool {
    let kind = partition.get("ID_PART_ENTRY_TYPE").unwrap_or_default();
    let flags = partition.get("ID_PART_ENTRY_FLAGS").unwrap_or_default();
    let flags = flags.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    let active = match partition.get("ID_PART_ENTRY_SCHEME").as_deref() {
        Some("dos") => flags & 0x80 != 0,
        Some("gpt") => flags & 0x4 != 0,
        _ => false,
    };
    active || BOOT_TYPES.contains(&kind.as_str())
}
