//! The state directory: one agent per directory, and what identifies the device's owner.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::object::replace;

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
    #[error("state directory {} cannot be used: {what}: {why}; set state.dir to a directory that this user can write", dir.display())]
    Unusable {
        /// Which directory.
        dir: PathBuf,
        /// What failed.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
}

/// The state directory, locked for as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    owner: String,
    key: [u8; 32],
    _lock: File,
}

impl StateDir {
    /// Makes it if need be, and locks it.
    ///
    /// # Errors
    /// A sentence; with the other's pid if it is in use.
    pub fn open(path: &Path) -> Result<StateDir, OpenError> {
        let unusable = |what| move |why| OpenError::Unusable { dir: path.to_path_buf(), what, why };
        make_dir(path).map_err(unusable("cannot make it"))?;
        make_dir(&path.join("run")).map_err(unusable("cannot make run/ in it"))?;
        let mut lock = private().open(path.join("lock")).map_err(unusable("cannot open its lock"))?;
        if !take_lock(&lock).map_err(unusable("cannot lock it"))? {
            return Err(OpenError::InUse { dir: path.to_path_buf(), pid: holder(&mut lock) });
        }
        let pid = format!("{}\n", std::process::id());
        // The lock is held whether or not its pid can be written: on a full disk the agent goes on.
        let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(pid.as_bytes()));
        let owner = kept(
            path,
            "owner",
            |text| uuid::Uuid::try_parse(text.trim()).ok(),
            uuid::Uuid::new_v4,
            |id| format!("{id}\n").into_bytes(),
        );
        let owner = owner.map_err(unusable("cannot keep its owner id"))?.to_string();
        let key = device_key(path).map_err(unusable("cannot keep the device key"))?;
        Ok(StateDir { path: path.to_path_buf(), owner, key, _lock: lock })
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

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Reads a small file, or makes it once.
fn kept<T>(
    dir: &Path,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
    make: impl Fn() -> T,
    write: impl Fn(&T) -> Vec<u8>,
) -> io::Result<T> {
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(value) = read(&text) {
                return Ok(value);
            }
            tracing::error!(file = %path.display(), "cannot be read as what it is; a new one is made");
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(why),
    }
    let value = make();
    replace(&path, &write(&value), None)?;
    Ok(value)
}

fn device_key(dir: &Path) -> io::Result<[u8; 32]> {
    let read = |text: &str| {
        let text = text.trim().as_bytes();
        let mut key = [0; 32];
        for (at, byte) in key.iter_mut().enumerate() {
            let hex = std::str::from_utf8(text.get(2 * at..2 * at + 2)?).ok()?;
            *byte = u8::from_str_radix(hex, 16).ok()?;
        }
        (text.len() == 64).then_some(key)
    };
    let make = || {
        // Two random uuids have 244 random bits; the digest spreads them over 32 bytes.
        use sha2::Digest;
        let mut digest = sha2::Sha256::new();
        digest.update(uuid::Uuid::new_v4().as_bytes());
        digest.update(uuid::Uuid::new_v4().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(&digest.finalize());
        key
    };
    kept(dir, "device.key", read, make, |key| {
        let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        text.into_bytes()
    })
}
