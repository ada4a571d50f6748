//! The files themselves: which ones count, what marks a change, and reading one within limits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::problem::Problem;
use crate::source::reading::limits::MAX_TEXT;

/// A larger file is refused (SPEC "Directory rules").
pub const MAX_FILE: u64 = MAX_TEXT as u64;
/// More files than this are not read.
pub const MAX_FILES: usize = 10_000;

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub modified: (i64, i64),
    pub size: u64,
    pub inode: u64,
}

/// Whether a file of this name is read: not hidden, and YAML or JSON by its ending.
pub(super) fn counts(name: &str) -> bool {
    !name.starts_with('.') && [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
}

/// The files that count, each with its mark; one that cannot be looked at has a mark of its own.
pub(super) fn list(dir: &Path) -> io::Result<BTreeMap<String, Mark>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if counts(&name) && found.len() < MAX_FILES {
            let mark = std::fs::metadata(dir.join(&name)).map_or(Mark { modified: (0, 0), size: 0, inode: 0 }, |m| {
                Mark { modified: (m.mtime(), m.mtime_nsec()), size: m.size(), inode: m.ino() }
            });
            found.insert(name, mark);
        }
    }
    Ok(found)
}

/// A file's text, or why it cannot be had.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let why = |why: io::Error| format!("cannot be read: {why}; mend it, or delete the file to remove what it said");
    let file = File::open(path).map_err(why)?;
    if !file.metadata().map_err(why)?.is_file() {
        return Err("is not a regular file; only files are read".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 1 MiB; split it into several files".into());
    }
    String::from_utf8(bytes).map_err(|why| {
        let good = why.utf8_error().valid_up_to();
        let lines = why.as_bytes().get(..good).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
        format!("is not UTF-8 text: line {} has bytes that are no character", lines + 1)
    })
}

/// What people call the directory.
pub(super) fn shown(dir: &Path) -> String {
    dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned())
}

pub(super) fn missing(dir: &Path, why: &io::Error) -> Problem {
    let message = match why.kind() {
        io::ErrorKind::NotFound => format!(
            "the manifests' directory {} is not there; what was desired stays desired; make it, or set manifests.dir",
            dir.display()
        ),
        _ => {
            format!("the manifests' directory {} cannot be read: {why}; what was desired stays desired", dir.display())
        }
    };
    Problem::new("manifests.dir", message)
}
