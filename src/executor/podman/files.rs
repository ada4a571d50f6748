//! A pod's directory on the device: files from ConfigMaps and Secrets, the mark of a stop; and the paths that it mounts.
//!
//! `<pods_dir>/<pod name>/<volume>/…`, below a directory that only the agent's user may enter: a container sees a volume
//! because it is mounted there, not because it could walk to it.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::translate::NewFile;
use super::{Inner, labels};
use crate::model::pod::HostPathType;
use crate::model::policy::Policy;

/// In a pod's directory: it was told to stop.
const STOPPING: &str = "stopping";

/// Writes a pod's files anew. Volumes without files are there too, empty.
pub(super) fn write<'a>(dir: &Path, files: &[NewFile], volumes: impl Iterator<Item = &'a str>) -> io::Result<()> {
    remove(dir)?;
    let mut volumes = volumes.peekable();
    if volumes.peek().is_none() {
        return Ok(());
    }
    make_private(dir)?;
    for volume in volumes {
        fs::create_dir_all(dir.join(volume))?;
    }
    for file in files {
        let path = dir.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        open.write_all(&file.bytes)?;
        open.set_permissions(Permissions::from_mode(file.mode))?;
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

/// It is not stopping any more: it could not be stopped.
pub(super) fn was_stopping(dir: &Path) -> bool {
    dir.join(STOPPING).exists()
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
            made(DirBuilder::new().recursive(true).mode(0o755).create(path))
        }
        HostPathType::FileOrCreate if found.is_none() => {
            made(OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map(drop))
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

/// Makes a part of a volume.
pub(super) fn make_part(mountpoint: &str, part: &str) -> io::Result<String> {
    let path = Path::new(mountpoint).join(part);
    fs::create_dir_all(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o777))?;
    Ok(path.display().to_string())
}

/// Removes what pods that are no more have left: directories and volumes of ours. The error: the last thing that is left.
pub(super) async fn sweep(inner: &Inner) -> Result<(), String> {
    let is_there = |name: &str| {
        let state = inner.table.lock();
        state.pods.values().any(|entry| entry.pod.name == name)
    };
    let mut left = Ok(());
    let entries = fs::read_dir(&inner.setting.pods_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_there(&name)
            && let Err(why) = remove(&entry.path())
        {
            left = Err(format!("the files of pod {name}: {why}"));
        }
    }
    for volume in inner.client.volumes(&[inner.owned()]).await.map_err(|why| why.to_string())? {
        let pod = volume.labels.as_ref().and_then(|labels| labels.get(labels::POD));
        if pod.is_some_and(|pod| !is_there(pod))
            && let Err(why) = inner.client.remove_volume(&volume.name).await
        {
            left = Err(format!("volume {}: {why}", volume.name));
        }
    }
    left
}
