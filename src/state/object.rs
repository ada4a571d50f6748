//! Objects: one file each, with a checksum, and the generation before beside it.
//!
//! What cannot be used is kept aside, never overwritten: `<name>.json.damaged` (the newest one only), and
//! `<name>.json.from-format-<N>` for what a later version of the agent wrote. Then what is there and good, at most one
//! generation older, is used and is not pushed out by the next write.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::problem::Problem;

pub(crate) use super::disk::{Disk, RealDisk};
use super::envelope::{Unusable, seal_as, unseal_as};
pub(crate) use super::envelope::{seal, unseal};
use super::format::Format;

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

fn previous_of(path: &Path) -> PathBuf {
    path.with_extension("json.1")
}

/// The file's name with this behind it.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}

/// The bytes of an object, for [`super::Saving`].
///
/// # Errors
/// It cannot be written as JSON, or is too large to be read again.
pub fn sealed<T: Serialize>(name: &str, object: &T) -> io::Result<Vec<u8>> {
    seal_as(&Format::of(name), object)
}

/// What a file holds.
enum Found<T> {
    Nothing,
    Good(T),
    Bad(Unusable),
}

fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path, format: &Format<'_>) -> Found<T> {
    match disk.read(path) {
        Ok(bytes) => unseal_as(format, &bytes).map_or_else(Found::Bad, Found::Good),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(why) => Found::Bad(Unusable::Damaged(format!("it cannot be read: {why}"))),
    }
}

/// Loads an object: the current generation, or the one before if that cannot be used; what was wrong is told.
#[must_use]
pub fn load<T: DeserializeOwned>(dir: &Path, name: &str) -> (Option<T>, Option<Problem>) {
    load_on(&RealDisk, dir, name)
}

/// [`load`] from any disk.
#[must_use]
pub fn load_on<T: DeserializeOwned>(disk: &dyn Disk, dir: &Path, name: &str) -> (Option<T>, Option<Problem>) {
    load_as(disk, dir, &Format::of(name))
}

/// [`load_on`] of an object that has these formats.
#[must_use]
pub fn load_as<T: DeserializeOwned>(disk: &dyn Disk, dir: &Path, format: &Format<'_>) -> (Option<T>, Option<Problem>) {
    let path = path_of(dir, format.name);
    let why = match read(disk, &path, format) {
        Found::Good(object) => return (Some(object), None),
        Found::Nothing => None,
        Found::Bad(why) => Some(why),
    };
    // Absent is what a power cut between the two renames of a write leaves: nothing is wrong.
    let mut said = why.as_ref().map(|why| aside(disk, &path, &path, why));
    let (object, then) = match read(disk, &previous_of(&path), format) {
        Found::Good(object) => (Some(object), "the generation before it is used"),
        Found::Nothing => (None, "there is no generation before it; the agent goes on without"),
        Found::Bad(before) if why.is_none() => {
            said = Some(aside(disk, &previous_of(&path), &path, &before));
            (None, "the agent goes on without")
        }
        Found::Bad(Unusable::Later { .. }) => (None, "so is the generation before it; the agent goes on without"),
        Found::Bad(_) => (None, "the generation before it is damaged too; the agent goes on without"),
    };
    let place = path.display().to_string();
    (object, said.map(|said| Problem::new(place, format!("{said}; {then}"))))
}

/// Moves a file out of the way under a name that says why; a sentence. `path` is the object's, `file` one of its two.
fn aside(disk: &dyn Disk, file: &Path, path: &Path, why: &Unusable) -> String {
    let (said, end) = match why {
        Unusable::Damaged(why) => (format!("damaged ({why})"), ".damaged".to_owned()),
        Unusable::Later { format, known } => (
            format!("written by a later version of the agent (format {format}; this version reads up to {known})"),
            format!(".from-format-{format}"),
        ),
    };
    let to = with_end(path, &end);
    let moved = disk.rename(file, &to).and_then(|()| disk.sync_dir(path.parent().unwrap_or(Path::new("."))));
    match moved {
        Ok(()) => format!("{said}, kept as {}", to.file_name().unwrap_or_default().display()),
        Err(not) => format!("{said}, and cannot be kept aside: {not}"),
    }
}

/// Stores an object durably: when it returns, it is there after a power cut.
///
/// # Errors
/// Of the file system; then the generation that was there is still there.
pub fn store<T: Serialize>(dir: &Path, name: &str, object: &T) -> io::Result<()> {
    store_on(&RealDisk, dir, name, object)
}

/// [`store`] on any disk.
///
/// # Errors
/// As [`store`].
pub fn store_on<T: Serialize>(disk: &dyn Disk, dir: &Path, name: &str, object: &T) -> io::Result<()> {
    put(disk, dir, name, &sealed(name, object)?)
}

/// [`store_on`] of an object that has these formats.
///
/// # Errors
/// As [`store`].
pub fn store_as<T: Serialize>(disk: &dyn Disk, dir: &Path, format: &Format<'_>, object: &T) -> io::Result<()> {
    put(disk, dir, format.name, &seal_as(format, object)?)
}

fn put(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path_of(dir, name);
    replace_on(disk, &path, bytes, Some(&previous_of(&path)))
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was written.
    Written,
    /// It was on disk already, and nothing was written.
    AsItWas,
}

/// An object on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Of the object.
    pub name: String,
    /// Sealed.
    pub bytes: Vec<u8>,
    /// What was there before is nobody's any more, and is removed: the generation before, and all that was kept aside.
    pub alone: bool,
    /// What is on disk is not known: it may be this already.
    pub compare: bool,
}

impl Write {
    /// Does it. When it returns, the object is there after a power cut.
    ///
    /// # Errors
    /// Of the file system, as a sentence; then the generation that was there is still there, or this one is.
    pub fn carry_out(&self, disk: &dyn Disk, dir: &Path) -> Result<Stored, String> {
        self.write(disk, dir).map_err(|why| why.to_string())
    }

    fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<Stored> {
        let same =
            self.compare && !self.alone && disk.read(&path_of(dir, &self.name)).is_ok_and(|found| found == self.bytes);
        if same {
            // It may be there and not yet survive.
            disk.sync_dir(dir)?;
        } else if self.alone {
            put_alone(disk, dir, &self.name, &self.bytes)?;
        } else {
            put(disk, dir, &self.name, &self.bytes)?;
        }
        Ok(if same { Stored::AsItWas } else { Stored::Written })
    }
}

/// Both generations first become the new one, and what was kept aside goes before that: from the moment it is the current
/// one nothing of what was there is left, power cut or not.
fn put_alone(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path_of(dir, name);
    let previous = previous_of(&path);
    let others = format!("{name}.json.");
    for file in disk.list(dir)?.iter().filter(|file| file.starts_with(&others)).map(|file| dir.join(file)) {
        if file == previous {
            replace_on(disk, &previous, bytes, None)?;
        } else {
            disk.remove(&file)?;
        }
    }
    disk.sync_dir(dir)?;
    replace_on(disk, &path, bytes, None)?;
    match disk.remove(&previous) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => disk.sync_dir(dir),
    }
}

/// Writes beside, fsyncs, keeps what was there as `previous`, renames into place, fsyncs the directory.
pub(super) fn replace(path: &Path, bytes: &[u8], previous: Option<&Path>) -> io::Result<()> {
    replace_on(&RealDisk, path, bytes, previous)
}

/// The same on any disk: tests have one that loses its power.
pub(crate) fn replace_on(disk: &dyn Disk, path: &Path, bytes: &[u8], previous: Option<&Path>) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = dir.join(format!(".{name}.tmp"));
    let written = disk.write_synced(&beside, bytes).and_then(|()| {
        if let Some(previous) = previous
            && disk.exists(path)
        {
            disk.rename(path, previous)?;
        }
        disk.rename(&beside, path)?;
        disk.sync_dir(dir)
    });
    if written.is_err() {
        // Leave no half-written file to fill the disk.
        let _ = disk.remove(&beside);
    }
    written
}

/// Removes what a write that was cut off has left. Before anything is written.
pub fn tidy(disk: &dyn Disk, dir: &Path) {
    for file in disk.list(dir).unwrap_or_default() {
        if file.starts_with('.') && file.ends_with(".tmp") {
            // It is overwritten by the next write of its object, or removed at the next start.
            let _ = disk.remove(&dir.join(file));
        }
    }
}
