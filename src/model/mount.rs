//! File systems that a server wants mounted on the device, and what is awaited of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Something to mount on the device: `/etc/fstab` in four words, each of which may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// What.
    pub device: String,
    /// Where.
    pub directory: String,
    /// Which file system.
    pub kind: String,
    /// With commas.
    pub options: String,
}

/// A mount and who wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// What.
    pub mount: Mount,
    /// A server wants it: the device's policy holds.
    pub remote: bool,
}

/// Directories on which something is to be mounted and is not yet, and why: what uses a path there waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited(BTreeMap<PathBuf, String>);

impl Awaited {
    /// What is awaited on a directory of its own each.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = (PathBuf, String)>) -> Awaited {
        Awaited(all.into_iter().collect())
    }

    /// What whoever uses this path waits for: a mount at it, or above it. What contains such a directory (a look at the whole
    /// device) waits for nothing.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&str> {
        self.0.iter().find(|(directory, _)| path.starts_with(directory)).map(|(_, why)| why.as_str())
    }

    /// Nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_or_below_an_awaited_directory_waits_and_its_neighbours_do_not() {
        let awaited = Awaited::of([("/mnt/data".into(), "no disk".to_owned())]);
        for path in ["/mnt/data", "/mnt/data/db"] {
            assert_eq!(awaited.at(Path::new(path)), Some("no disk"), "{path}");
        }
        for path in ["/mnt/database", "/mnt/other", "/mnt", "/"] {
            assert_eq!(awaited.at(Path::new(path)), None, "{path}");
        }
    }
}
