//! Objects: one file each, with a checksum, and the generation before beside it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::model::problem::Problem;

pub(crate) use super::disk::{Disk, RealDisk};

/// Version of the envelope; a file of another one is not guessed at.
const FORMAT: u32 = 1;
/// A larger file is not an object of ours.
const MAX_OBJECT: u64 = 64 * 1024 * 1024;

#[derive(serde::Serialize, serde::Deserialize)]
struct Header {
    format: u32,
    sha256: String,
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

fn previous_of(path: &Path) -> PathBuf {
    path.with_extension("json.1")
}

/// The bytes of an object with its header.
pub(crate) fn seal<T: Serialize>(object: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(object)?;
    let mut bytes = serde_json::to_vec(&Header { format: FORMAT, sha256: digest(&body) })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    bytes.push(b'\n');
    Ok(bytes)
}

fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`seal`] wrote.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let cut = bytes.iter().position(|byte| *byte == b'\n').ok_or("it breaks off in its first line")?;
    let (header, body) = bytes.split_at(cut);
    let header: Header = serde_json::from_slice(header).map_err(|_| "its first line is damaged".to_owned())?;
    if header.format != FORMAT {
        return Err(format!("it has format {}, this version reads format {FORMAT}", header.format));
    }
    let body = body.get(1..).unwrap_or_default();
    let body = body.strip_suffix(b"\n").ok_or("it breaks off at its end")?;
    if digest(body) != header.sha256 {
        return Err("its checksum is wrong".into());
    }
    serde_json::from_slice(body).map_err(|why| format!("its content does not fit: {why}"))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(format!("it cannot be opened: {why}")),
    };
    let mut bytes = Vec::new();
    file.take(MAX_OBJECT).read_to_end(&mut bytes).map_err(|why| format!("it cannot be read: {why}"))?;
    unseal(&bytes).map(Some)
}

/// Loads an object: the current generation, or the one before if that is damaged; what was wrong is told.
#[must_use]
pub fn load<T: DeserializeOwned>(dir: &Path, name: &str) -> (Option<T>, Option<Problem>) {
    let path = path_of(dir, name);
    let place = path.display().to_string();
    let (current, why) = match read(&path) {
        Ok(Some(object)) => return (Some(object), None),
        Ok(None) => (None::<T>, None),
        Err(why) => (None, Some(why)),
    };
    match (read(&previous_of(&path)), why) {
        (Ok(Some(object)), Some(why)) => {
            (Some(object), Some(Problem::new(place, format!("damaged ({why}); the generation before it is used"))))
        }
        // Between the two renames of a write: nothing is wrong.
        (Ok(Some(object)), None) => (Some(object), None),
        (_, Some(why)) => (
            current,
            Some(Problem::new(
                place,
                format!("damaged ({why}), and so is the generation before it; the agent goes on without"),
            )),
        ),
        (_, None) => (current, None),
    }
}

/// Stores an object durably: when it returns, it is there after a power cut.
///
/// # Errors
/// Of the file system; then the generation that was there is still there.
pub fn store<T: Serialize>(dir: &Path, name: &str, object: &T) -> io::Result<()> {
    store_sealed(dir, name, &seal(object)?)
}

/// Removes the generation before, durably.
pub(super) fn forget_previous(dir: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(previous_of(&path_of(dir, name))) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => File::open(dir)?.sync_all(),
    }
}

pub(super) fn store_sealed(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path_of(dir, name);
    replace(&path, bytes, Some(&previous_of(&path)))
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
