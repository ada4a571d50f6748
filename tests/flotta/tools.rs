//! Looking at files, and doing several things at a time.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Time of change (with nanoseconds), size and mode.
pub type Seen = (i64, i64, u64, u32);

/// Every file below a directory: its time of change, its size and its mode.
pub fn files(below: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(below).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            found.extend(files(&path));
        } else {
            let seen = (metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.mode() & 0o7777);
            found.insert(path, seen);
        }
    }
    found
}

/// Each in a thread of its own, with a device of its own: they wait for different things.
pub fn side_by_side<T: Send>(all: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || test(one))).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
