//! A pod's directory beside the agent's state: the mark of a stop, which outlives a start of the machine. What a pod sees of
//! ConfigMaps and Secrets is in [`super::runtime`].

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::model::time::Wall;

/// In a pod's directory: it was told to stop.
const STOPPING: &str = ".stopping";

/// Makes directories that everybody may read, whatever the agent's umask.
pub(super) fn make_readable(below: &Path, path: &Path) -> io::Result<()> {
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
