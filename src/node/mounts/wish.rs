//! A mount that is wanted, checked: what, where, how, or why not. Pure.

use std::path::{Component, Path, PathBuf};

use super::options::Options;
use crate::model::mount::{Mount, Wanted};
use crate::model::policy::Policy;

/// File systems of servers: the program `mount` has helpers for them.
const OF_NETWORK: [&str; 5] = ["nfs", "nfs4", "cifs", "smb3", "smbfs"];
/// File systems on block devices. No others: some show the whole device again (`overlay`, `proc`), past what it gives away.
const ON_DEVICES: [&str; 20] = [
    "auto", "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660", "jfs",
    "msdos", "nilfs2", "ntfs", "ntfs3", "squashfs", "udf", "vfat", "xfs",
];
/// Where udev shows devices by their names.
const BY_NAME: [(&str, &str); 4] =
    [("UUID=", "by-uuid"), ("LABEL=", "by-label"), ("PARTUUID=", "by-partuuid"), ("PARTLABEL=", "by-partlabel")];

/// A mount that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// As it was asked for.
    pub mount: Mount,
    /// Absolute.
    pub directory: PathBuf,
    pub source: Source,
    pub options: Options,
    /// The device's policy holds for it.
    pub remote: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A block device, maybe behind a link, and its file system; `None`: to be found out.
    Device(PathBuf, Option<String>),
    /// Memory.
    Memory,
    /// Another directory.
    Bind(PathBuf),
    /// A server's, of this kind.
    Network(String),
}

impl Wish {
    /// Checks it. The error: why it is not carried out, a sentence.
    pub fn read(wanted: &Wanted, policy: &Policy) -> Result<Wish, String> {
        let Wanted { mount, remote } = wanted;
        let no = |why: String| Err(format!("{} on {}: {why}", shown(&mount.device), shown(&mount.directory)));
        if *remote && !policy.mounts {
            return no("is not mounted: remote.mounts is false on this device".into());
        }
        let Some(directory) = absolute(&mount.directory).filter(|directory| directory != Path::new("/")) else {
            return no("directory must be an absolute path, not /, without \"..\"".into());
        };
        if *remote && let Err(why) = policy.mount_point(&directory) {
            return no(why);
        }
        let options = match Options::parse(&mount.options, *remote, policy.privileged) {
            Ok(options) => options,
            Err(why) => return no(why),
        };
        match source(mount, &options) {
            Ok(source) => Ok(Wish { mount: mount.clone(), directory, source, options, remote: *remote }),
            Err(why) => no(why),
        }
    }

    /// The path that has to be there, if it is one.
    pub fn awaited(&self) -> Option<&Path> {
        match &self.source {
            Source::Device(path, _) | Source::Bind(path) => Some(path),
            Source::Memory | Source::Network(_) => None,
        }
    }

    /// The kind and the options, where a program has to mount it.
    pub fn of_network(&self) -> Option<(&str, &str)> {
        match &self.source {
            Source::Network(kind) => Some((kind, &self.options.words)),
            _ => None,
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        format!("{} on {}", shown(&self.mount.device), shown(&self.mount.directory))
    }
}

fn source(mount: &Mount, options: &Options) -> Result<Source, String> {
    let kind = mount.kind.trim();
    if options.bind || kind == "bind" {
        let path = absolute(&mount.device).ok_or("what is bound must be an absolute path without \"..\"")?;
        return Ok(Source::Bind(path));
    }
    if kind == "tmpfs" {
        return Ok(Source::Memory);
    }
    if OF_NETWORK.contains(&kind) {
        let plain = !mount.device.is_empty() && !mount.device.starts_with('-');
        return if plain && !mount.device.chars().any(char::is_control) {
            Ok(Source::Network(kind.to_owned()))
        } else {
            Err(format!("a {kind} needs a device like server:/path or //server/share"))
        };
    }
    if !kind.is_empty() && !ON_DEVICES.contains(&kind) {
        return Err(format!(
            "type {:?} is not mounted; there are {}, tmpfs, bind and {}",
            shown(kind),
            ON_DEVICES.join(", "),
            OF_NETWORK.join(", ")
        ));
    }
    let kind = Some(kind).filter(|kind| !kind.is_empty() && *kind != "auto").map(str::to_owned);
    for (prefix, directory) in BY_NAME {
        if let Some(name) = mount.device.strip_prefix(prefix) {
            let name = name.trim_matches('"');
            if name.is_empty() {
                return Err(format!("device {prefix} names nothing"));
            }
            return Ok(Source::Device(Path::new("/dev/disk").join(directory).join(encoded(name)), kind));
        }
    }
    match absolute(&mount.device).filter(|path| path.starts_with("/dev/")) {
        Some(path) => Ok(Source::Device(path, kind)),
        None => Err("device must be a path below /dev, UUID=…, LABEL=…, PARTUUID=… or PARTLABEL=…".into()),
    }
}

/// As udev writes a name into `/dev/disk`.
fn encoded(name: &str) -> String {
    let mut out = String::new();
    for char in name.chars() {
        if char.is_ascii_alphanumeric() || "#+-.:=@_".contains(char) || !char.is_ascii() {
            out.push(char);
        } else {
            out.push_str(&format!("\\x{:02x}", u32::from(char)));
        }
    }
    out
}

fn absolute(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = |part: Component<'_>| !matches!(part, Component::ParentDir);
    (path.is_absolute() && path.components().all(plain) && !path.as_os_str().to_string_lossy().contains('\0'))
        .then(|| path.components().collect())
}

fn shown(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect();
    if text.is_empty() { "(nothing)".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::HostPaths;

    fn policy(mounts: bool) -> Policy {
        Policy { host_paths: HostPaths::Allow, mounts, ours: vec!["/var/lib/flotta-agent".into()], ..Policy::default() }
    }

    fn read(device: &str, directory: &str, kind: &str, options: &str, remote: bool) -> Result<Wish, String> {
        let mount =
            Mount { device: device.into(), directory: directory.into(), kind: kind.into(), options: options.into() };
        Wish::read(&Wanted { mount, remote }, &policy(true))
    }

    #[test]
    fn what_is_mounted_is_a_device_memory_a_directory_or_a_servers() {
        let device = |path: &str, kind: Option<&str>| Source::Device(path.into(), kind.map(str::to_owned));
        for (what, kind, options, expected) in [
            ("/dev/sdb1", "ext4", "rw,noatime", device("/dev/sdb1", Some("ext4"))),
            ("/dev/sdb1", "", "", device("/dev/sdb1", None)),
            ("UUID=1234-ABCD", "auto", "", device("/dev/disk/by-uuid/1234-ABCD", None)),
            ("LABEL=my disk", "vfat", "", device(r"/dev/disk/by-label/my\x20disk", Some("vfat"))),
            ("PARTLABEL=\"a/b\"", "xfs", "", device(r"/dev/disk/by-partlabel/a\x2fb", Some("xfs"))),
            ("none", "tmpfs", "size=16m", Source::Memory),
            ("/srv/a//b/.", "", "bind", Source::Bind("/srv/a/b".into())),
            ("nas:/export", "nfs4", "", Source::Network("nfs4".into())),
        ] {
            assert_eq!(read(what, "/mnt/data", kind, options, true).unwrap().source, expected, "{what} {kind}");
        }
    }

    #[test]
    fn what_is_refused_says_what_where_and_what_would_be_right() {
        for (device, directory, kind, options, said) in [
            ("/dev/sdb1", "mnt", "ext4", "", "absolute"),
            ("/dev/sdb1", "/", "ext4", "", "not /"),
            ("/dev/sdb1", "/mnt/../etc", "ext4", "", "absolute"),
            ("/dev/sdb1", "/etc", "ext4", "", "/etc"),
            ("/dev/sdb1", "/var", "ext4", "", "hides"),
            ("/dev/sdb1", "/var/lib/flotta-agent/x", "ext4", "", "/var/lib/flotta-agent"),
            ("sdb1", "/mnt/x", "ext4", "", "below /dev"),
            ("/dev/../etc", "/mnt/x", "ext4", "", "below /dev"),
            ("UUID=", "/mnt/x", "ext4", "", "names nothing"),
            ("overlay", "/mnt/x", "overlay", "lowerdir=/", "overlay"),
            ("proc", "/mnt/x", "proc", "", "proc"),
            ("/dev/sdb1", "/mnt/x", "ext4", "suid", "remote.privileged"),
            ("etc", "/mnt/x", "", "bind", "absolute"),
            ("-o", "/mnt/x", "nfs", "", "server:/path"),
        ] {
            let why = read(device, directory, kind, options, true).unwrap_err();
            assert!(why.contains(said), "{device} {directory}: {why}");
        }
        let wanted = Wanted {
            mount: Mount { device: "/dev/sdb1".into(), directory: "/mnt".into(), ..Mount::default() },
            remote: true,
        };
        assert!(Wish::read(&wanted, &policy(false)).unwrap_err().contains("remote.mounts"));
        // What stands on the device itself may do all but the root.
        assert!(read("/dev/sdb1", "/var", "ext4", "suid", false).is_ok());
        assert!(Wish::read(&Wanted { remote: false, ..wanted }, &policy(false)).is_ok());
    }
}
