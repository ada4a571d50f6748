//! What udev knows of block devices, for everybody to read: `/run/udev/data` and the links in `/dev/disk`.

use super::text;
use super::tree::Tree;
use std::collections::BTreeMap;

/// Bytes of one record.
const MAX_RECORD_BYTES: u64 = 16 * 1024;

/// Links that name a disk, by how well they name it: a world wide name first.
const BY_ID: [&str; 9] = ["wwn-", "nvme-eui.", "dm-uuid-mpath-", "nvme-", "ata-", "scsi-", "mmc-", "virtio-", "usb-"];

/// udev's properties of one device.
#[derive(Debug, Default)]
pub(super) struct Record(BTreeMap<String, String>);

impl Record {
    /// The record of a block device, by what its `dev` file says: `8:0`. Empty on a machine without udev.
    pub(super) fn of(tree: &Tree, device: Option<&str>) -> Self {
        let Some(device) = device.filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b':')) else {
            return Self::default();
        };
        let lines = tree.lines(&format!("run/udev/data/b{device}"), MAX_RECORD_BYTES);
        let pairs = lines.iter().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// One property, cleaned.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        text::clean_str(self.0.get(key)?)
    }
}

/// The best link to each disk, by the disk's name.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<String, String>);

impl Links {
    /// `/dev/disk/by-id`.
    pub(super) fn by_id(tree: &Tree) -> Self {
        Self::of(tree, "by-id", |link| BY_ID.iter().position(|prefix| link.starts_with(prefix)))
    }

    /// `/dev/disk/by-path`: the shortest one.
    pub(super) fn by_path(tree: &Tree) -> Self {
        Self::of(tree, "by-path", |link| Some(link.len()))
    }

    fn of(tree: &Tree, kind: &str, rank: impl Fn(&str) -> Option<usize>) -> Self {
        let mut best: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for link in tree.names(&format!("dev/disk/{kind}")) {
            let Some(rank) = rank(&link) else { continue };
            let Some(disk) = tree.link_name(&format!("dev/disk/{kind}/{link}")) else { continue };
            // Names come in order, so that among equals the first one stays.
            if best.get(&disk).is_none_or(|(other, _)| rank < *other) {
                best.insert(disk, (rank, format!("/dev/disk/{kind}/{link}")));
            }
        }
        Self(best.into_iter().map(|(disk, (_, link))| (disk, link)).collect())
    }

    /// The link to a disk.
    pub(super) fn to(&self, disk: &str) -> Option<String> {
        self.0.get(disk).cloned()
    }
}
