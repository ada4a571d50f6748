//! Retained messages on disk: a few files, each replaced as a whole, that a person can read and in which damage stays local.
//!
//! ```text
//!  <dir>/retained-00.jsonl … retained-15.jsonl    one line per message, by a checksum of the topic
//!        .retained-00.jsonl.tmp                   being written; of no meaning after a crash
//!        retained-00.jsonl.damaged                what could not be read in full at a start; the latest one only
//! ```
//! ```text
//!  a8ec84af {"format":"flotta retained messages","version":1}
//!  1819b651 {"topic":"garden/pump","qos":1,"payload":"on"}
//!  9bd542be {"messages":1}
//! ```
//! The eight digits are the CRC-32 of what follows the space. The last line tells a file that was cut between two lines
//! from a whole one. No clock, no task and no lock here; the calls block for as long as the disk takes.

mod line;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::Limits;
use read::{Report, Taken};

/// Files that the messages are spread over, so that one change rewrites a small part.
pub(crate) const SHARDS: usize = 16;

/// A retained message. Its payload is not empty, since that would clear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub topic: Arc<str>,
    pub payload: Bytes,
    pub qos: u8,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In topic order, each topic once, within the limits.
    pub entries: Vec<Entry>,
    /// What could not be taken; a few per file.
    pub damaged: Vec<Damage>,
}

/// Something in a file that could not be taken. Everything else in that file was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub file: PathBuf,
    /// From 1; `None` if it is about the file as a whole.
    pub line: Option<u64>,
    /// What is wrong, and what that means for the messages.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The file that a topic belongs into: the same for all time, since files outlive versions.
pub(crate) fn shard_of(topic: &str) -> usize {
    crc32fast::hash(topic.as_bytes()) as usize % SHARDS
}

fn name_of(shard: usize) -> String {
    format!("retained-{shard:02}.jsonl")
}

fn beside(dir: &Path, shard: usize) -> PathBuf {
    dir.join(format!(".{}.tmp", name_of(shard)))
}

/// Reads all files. Never fails: what cannot be read is told, kept as `….damaged` and replaced by what could be.
pub(crate) fn load(dir: &Path, limits: &Limits) -> Loaded {
    let mut taken = Taken::new(limits);
    let mut damaged = Vec::new();
    for shard in 0..SHARDS {
        // A save that did not get to its end. Should it not go away, the next save of this file says so.
        let _ = fs::remove_file(beside(dir, shard));
        let path = dir.join(name_of(shard));
        let mut report = Report::new(&path);
        match open(&path) {
            Ok(None) => continue,
            Ok(Some(file)) => {
                read::shard(BufReader::new(file), limits, |topic| shard_of(topic) == shard, &mut taken, &mut report);
            }
            Err(why) => report.file(format!("it cannot be opened ({why}); its messages are lost")),
        }
        if report.is_damaged() {
            if let Err(why) = set_aside(&path, dir, shard, &taken) {
                report.file(format!("it cannot be set aside ({why}); it stays until its messages are written anew"));
            }
            damaged.extend(report.finish());
        }
    }
    Loaded { entries: taken.finish(), damaged }
}

/// Reads bytes as one file.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_bytes(bytes: &[u8], limits: &Limits, here: impl Fn(&str) -> bool) -> Loaded {
    let mut taken = Taken::new(limits);
    let mut report = Report::new(Path::new("retained.jsonl"));
    read::shard(bytes, limits, here, &mut taken, &mut report);
    Loaded { entries: taken.finish(), damaged: report.finish() }
}

/// Opens a shard; a pipe in its place would block.
fn open(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
        Ok(found) if !found.is_file() => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file")),
        Ok(_) => File::open(path).map(Some),
    }
}

/// Keeps a damaged file under another name, and puts what could be read of it in its place. A crash in between leaves
/// the damaged file where it was, to be read again.
fn set_aside(path: &Path, dir: &Path, shard: usize, taken: &Taken<'_>) -> io::Result<()> {
    let aside = dir.join(format!("{}.damaged", name_of(shard)));
    if let Err(why) = fs::remove_file(&aside)
        && why.kind() != io::ErrorKind::NotFound
    {
        return Err(why);
    }
    // Some file systems have no links, and nothing has links of directories.
    if fs::hard_link(path, &aside).is_err() {
        fs::rename(path, &aside)?;
    }
    let own = taken.entries().filter(|entry| shard_of(&entry.topic) == shard).cloned();
    save(dir, shard, own).map(|_| ())
}

/// Replaces one file by these messages, and returns its bytes; with no message there is no file. When it returns, a power
/// cut changes nothing any more; before, either the old or the new file is there.
///
/// # Errors
/// Of the file system: the old file is there, or (when only the last step failed) the new one. And if a message belongs into
/// another file, or there is no such file.
pub(crate) fn save(dir: &Path, shard: usize, entries: impl Iterator<Item = Entry>) -> io::Result<u64> {
    if shard >= SHARDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no file {shard} of {SHARDS}")));
    }
    let mut entries = entries.filter(|entry| !entry.payload.is_empty()).peekable();
    if entries.peek().is_none() {
        return remove(dir, shard).map(|()| 0);
    }
    make(dir)?;
    let temporary = beside(dir, shard);
    let written = write(&temporary, shard, entries).and_then(|bytes| {
        fs::rename(&temporary, dir.join(name_of(shard)))?;
        sync_dir(dir)?;
        Ok(bytes)
    });
    if written.is_err() {
        // Leave no half-written file to fill the disk.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes the directory, durably.
fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Only the last of the directories that may be new: those above are the agent's, which made them long before.
    match dir.parent() {
        Some(above) if !above.as_os_str().is_empty() => sync_dir(above),
        _ => sync_dir(Path::new(".")),
    }
}

fn remove(dir: &Path, shard: usize) -> io::Result<()> {
    match fs::remove_file(dir.join(name_of(shard))) {
        Ok(()) => sync_dir(dir),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(why),
    }
}

fn write(path: &Path, shard: usize, entries: impl Iterator<Item = Entry>) -> io::Result<u64> {
    // What is left of an earlier save may have other permissions.
    if let Err(why) = fs::remove_file(path)
        && why.kind() != io::ErrorKind::NotFound
    {
        return Err(why);
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut file = BufWriter::new(file);
    let bytes = write_lines(&mut file, shard, entries)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}

/// The lines of one file.
pub(crate) fn write_lines(out: &mut impl Write, shard: usize, entries: impl Iterator<Item = Entry>) -> io::Result<u64> {
    let mut bytes = 0_u64;
    let mut put = |line: io::Result<Vec<u8>>| {
        let line = line?;
        bytes = bytes.saturating_add(line.len() as u64);
        out.write_all(&line)
    };
    put(line::header())?;
    let mut messages = 0_u64;
    for entry in entries {
        if shard_of(&entry.topic) != shard {
            let why = format!("the topic {:?} does not belong into file {shard}", entry.topic);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        put(line::message(&entry))?;
        messages = messages.saturating_add(1);
    }
    put(line::end(messages))?;
    Ok(bytes)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
