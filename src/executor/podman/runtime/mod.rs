//! The files of pods that containers see, and those that podman asks for: ConfigMaps, Secrets, what a pod knows of itself,
//! and values of variables that come from Secrets.
//!
//! `<runtime directory>/pods/<owner>/<pod>/<volume>/…`, and `…/<pod>/.env/<number>`. The runtime directory is in memory
//! (where it is not, pods that have Secrets say so), so that a Secret is never written to a disk; it is empty after the
//! machine was started anew, and all of it is written again before a start in place. From `pods` on only podman's user may
//! enter: a container sees a volume because it is mounted there, not because it could walk to it.
//!
//! A pod's directory appears under its name when it is whole, and is never changed from then on: what a running container
//! sees is all of one version.

mod dir;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use self::dir::{Dir, Owner};
use super::translate::NewFile;

/// Below a pod's directory: the values of variables. No volume can be called so.
pub(super) const ENV: &str = ".env";
/// Before the name of a pod whose directory is not whole yet. No pod can be called so.
const UNFINISHED: &str = ".new-";

/// Where, and whose.
#[derive(Clone, Debug)]
pub struct RuntimeDir {
    /// A directory in memory; made when it is needed.
    pub path: PathBuf,
    /// User and group of the podman that reads it; `None`: the agent's own.
    pub owner: Option<(u32, u32)>,
}

/// Users and their runtime directories come and go: found anew each time.
pub(super) type Find = Box<dyn Fn() -> Option<RuntimeDir> + Send + Sync>;

/// The files of all pods of an executor.
pub(super) struct Runtime {
    find: Find,
    /// Agents share a machine: each has a directory of its own.
    agent: String,
    /// One at a time: the last to leave removes what leads there.
    lock: Mutex<()>,
}

impl Runtime {
    pub(super) fn new(find: Find, agent: &str) -> Runtime {
        Runtime { find, agent: agent.to_owned(), lock: Mutex::new(()) }
    }

    /// Where a pod's files are.
    pub(super) fn path(&self, pod: &str) -> PathBuf {
        let base = (self.find)().map(|found| found.path).unwrap_or_default();
        base.join("pods").join(&self.agent).join(pod)
    }

    /// Whose podman it is; `None`: the agent's own.
    pub(super) fn owner(&self) -> Owner {
        (self.find)().and_then(|found| found.owner)
    }

    fn find(&self) -> io::Result<RuntimeDir> {
        let why = "nobody knows whose podman it is";
        (self.find)().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, why))
    }

    fn open(&self) -> io::Result<Dir> {
        Dir::open(&self.find()?.path)?.child("pods")?.child(self.agent.as_str())
    }

    fn make(&self) -> io::Result<(Dir, Owner)> {
        let RuntimeDir { path, owner } = self.find()?;
        let pods = Dir::make(&path, owner)?.sub("pods", 0o700, owner)?;
        pods.is_private(owner)?;
        let own = pods.sub(self.agent.as_str(), 0o700, owner)?;
        own.is_private(owner)?;
        Ok((own, owner))
    }

    /// Writes a pod's files anew. Volumes without files are there too, empty. Nothing of the pod runs.
    pub(super) fn write<'a>(
        &self,
        pod: &str,
        files: &[NewFile],
        volumes: impl Iterator<Item = &'a str>,
    ) -> io::Result<()> {
        let mut volumes = volumes.peekable();
        if volumes.peek().is_none() && files.is_empty() {
            return self.remove(pod);
        }
        let _one = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, owner) = self.make()?;
        let unfinished = format!("{UNFINISHED}{pod}");
        dir.remove_all(&unfinished)?;
        let new = dir.sub(unfinished.as_str(), 0o700, owner)?;
        for volume in volumes {
            new.sub(volume, 0o755, owner)?;
        }
        for file in files {
            put(&new, file, owner)?;
        }
        dir.remove_all(pod)?;
        dir.rename(&unfinished, pod)
    }

    /// A pod's files are there; they are whole, then.
    pub(super) fn has(&self, pod: &str) -> bool {
        self.open().is_ok_and(|dir| dir.has(pod))
    }

    /// Removes a pod's files; none are fine.
    pub(super) fn remove(&self, pod: &str) -> io::Result<()> {
        let _one = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = match self.open() {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            dir => dir?,
        };
        dir.remove_all(&format!("{UNFINISHED}{pod}"))?;
        dir.remove_all(pod)?;
        self.tidy();
        Ok(())
    }

    /// Removes what led there, as far as nobody has anything in it.
    fn tidy(&self) {
        let empty = || {
            let base = Dir::open(&self.find()?.path)?;
            base.child("pods")?.remove_empty(&self.agent)?;
            base.remove_empty("pods")
        };
        if let Err(why) = empty()
            && !matches!(why.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound)
        {
            tracing::debug!(%why, "an empty directory of pods' files stays");
        }
    }

    /// The pods that have files here, whole or not.
    pub(super) fn pods(&self) -> Vec<String> {
        let names = self.open().and_then(|dir| dir.directories()).unwrap_or_default();
        let pod = |name: String| name.strip_prefix(UNFINISHED).map(str::to_owned).unwrap_or(name);
        names.into_iter().map(pod).collect()
    }

    /// What is written there is written to a disk: a sentence.
    pub(super) fn on_disk(&self) -> Option<String> {
        let base = self.find().ok()?.path;
        let nearest = base.ancestors().find_map(|path| Dir::open(path).ok())?;
        (!nearest.in_memory().ok()?).then(|| {
            format!(
                "SecretsOnDisk: {} is not in memory, so the Secrets of this pod are on a disk while it is here: mount a tmpfs there (where those of root's podman are, podman.runtime_dir says)",
                base.display()
            )
        })
    }
}

fn put(new: &Dir, file: &NewFile, owner: Owner) -> io::Result<()> {
    let path = Path::new(&file.path);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut at = None;
    for part in path.parent().into_iter().flat_map(Path::components) {
        let below = at.as_ref().unwrap_or(new).sub(part.as_os_str(), 0o755, owner)?;
        at = Some(below);
    }
    at.as_ref().unwrap_or(new).file(name, file.mode, owner, &file.bytes)
}

/// Removes a file that podman's user could remove himself: its directory is his, and no link.
pub(super) fn remove_theirs(path: &Path, uid: u32) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = Dir::open(parent)?;
    if dir.uid()? != uid {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its directory is somebody else's"));
    }
    dir.remove_file(name)
}

#[cfg(test)]
mod tests;
