//! What is mounted now: `/proc/self/mountinfo`. Pure.

use std::path::{Path, PathBuf};

use crate::node::hardware::unescape;

/// Mounts that are read; further ones are not known.
const ENTRIES_MAX: usize = 100_000;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of the device: major and minor number; major 0: no block device's.
    pub device: (u32, u32),
    pub directory: PathBuf,
    /// What it is said to be of: a path, where it is a device.
    pub source: PathBuf,
}

/// All mounts, the later ones over the earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Entry>);

impl Table {
    /// Reads the kernel's text; a line that is none is passed over.
    pub fn read(text: &str) -> Table {
        Table(text.lines().take(ENTRIES_MAX).filter_map(entry).collect())
    }

    /// What is to be seen on a directory.
    pub fn on(&self, directory: &Path) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.directory == directory)
    }

    /// Where a block device is mounted. `number`: that of the device at a path. (File systems on several devices, such as
    /// btrfs, have a number of their own, and the path tells.)
    pub fn of(&self, device: (u32, u32), number: impl Fn(&Path) -> Option<(u32, u32)>) -> Option<&Entry> {
        let is = |entry: &&Entry| {
            entry.device == device || (entry.source.starts_with("/dev") && number(&entry.source) == Some(device))
        };
        self.0.iter().find(is).filter(|_| device.0 != 0)
    }
}

/// `27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw`
fn entry(line: &str) -> Option<Entry> {
    let (line, file_system) = line.split_once(" - ")?;
    let source = PathBuf::from(unescape(file_system.split(' ').nth(1)?));
    let mut words = line.split(' ').skip(2);
    let (major, minor) = words.next()?.split_once(':')?;
    let directory = PathBuf::from(unescape(words.nth(1)?));
    Some(Entry { device: (major.parse().ok()?, minor.parse().ok()?), directory, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_on_a_directory_is_the_one_that_is_seen() {
        let table = Table::read(
            "22 1 254:1 / / rw - ext4 /dev/vda1 rw\nnonsense\n30 22 8:17 / /mnt/my\\040disk rw - ext4 /dev/sdb1 rw\n31 30 0:44 / /mnt/my\\040disk rw shared:2 - tmpfs none rw\n33 22 0:50 /@ /srv rw - btrfs /dev/vdb rw",
        );
        assert_eq!(table.on(Path::new("/mnt/my disk")).map(|entry| entry.device), Some((0, 44)));
        let number = |path: &Path| (path == Path::new("/dev/vdb")).then_some((254, 16));
        let of = |device| table.of(device, number).map(|entry| entry.directory.display().to_string());
        assert_eq!(of((8, 17)).as_deref(), Some("/mnt/my disk"));
        assert_eq!(of((254, 16)).as_deref(), Some("/srv"), "its number is the file system's own");
        assert_eq!((of((0, 44)), table.on(Path::new("/mnt"))), (None, None));
    }
}
