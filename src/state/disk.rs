//! The system calls by which state gets onto disk, so that tests can take the power away between any two of them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A larger file is not one of ours.
const MAX_READ: u64 = 1024 * 1024;

/// What a disk does.
pub(crate) trait Disk: Send + Sync {
    /// A directory for the owner alone, made if need be.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// A small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is one.
    fn exists(&self, path: &Path) -> bool;
    /// A file for the owner alone, made or overwritten, its content on disk when this returns; its name need not be.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Puts a file in another's place, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Its names are on disk when this returns.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_READ).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
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
