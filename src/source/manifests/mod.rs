//! Manifests: a directory of YAML and JSON files, watched (SPEC "Sources of desired state").
//!
//! ```text
//!  inotify ─► watch (100 ms of quiet, then the files that changed) ─► Directory (pure: last good version of each) ─► Update
//!                                                                       └─ document, device, workload ─ crate::source::reading
//! ```
//! [`run`] is the only part with I/O, with [`read_once`] for `flotta-agent check`.

mod device;
mod directory;
mod document;
mod files;
mod selector;
mod times;
mod watch;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::desired::Desired;
use crate::spec_hash::DeviceKey;

pub use directory::{Directory, Outcome};
pub use files::MAX_FILE;
pub use watch::run;

/// What reading depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `DEVICE_ID`, if it is set.
    pub device_id: Option<String>,
    /// Who the device is where neither configuration nor an EdgeDevice says it.
    pub fallback_id: String,
    /// For the hash of Secrets.
    pub key: DeviceKey,
}

/// The last good text of each file: what is in force after a restart where a file is broken or the directory is gone.
/// Holds Secrets as they are written, so it is stored 0600.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredManifests {
    /// By file name.
    pub files: BTreeMap<String, String>,
}

/// Desired state, and what must be stored of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// All of it.
    pub desired: Desired,
    /// The texts it came from.
    pub stored: StoredManifests,
}

/// Reads a directory as it is now.
#[must_use]
pub fn read_once(dir: &Path, settings: &Settings) -> Outcome {
    let mut directory = Directory::default();
    let prefix = files::shown(dir);
    let problem = match files::list(dir) {
        Ok(found) => {
            for name in found.keys() {
                let text = files::read(&dir.join(name));
                directory.put(&prefix, name, text.as_deref().map_err(Clone::clone));
            }
            None
        }
        Err(why) => Some(files::missing(dir, &why)),
    };
    let mut outcome = directory.outcome(settings);
    outcome.desired.problems.extend(problem);
    outcome
}
