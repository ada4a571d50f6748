//! Mounted file systems: those with a device or a server behind them, each once.
//!
//! Left out are the kernel's own file systems, images in loop devices, and bind mounts of a part of a file system, which
//! come and go with containers. The root directory is told whatever it is.

use super::text;
use super::tree::Tree;
use super::wire::Mount;
use std::collections::BTreeMap;

/// Bytes of `/proc/self/mountinfo`.
const MAX_MOUNTINFO_BYTES: u64 = 1024 * 1024;
/// Mounts that are told.
const MAX_MOUNTS: usize = 128;

/// File systems without a device under `/dev` that hold data nevertheless.
const WITHOUT_DEVICE: [&str; 14] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "jffs2",
    "nfs",
    "nfs4",
    "smb3",
    "ubifs",
    "virtiofs",
    "yaffs2",
    "zfs",
];
/// File systems of which subvolumes are mounted: a part that is not a bind mount.
const WITH_SUBVOLUMES: [&str; 2] = ["btrfs", "bcachefs"];

/// Reads all mounts, by directory.
pub(super) fn read(tree: &Tree) -> Vec<Mount> {
    let lines = tree.lines("proc/self/mountinfo", MAX_MOUNTINFO_BYTES);
    // A later mount on the same directory hides the earlier one.
    let mounts: BTreeMap<String, Mount> =
        lines.iter().filter_map(|line| mount(line)).map(|mount| (mount.directory.clone(), mount)).collect();
    let mut mounts = mounts.into_values().collect();
    tree.keep(&mut mounts, MAX_MOUNTS);
    mounts
}

/// `27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw`: what is mounted, where, how; a dash ends optional fields.
fn mount(line: &str) -> Option<Mount> {
    let (first, second) = line.split_once(" - ")?;
    let mut first = first.split(' ').skip(3);
    let (part, directory, options) = (unescape(first.next()?), unescape(first.next()?), first.next()?);
    let mut second = second.split(' ');
    let (kind, device) = (unescape(second.next()?), unescape(second.next()?));
    let has_device = device.starts_with("/dev/") && !device.starts_with("/dev/loop");
    let is_real = has_device || WITHOUT_DEVICE.contains(&kind.as_str());
    let is_whole = part == "/" || WITH_SUBVOLUMES.contains(&kind.as_str());
    let is_told = directory == "/" || (is_real && is_whole);
    (is_told && text::is_plain(&directory)).then_some(())?;
    Some(Mount {
        device: text::clean_str(&device)?,
        directory,
        kind: text::clean_str(&kind)?,
        options: text::clean_str(options)?,
    })
}

/// Blanks, tabs, line ends and backslashes are written as a backslash and three octal digits.
pub(in crate::node) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let octal = octal.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn octal_escapes_are_decoded() {
        assert_eq!(unescape(r"/mnt/my\040disk\134x"), r"/mnt/my disk\x");
        assert_eq!(unescape(r"\04\999\"), r"\04\999\");
        assert_eq!(unescape(r"\+12"), r"\+12");
    }

    proptest! {
        #[test]
        fn any_line_is_a_mount_or_none(line in "\\PC{0,80}", device in "[ -~]{0,20}") {
            let _ = mount(&line);
            let _ = mount(&format!("1 2 3:4 / {line} rw - ext4 {device}"));
        }
    }
}
