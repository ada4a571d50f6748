//! Waiting for paths to appear: the kernel tells (inotify) what happens in the nearest directories that are there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::readiness::readable;

/// Directories that are watched at the same time; what is in further ones is found by the slow look of whoever waits.
const WATCHES_MAX: usize = 1_024;
/// Symbolic links that are followed on the way to a path.
const LINKS_MAX: usize = 16;

/// Tells that something may have appeared.
#[derive(Debug)]
pub(crate) struct PathWatch {
    /// Opened when there is something to be watched; `None` within: the kernel gives no events.
    fd: Option<Option<AsyncFd<OwnedFd>>>,
    watched: BTreeMap<PathBuf, i32>,
}

impl PathWatch {
    /// Watches nothing yet.
    pub fn new() -> PathWatch {
        PathWatch { fd: None, watched: BTreeMap::new() }
    }

    fn open() -> Option<AsyncFd<OwnedFd>> {
        let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(readable);
        let blind = |why: &std::io::Error| {
            tracing::warn!("the kernel gives no file events ({why}): paths that appear are noticed late");
        };
        opened.inspect_err(blind).ok()
    }

    /// From now on these, and no others. To be called before the look at them, so that nothing falls between the two. Needs a tokio
    /// runtime.
    pub fn follow<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        let mut wanted: Vec<PathBuf> = paths.into_iter().flat_map(directories).collect();
        if self.fd.is_none() && wanted.is_empty() {
            return;
        }
        let Some(fd) = self.fd.get_or_insert_with(PathWatch::open) else { return };
        wanted.sort();
        wanted.dedup();
        wanted.truncate(WATCHES_MAX);
        self.watched.retain(|path, watch| {
            let stays = wanted.contains(path);
            if !stays {
                // It may be gone with its directory.
                let _ = inotify::remove_watch(fd.get_ref(), *watch);
            }
            stays
        });
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for path in wanted {
            // Told anew each time: a directory of the same name may be another one by now.
            if let Ok(watch) = inotify::add_watch(fd.get_ref(), &path, flags) {
                self.watched.insert(path, watch);
            }
        }
    }

    /// Something happened there. May be dropped and called again.
    pub async fn changed(&mut self) {
        let Some(Some(fd)) = &self.fd else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = fd.readable().await else { return std::future::pending().await };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(fd.get_ref(), &mut buffer);
            let mut any = false;
            while let Ok(event) = reader.next() {
                // Only that a watch was taken away, by us or with its directory, which was told by itself.
                any |= !event.events().difference(ReadFlags::IGNORED).is_empty();
            }
            ready.clear_ready();
            if any {
                return;
            }
        }
    }
}

/// The path without symbolic links, as far as it is there.
pub(crate) fn nearest(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(real) = std::fs::canonicalize(at) {
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

/// The directories that have to be watched for a path: that of each link on the way, and the last one that is there.
fn directories(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut links = 0;
    let mut rest: Vec<OsString> = parts(path);
    let mut at = PathBuf::from("/");
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        match std::fs::symlink_metadata(&next) {
            Ok(is) if is.file_type().is_symlink() => {
                found.push(at.clone());
                links += 1;
                let Ok(target) = std::fs::read_link(&next) else { break };
                if links > LINKS_MAX {
                    break;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            Ok(is) if is.is_dir() => at = next,
            _ => {
                found.push(at.clone());
                break;
            }
        }
    }
    found
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_watched_for_a_path_is_each_link_and_the_last_directory_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("../a/b/missing", root.join("a/link")).unwrap();
        assert_eq!(directories(&root.join("a/b/c/d")), [root.join("a/b")]);
        assert_eq!(directories(&root.join("a/link/x")), [root.join("a"), root.join("a/b")]);
        assert_eq!(directories(&root.join("x")), vec![root.clone()], "the directory itself");
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert_eq!(directories(&root.join("loop")).len(), LINKS_MAX + 1, "a loop of links ends");
    }

    #[tokio::test]
    async fn a_path_that_appears_step_by_step_is_told_at_each_step() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("one/two");
        let mut watch = PathWatch::new();
        let within = Duration::from_secs(30);
        watch.follow([wanted.as_path()]);
        std::fs::create_dir(dir.path().join("one")).unwrap();
        tokio::time::timeout(within, watch.changed()).await.expect("the first step");
        watch.follow([wanted.as_path()]);
        std::fs::write(&wanted, b"").unwrap();
        tokio::time::timeout(within, watch.changed()).await.expect("the second step");
        assert!(wanted.exists());
    }
}
