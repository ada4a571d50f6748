//! Device nodes below `/dev`.
//!
//! Left out is what would change with each login or each container (`pts`, `shm`, `fd`, `mqueue`, `hugepages`), and the
//! virtual consoles 1 to 63 with their memory (`vcs`), which every Linux has and nothing uses.

use super::text;
use super::tree::Tree;
use super::wire::HostDevice;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Nodes that are told.
const MAX_HOST_DEVICES: usize = 384;
/// Nodes and directories that are looked at.
const MAX_SEEN: usize = 8192;
/// Directories below each other: /dev/bus/usb/001 has three.
const MAX_DEPTH: usize = 4;

const LEFT_OUT: [&str; 8] = ["pts", "shm", "fd", "mqueue", "hugepages", "disk", "char", "block"];
/// The driver of terminals, and the minors of the virtual consoles in it; 0 is the one in the foreground.
const TTY_MAJOR: u32 = 4;
const CONSOLES: std::ops::RangeInclusive<u32> = 1..=63;
/// The driver of the consoles' memory.
const VCS_MAJOR: u32 = 7;

/// Reads all device nodes, those with the shortest way to them first.
pub(super) fn read(tree: &Tree) -> Vec<HostDevice> {
    let mut devices = Vec::new();
    let mut level = vec!["dev".to_owned()];
    let mut seen = 0_usize;
    for _ in 0..MAX_DEPTH {
        let mut below = Vec::new();
        for directory in std::mem::take(&mut level) {
            for name in tree.names(&directory) {
                seen = seen.saturating_add(1);
                if seen > MAX_SEEN {
                    tree.leave_out(1);
                    return finish(tree, devices);
                }
                if directory == "dev" && LEFT_OUT.contains(&name.as_str()) {
                    continue;
                }
                let path = format!("{directory}/{name}");
                match look(tree, &path) {
                    Node::Directory => below.push(path),
                    Node::Device(device) => devices.push(device),
                    Node::Other => {}
                }
            }
        }
        level = below;
    }
    finish(tree, devices)
}

fn finish(tree: &Tree, mut devices: Vec<HostDevice>) -> Vec<HostDevice> {
    tree.keep(&mut devices, MAX_HOST_DEVICES);
    devices.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    devices
}

enum Node {
    Directory,
    Device(HostDevice),
    Other,
}

/// Links are not followed: what they point to is listed itself.
fn look(tree: &Tree, path: &str) -> Node {
    let Ok(metadata) = std::fs::symlink_metadata(tree.path(path)) else { return Node::Other };
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Node::Directory;
    }
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let device_type = match (kind.is_block_device(), kind.is_char_device()) {
        (true, _) => "block",
        (_, true) if major == VCS_MAJOR || (major == TTY_MAJOR && CONSOLES.contains(&minor)) => return Node::Other,
        (_, true) => "char",
        _ => return Node::Other,
    };
    host_device(&format!("/{path}"), device_type, [metadata.uid(), metadata.gid(), major, minor])
        .map_or(Node::Other, Node::Device)
}

/// A node as the server can keep it. Its numbers have 32 bits with a sign there: one owner of a user namespace above two
/// thousand million would make it refuse the whole object.
fn host_device(path: &str, device_type: &str, numbers: [u32; 4]) -> Option<HostDevice> {
    let [uid, gid, major, minor] = numbers.map(|number| i32::try_from(number).ok());
    let (path, device_type) = (path.to_owned(), device_type.to_owned());
    text::is_plain(&path).then_some(())?;
    Some(HostDevice { path, device_type, uid: uid?, gid: gid?, major: major?, minor: minor? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_the_server_would_refuse_are_not_sent() {
        assert!(host_device("/dev/null", "char", [0, 0, 1, 3]).is_some());
        assert!(host_device("/dev/null", "char", [i32::MAX as u32, 0, 1, 3]).is_some());
        for at in 0..4 {
            let mut numbers = [0; 4];
            numbers[at] = i32::MAX as u32 + 1;
            assert!(host_device("/dev/null", "char", numbers).is_none(), "{at}");
            numbers[at] = u32::MAX;
            assert!(host_device("/dev/null", "char", numbers).is_none(), "{at}");
        }
    }
}
