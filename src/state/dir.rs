//! The state directory: one agent per directory, and what identifies the device's owner.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::disk::RealDisk;
use super::kept::{self, Kept};
use super::object::{replace, tidy};
use crate::model::problem::Problem;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent holds it.
    #[error("state directory {} is in use by the flotta-agent with pid {pid}; stop that one, or set state.dir to another directory", dir.display())]
    InUse {
        /// Which directory.
        dir: PathBuf,
        /// Whose it is.
        pid: String,
    },
    /// It cannot be made, read or written.
    #[error("state directory {} cannot be used: {what}: {why}; {}", dir.display(), remedy(why))]
    Unusable {
        /// Which directory.
        dir: PathBuf,
        /// What failed.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
}

fn remedy(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "a first start needs a few kilobytes: make room there, or set state.dir to a directory on another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => {
            "set state.dir to a directory that this user can write"
        }
        _ => "mend that, or set state.dir to a directory that this user can write",
    }
}

/// The state directory, locked for as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    owner: String,
    key: [u8; 32],
    problems: Vec<Problem>,
    _lock: File,
}

impl StateDir {
    /// Makes it if need be, and locks it. One that has been used before is opened without anything being written, so that
    /// an agent starts from it on a full disk too.
    ///
    /// # Errors
    /// A sentence; with the other's pid if it is in use.
    pub fn open(path: &Path) -> Result<StateDir, OpenError> {
        let unusable = |what| move |why| OpenError::Unusable { dir: path.to_path_buf(), what, why };
        make_dir(path).map_err(unusable("cannot make it"))?;
        let mut lock = open_lock(&path.join("lock")).map_err(unusable("cannot open its lock"))?;
        if !take_lock(&lock).map_err(unusable("cannot lock it"))? {
            return Err(OpenError::InUse { dir: path.to_path_buf(), pid: holder(&mut lock) });
        }
        let pid = format!("{}\n", std::process::id());
        // The lock is held whether or not its pid can be written: on a full disk the agent goes on. Written over what is
        // there, which needs no room, and cut to length.
        let _ = lock
            .rewind()
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .and_then(|()| lock.set_len(u64::try_from(pid.len()).unwrap_or(0)));
        tidy(&RealDisk, path);
        let Kept { owner, key, mut problems } =
            kept::keep(&RealDisk, path).map_err(|(what, why)| unusable(what)(why))?;
        let run = path.join("run");
        match make_dir(&run) {
            Ok(()) => tidy(&RealDisk, &run),
            // What needs it says so itself, and tries again.
            Err(why) => problems.push(Problem::new(run.display().to_string(), format!("cannot be made: {why}"))),
        }
        Ok(StateDir { path: path.to_path_buf(), owner, key, problems, _lock: lock })
    }

    /// What was wrong with what identifies the device, and what was done about it.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the workloads of this agent are labelled with.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The key of the HMAC by which secrets enter a hash.
    #[must_use]
    pub fn device_key(&self) -> [u8; 32] {
        self.key
    }

    /// Where the shell executor keeps its runs.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.path.join("run").join("shell")
    }

    /// Where the embedded broker keeps others' retained messages.
    #[must_use]
    pub fn retained(&self) -> PathBuf {
        self.path.join("retained")
    }

    /// Where the pods' executors keep files of theirs.
    #[must_use]
    pub fn pods(&self, rootless: bool) -> PathBuf {
        self.path.join("run").join(if rootless { "pods-rootless" } else { "pods" })
    }

    /// Writes what was bound, for clients: `{"http":"127.0.0.1:41234","mqtt":"127.0.0.1:41235"}`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write_endpoints(&self, endpoints: &serde_json::Value) -> io::Result<()> {
        let run = self.path.join("run");
        make_dir(&run)?;
        replace(&run.join("endpoints.json"), format!("{endpoints}\n").as_bytes(), None)
    }
}

/// How often, and how long apart, a lock is tried that nobody alive should hold.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the lock. A process that an agent was about to become when it was killed holds it for a moment more, so a holder
/// that is not an agent any more is waited for; one that is, is not.
fn take_lock(lock: &File) -> io::Result<bool> {
    for _ in 0..LOCK_TRIES {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(why) => return Err(why.into()),
        }
        let pid = holder(&mut lock.try_clone()?);
        let name = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The third field of a process that ended and was not reaped is Z.
        let lives = name.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
        if lives {
            return Ok(false);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing tells when a lock is let go; before anything was started"
        )]
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(false)
}

/// The pid in the lock file; empty if it cannot be read.
fn holder(lock: &mut File) -> String {
    let mut pid = String::new();
    // Unreadable: the message goes without.
    let _ = lock.rewind().and_then(|()| lock.take(32).read_to_string(&mut pid));
    pid.trim().to_owned()
}

/// Makes it, and what leads there, to survive a loss of power.
fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // Where that cannot be asked for it is as it is with most programs.
    let _ = path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    match options.open(path) {
        // A lock needs no writing.
        Err(why) if why.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(path),
        other => other,
    }
}
