//! The files of a machine, in a directory that goes away with the test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Machine(TempDir);

impl Machine {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A machine with these files, each named below the root.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let machine = Self::new();
        for (path, text) in files {
            machine.file(path, text.as_bytes());
        }
        machine
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn file(&self, path: &str, bytes: &[u8]) {
        fs::write(self.at(path), bytes).unwrap();
    }

    pub fn dir(&self, path: &str) {
        fs::create_dir_all(self.root().join(path)).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }

    /// A pipe that nobody writes to: whoever opens it to read waits for ever.
    pub fn pipe(&self, path: &str) {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, self.at(path), kind, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
    }
}
