//! A pod's directory beside the agent's state: the mark of a stop, which outlives a start of the machine. And the paths of
//! the device that a pod mounts. What a pod sees of ConfigMaps and Secrets is in [`super::runtime`].

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::model::pod::HostPathType;
use crate::model::policy::Policy;
use crate::model::time::Wall;

/// In a pod's directory: it was told to stop.
const STOPPING: &str = ".stopping";

/// Makes directories that everybody may read, whatever the agent's umask.
fn make_readable(below: &Path, path: &Path) -> io::Result<()> {
    let mut at = below.to_path_buf();
    for part in path.components() {
        at.push(part);
        match fs::create_dir(&at) {
            Ok(()) => fs::set_permissions(&at, Permissions::from_mode(0o755))?,
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Removes a pod's directory; one that is not there is fine.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

/// Remembers, for an agent after this one, that what ends now was told to.
pub(super) fn mark_stopping(dir: &Path) {
    let marked = make_private(dir).and_then(|()| fs::write(dir.join(STOPPING), b""));
    if let Err(why) = marked {
        tracing::debug!(dir = %dir.display(), %why, "a stop cannot be marked: an agent killed now takes it for a failure");
    }
}

/// When an agent told it to stop, if one did.
pub(super) fn was_stopping(dir: &Path) -> Option<Wall> {
    let told = fs::metadata(dir.join(STOPPING)).and_then(|mark| mark.modified()).ok()?;
    let since = told.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Some(Wall(i64::try_from(since.as_millis()).unwrap_or(0)))
}

/// It runs on, and is not stopping any more.
pub(super) fn unmark_stopping(dir: &Path) {
    if let Err(why) = fs::remove_file(dir.join(STOPPING)) {
        tracing::debug!(dir = %dir.display(), %why, "the mark of a stop cannot be taken away");
    }
}

/// Checks a path of the device, or makes it. The error: what is wrong and what would be right.
pub(super) fn host_path(path: &str, kind: HostPathType, policy: Option<&Policy>) -> Result<(), HostPathError> {
    use HostPathError::{Forbidden, Wrong};
    if let Some(policy) = policy {
        // Where it leads, not what it is called.
        let real = nearest(Path::new(path));
        policy.host_path(&real).map_err(Forbidden)?;
    }
    let found = match fs::metadata(path) {
        Ok(found) => Some(found.file_type()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => return Err(Wrong(format!("hostPath {path} cannot be looked at: {why}"))),
    };
    let made = |result: io::Result<()>| result.map_err(|why| Wrong(format!("hostPath {path} cannot be made: {why}")));
    let must = |right: bool, what: &str| match (right, found.is_some()) {
        (true, _) => Ok(()),
        (false, true) => Err(Wrong(format!("hostPath {path} is there, but is no {what}"))),
        (false, false) => {
            Err(Wrong(format!("hostPath {path} is not there: make it, or write type: DirectoryOrCreate")))
        }
    };
    match kind {
        HostPathType::Any => must(found.is_some(), "path"),
        HostPathType::DirectoryOrCreate if found.is_none() => {
            made(make_readable(Path::new("/"), Path::new(path.trim_start_matches('/'))))
        }
        HostPathType::FileOrCreate if found.is_none() => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            made(file.and_then(|file| file.set_permissions(Permissions::from_mode(0o644))))
        }
        HostPathType::Directory | HostPathType::DirectoryOrCreate => {
            must(found.is_some_and(|found| found.is_dir()), "directory")
        }
        HostPathType::File | HostPathType::FileOrCreate => must(found.is_some_and(|found| found.is_file()), "file"),
        HostPathType::Socket => must(found.is_some_and(|found| found.is_socket()), "socket"),
        HostPathType::CharDevice => must(found.is_some_and(|found| found.is_char_device()), "character device"),
        HostPathType::BlockDevice => must(found.is_some_and(|found| found.is_block_device()), "block device"),
    }
}

/// Why a path is not mounted.
pub(super) enum HostPathError {
    /// The device does not give it to a server.
    Forbidden(String),
    /// It is not what it should be.
    Wrong(String),
}

/// The path without symbolic links, as far as it is there.
fn nearest(path: &Path) -> std::path::PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(real) = fs::canonicalize(at) {
            return rest.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (at.file_name(), at.parent()) {
            (Some(name), Some(parent)) => {
                rest.push(name.to_owned());
                at = parent;
            }
            _ => return path.to_path_buf(),
        }
    }
}

/// An emptyDir belongs to whoever runs in the pod.
pub(super) fn open_to_all(mountpoint: &str) -> io::Result<()> {
    fs::set_permissions(mountpoint, Permissions::from_mode(0o777))
}
