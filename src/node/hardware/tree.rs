//! Files below a root: `/` on a device, a directory in a test.
//!
//! Everything that is read here belongs to somebody else, so every read has an end: only regular files, never more than
//! what the caller allows, no waiting for a writer of a pipe. What cannot be read is absent.

use super::text;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a file that hold one value.
pub(super) const MAX_VALUE_BYTES: u64 = 4096;
/// Entries that are looked at in one directory.
pub(super) const MAX_DIR_ENTRIES: usize = 4096;

/// The files of one machine, and how much was read of them.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    opened: Cell<u32>,
    left_out: Cell<u32>,
}

impl Tree {
    /// The files below `root`.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), opened: Cell::new(0), left_out: Cell::new(0) }
    }

    /// Where `path` is on this machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether there is something at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Files and directories that were opened.
    pub(super) fn opened(&self) -> u32 {
        self.opened.get()
    }

    /// Things that did not fit into a limit.
    pub(super) fn left_out(&self) -> u32 {
        self.left_out.get()
    }

    /// Counts what does not fit into a limit.
    pub(super) fn leave_out(&self, count: usize) {
        self.left_out.set(self.left_out.get().saturating_add(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Keeps the first `max` of a list.
    pub(super) fn keep<T>(&self, list: &mut Vec<T>, max: usize) {
        self.leave_out(list.len().saturating_sub(max));
        list.truncate(max);
    }

    /// An open regular file. A pipe would make us wait, and opening a device can do things to it (a watchdog starts).
    pub(super) fn open(&self, path: &str) -> Option<File> {
        let path = self.path(path);
        if !std::fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).ok()?;
        self.opened.set(self.opened.get().saturating_add(1));
        file.metadata().ok()?.is_file().then_some(file)
    }

    /// The first `max` bytes of a file. A file that breaks off with an error is what came before it.
    pub(super) fn bytes(&self, path: &str, max: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.open(path)?.take(max).read_to_end(&mut bytes);
        (read.is_ok() || !bytes.is_empty()).then_some(bytes)
    }

    /// The whole lines in the first `max` bytes of a file; a line that the limit cut is dropped.
    pub(super) fn lines(&self, path: &str, max: u64) -> Vec<String> {
        let mut bytes = self.bytes(path, max).unwrap_or_default();
        if bytes.len() as u64 >= max {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            bytes.truncate(whole);
            self.leave_out(1);
        }
        bytes.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// The one value that a file holds, cleaned; absent if there is nothing in it.
    pub(super) fn value(&self, path: &str) -> Option<String> {
        text::clean(&self.bytes(path, MAX_VALUE_BYTES)?)
    }

    /// The number that a file holds.
    pub(super) fn number(&self, path: &str) -> Option<i64> {
        self.value(path)?.parse().ok()
    }

    /// Names in a directory, in order. Names that are no text are left out: they could not be named to the server.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        self.opened.set(self.opened.get().saturating_add(1));
        let mut names: Vec<String> = entries
            .take(MAX_DIR_ENTRIES)
            .map_while(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| text::is_plain(name))
            .collect();
        if names.len() == MAX_DIR_ENTRIES {
            self.leave_out(1);
        }
        names.sort_unstable();
        names
    }

    /// The last part of what a symbolic link points to.
    pub(super) fn link_name(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.path(path)).ok()?;
        target.file_name()?.to_str().map(str::to_owned)
    }
}
