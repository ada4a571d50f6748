//! The system calls by which state gets onto disk, so that tests can take the power away between any two of them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// No file of ours is larger: more of it is not read.
pub const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What a disk does. What has returned need not survive a loss of power until it is said here that it does.
pub trait Disk: Send + Sync {
    /// A directory for the owner alone, made if need be.
    ///
    /// # Errors
    /// Of the file system.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// A file, at most [`MAX_FILE`] bytes of it.
    ///
    /// # Errors
    /// Of the file system; `NotFound` if there is none.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is one.
    fn exists(&self, path: &Path) -> bool;

    /// The names of the files in a directory.
    ///
    /// # Errors
    /// Of the file system.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// A file for the owner alone, made or overwritten. When this returns its content survives; its name need not.
    ///
    /// # Errors
    /// Of the file system; then the file may be there, whole, torn or empty.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Puts a file in another's place, at once. Survives from [`Disk::sync_dir`] on.
    ///
    /// # Errors
    /// Of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The names in the directory survive when this returns.
    ///
    /// # Errors
    /// Of the file system; then each change of a name may survive or not.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a file away. Survives from [`Disk::sync_dir`] on.
    ///
    /// # Errors
    /// Of the file system; `NotFound` if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // One that is not UTF-8 is not of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}
