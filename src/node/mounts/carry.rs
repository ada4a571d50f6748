//! Looking at what a mount needs, and mounting.
//!
//! The directory is opened part by part without following links, and mounted on as it is open: whoever may write above it
//! cannot lead a server's mount elsewhere between the check and the mount.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount as sys_mount, mount_remount, unmount};

use super::next::{Facts, Found, Mounted};
use super::table::{Entry, Table};
use super::wish::{Source, Wish};
use crate::path_watch::nearest;

/// Where mounts of the network are made, before they are bound to their places.
pub(super) const STAGES: &str = "/run/flotta-agent/mounting";
/// File systems that are tried where none is named, beside those that the kernel has loaded; the less particular ones last.
const TRIED: [&str; 9] = ["ext4", "xfs", "btrfs", "f2fs", "exfat", "ntfs3", "iso9660", "udf", "vfat"];

/// Looks at what there is.
pub(super) fn look(wish: &Wish, table: &Table) -> Facts {
    let directory = nearest(&wish.directory);
    let mounted = match table.on(&directory) {
        None => Mounted::Nothing,
        Some(entry) if is_gone(entry) => Mounted::Stale,
        Some(_) => Mounted::Something,
    };
    let source = match wish.awaited().map(fs::canonicalize) {
        None => Found::Unneeded,
        Some(Err(_)) => Found::Nothing,
        Some(Ok(real)) => match fs::metadata(&real) {
            Err(_) => Found::Nothing,
            // Links below /dev lead to devices below /dev.
            Ok(is) if is.file_type().is_block_device() && real.starts_with("/dev") => {
                let (major, minor) = (rustix::fs::major(is.rdev()), rustix::fs::minor(is.rdev()));
                let number = |path: &Path| {
                    let rdev = fs::metadata(path).ok().filter(|is| is.file_type().is_block_device())?.rdev();
                    Some((rustix::fs::major(rdev), rustix::fs::minor(rdev)))
                };
                let elsewhere = table.of((major, minor), number).map(|entry| entry.directory.clone());
                Found::Device(real, elsewhere.filter(|_| mounted != Mounted::Something))
            }
            Ok(is) if is.is_dir() => Found::Directory(real),
            Ok(_) => Found::Else,
        },
    };
    Facts { directory, mounted, source, is_root: rustix::process::geteuid().is_root() }
}

/// Its block device was taken away.
fn is_gone(entry: &Entry) -> bool {
    let (major, minor) = entry.device;
    major != 0
        && Path::new("/sys/dev/block").is_dir()
        && !Path::new(&format!("/sys/dev/block/{major}:{minor}")).exists()
}

/// Takes away what is left of a mount whose device is gone.
pub(super) fn detach(directory: &Path) {
    match unmount(directory, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) => {
            tracing::info!(directory = %directory.display(), "what was mounted from a device that is gone is taken away")
        }
        Err(why) => {
            tracing::warn!(directory = %directory.display(), %why, "a mount of a device that is gone cannot be taken away")
        }
    }
}

/// Opens where it is to be mounted.
fn place(wish: &Wish, directory: &Path) -> Result<OwnedFd, String> {
    let place = open(directory).map_err(|why| format!("the directory cannot be opened: {why}"))?;
    let through = path_of(&place);
    if wish.remote {
        let mut entries = fs::read_dir(&through).map_err(|why| format!("the directory cannot be read: {why}"))?;
        if entries.next().is_some() {
            return Err(format!(
                "{} is not empty: nothing of the device's is hidden for a server; empty it, or mount it by /etc/fstab",
                directory.display()
            ));
        }
    }
    Ok(place)
}

fn path_of(place: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

/// Mounts what the kernel mounts by itself.
pub(super) fn mount(wish: &Wish, facts: &Facts) -> Result<(), String> {
    let directory = facts.directory.as_path();
    let place = place(wish, directory)?;
    let through = path_of(&place);
    let data = CString::new(wish.options.data.as_str()).map_err(|_| "its options have a zero in them".to_owned())?;
    let flags = wish.options.flags;
    let done = match (&wish.source, &facts.source) {
        (Source::Memory, _) => sys_mount("tmpfs", &through, "tmpfs", flags, data.as_c_str()),
        (Source::Device(_, kind), Found::Device(real, _)) => {
            with_kind(kind.as_deref(), |kind| sys_mount(real.as_path(), &through, kind, flags, data.as_c_str()))
        }
        (Source::Bind(_), Found::Directory(real)) => {
            let from = open(real).map_err(|why| format!("{} cannot be opened: {why}", real.display()))?;
            let from = path_of(&from);
            let bind = MountFlags::BIND | MountFlags::REC;
            sys_mount(&from, &through, "", flags & bind, None::<&std::ffi::CStr>)
                .and_then(|()| restrict(directory, flags))
        }
        _ => return Err("what is to be mounted is gone again".into()),
    };
    done.map_err(|why| sentence(why, wish))?;
    tracing::info!(what = wish.mount.device, directory = %directory.display(), "mounted");
    Ok(())
}

/// A directory of the agent's own, in which a program mounts; gone with this.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) directory: PathBuf,
}

impl Stage {
    pub(super) fn new() -> std::io::Result<Stage> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(STAGES).join(format!("{}-{next}", std::process::id()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Stage { directory })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        clear(&self.directory);
    }
}

/// What is mounted there stays where it is bound to.
fn clear(stage: &Path) {
    while unmount(stage, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    if let Err(why) = fs::remove_dir(stage) {
        tracing::warn!(directory = %stage.display(), %why, "it cannot be removed");
    }
}

/// Takes away the stages of agents that were killed.
pub(super) fn sweep() {
    for entry in fs::read_dir(STAGES).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.split_once('-')).map(|(pid, _)| pid);
        let is_anothers = |pid: &str| pid != std::process::id().to_string() && Path::new("/proc").join(pid).exists();
        if !pid.is_some_and(is_anothers) {
            clear(&entry.path());
        }
    }
}

/// Binds what a program has mounted to its place.
pub(super) fn bind(wish: &Wish, stage: &Stage, directory: &Path) -> Result<(), String> {
    let place = place(wish, directory)?;
    sys_mount(&stage.directory, path_of(&place), "", MountFlags::BIND, None::<&std::ffi::CStr>)
        .map_err(|why| sentence(why, wish))?;
    tracing::info!(what = wish.mount.device, directory = %directory.display(), "mounted");
    Ok(())
}

/// A bind takes its flags only afterwards; one that does not take them does not stay.
fn restrict(directory: &Path, flags: MountFlags) -> Result<(), Errno> {
    let top = open(directory)?;
    mount_remount(path_of(&top), MountFlags::BIND | flags.difference(MountFlags::REC), c"").inspect_err(|_| {
        let _ = unmount(directory, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    })
}

fn with_kind(kind: Option<&str>, mount: impl Fn(&str) -> Result<(), Errno>) -> Result<(), Errno> {
    if let Some(kind) = kind {
        // The old name; the kernel's own driver.
        return mount(if kind == "ntfs" { "ntfs3" } else { kind });
    }
    let loaded = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let loaded = loaded.lines().filter(|line| line.starts_with('\t')).map(str::trim).filter(|kind| *kind != "fuseblk");
    let mut kinds = TRIED.to_vec();
    kinds.extend(loaded.filter(|kind| !TRIED.contains(kind)));
    for kind in kinds {
        match mount(kind) {
            // Not of this kind, or the kernel does not know it.
            Err(Errno::INVAL | Errno::NODEV) => {}
            other => return other,
        }
    }
    Err(Errno::INVAL)
}

fn sentence(why: Errno, wish: &Wish) -> String {
    let kind = if wish.mount.kind.is_empty() { "any known file system" } else { &wish.mount.kind };
    match why {
        Errno::INVAL => {
            format!("it does not hold {kind}, or an option is none of its ({})", wish.mount.options)
        }
        Errno::NODEV => format!("the kernel knows no {kind}"),
        Errno::BUSY => "the device, or the directory, is in use".into(),
        Errno::PERM | Errno::ACCESS => {
            format!("the kernel does not allow it ({why}): does the agent run in a container?")
        }
        why => format!("it cannot be mounted: {why}"),
    }
}

/// Opens a directory, made as far as it is not there, without following any link.
fn open(directory: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(rustix::fs::CWD, "/", flags, Mode::empty())?;
    for part in directory.components() {
        let Component::Normal(part) = part else { continue };
        at = match openat(&at, part, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(&at, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(why) => return Err(why),
                }
                openat(&at, part, flags, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(at)
}
