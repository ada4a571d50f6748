//! A pod's directory beside the agent's state: the marks of a stop, and of containers that a probe ended, for an agent after
//! this one. What a pod sees of
//! ConfigMaps and Secrets is in [`super::runtime`], the paths of the device that it mounts in [`super::paths`].

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::model::time::Wall;

/// In a pod's directory: it was told to stop.
const STOPPING: &str = ".stopping";
/// In a pod's directory, with a container's id behind it: why its run was ended by a probe or a hook.
const ENDED: &str = ".ended-";

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

/// Remembers, for an agent after this one, why a container's run that began then is ended: it did not end well, whatever its
/// exit code.
pub(super) fn mark_ended(dir: &Path, container: &str, started_at: i64, why: &str) {
    let marked = make_private(dir)
        .and_then(|()| fs::write(dir.join(format!("{ENDED}{container}")), format!("{started_at} {why}")));
    if let Err(why) = marked {
        tracing::debug!(dir = %dir.display(), %why, "what a probe ends cannot be marked: an agent killed now may not know");
    }
}

/// It was not ended.
pub(super) fn unmark_ended(dir: &Path, container: &str) {
    if let Err(why) = fs::remove_file(dir.join(format!("{ENDED}{container}"))) {
        tracing::debug!(dir = %dir.display(), %why, "the mark of an end cannot be taken away");
    }
}

/// What probes and hooks have ended of a pod: container, when its run began, why.
pub(super) fn were_ended(dir: &Path) -> Vec<(String, i64, String)> {
    let read = |entry: fs::DirEntry| {
        let container = entry.file_name().to_str()?.strip_prefix(ENDED)?.to_owned();
        let text = fs::read_to_string(entry.path()).ok()?;
        let (started_at, why) = text.split_once(' ')?;
        Some((container, started_at.parse().ok()?, why.to_owned()))
    };
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(read).collect()
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
