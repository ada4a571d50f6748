//! Directories by their descriptors, link by link: what leads to them may belong to a user whom the agent, as root, serves
//! and does not trust.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// Whose a directory and what is in it are; `None`: the agent's user's.
pub(super) type Owner = Option<(u32, u32)>;

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir(File);

impl Dir {
    /// A directory by its path. Symbolic links on the way are followed only where nobody but root and this user could have
    /// put them.
    pub(super) fn open(path: &Path) -> io::Result<Dir> {
        let mut at = Dir::at(CWD, "/", OFlags::PATH)?;
        for part in path.components() {
            match part {
                Component::Normal(name) => at = at.step(name)?,
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(at)
    }

    /// The same; what is not there is made, for nobody but its owner.
    pub(super) fn make(path: &Path, owner: Owner) -> io::Result<Dir> {
        let mut at = Dir::open(Path::new("/"))?;
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    at = match at.step(name) {
                        Err(why) if why.kind() == io::ErrorKind::NotFound => at.sub(name, 0o700, owner)?,
                        other => other?,
                    }
                }
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(at)
    }

    fn at(dir: impl std::os::fd::AsFd, name: impl rustix::path::Arg, more: OFlags) -> io::Result<Dir> {
        // What leads there need not be readable, only passable.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        Ok(Dir(File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?)))
    }

    fn step(&self, name: &std::ffi::OsStr) -> io::Result<Dir> {
        let here = self.0.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        let trusted = (here.uid() == 0 || here.uid() == own) && here.mode() & 0o022 == 0;
        Dir::at(&self.0, name, OFlags::PATH | if trusted { OFlags::empty() } else { OFlags::NOFOLLOW })
    }

    /// A directory in this one, never behind a link.
    pub(super) fn child(&self, name: impl rustix::path::Arg) -> io::Result<Dir> {
        Dir::at(&self.0, name, OFlags::NOFOLLOW)
    }

    /// One that is there, or is made with this mode, whatever the umask.
    pub(super) fn sub(&self, name: impl rustix::path::Arg + Copy, mode: u32, owner: Owner) -> io::Result<Dir> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from(0o700)) {
            Ok(()) => {
                let made = self.child(name)?;
                own(&made.0, mode, owner)?;
                Ok(made)
            }
            Err(Errno::EXIST) => self.child(name),
            Err(why) => Err(why.into()),
        }
    }

    /// Nobody but its owner may enter, and it has the right one.
    pub(super) fn is_private(&self, owner: Owner) -> io::Result<()> {
        let found = self.0.metadata()?;
        let right = owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
        if found.uid() != right {
            let why = format!("it belongs to user {}, not {right}: remove it", found.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        if found.mode() & 0o077 != 0 {
            rustix::fs::fchmod(&self.0, Mode::from(0o700))?;
        }
        Ok(())
    }

    /// A new file with this mode, whatever the umask; it has it when it is whole.
    pub(super) fn file(&self, name: impl rustix::path::Arg, mode: u32, owner: Owner, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::from(0o600))?);
        file.write_all(bytes)?;
        own(&file, mode, owner)
    }

    /// Whether there is something of this name.
    pub(super) fn has(&self, name: impl rustix::path::Arg) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Gives what is here another name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes a directory with all that is in it; one that is not there is fine.
    pub(super) fn remove_all(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_dir_all(self.path().join(name)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
    }

    /// Removes a file.
    pub(super) fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(super) fn remove_empty(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// The names of the directories in it.
    pub(super) fn directories(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.path())?.flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Ok(directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// Whose it is.
    pub(super) fn uid(&self) -> io::Result<u32> {
        Ok(self.0.metadata()?.uid())
    }

    /// The kernel's own way to what is open: whatever becomes of the names that led there.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Its file system is kept in memory.
    pub(super) fn in_memory(&self) -> io::Result<bool> {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        let kind = rustix::fs::fstatfs(&self.0)?.f_type;
        // The type of the field differs between machines, and so does its sign.
        Ok(matches!(u64::try_from(kind & 0xffff_ffff), Ok(TMPFS | RAMFS)))
    }
}

fn own(file: &File, mode: u32, owner: Owner) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    // After the owner: a change of that takes bits away.
    Ok(rustix::fs::fchmod(file, Mode::from(mode))?)
}
