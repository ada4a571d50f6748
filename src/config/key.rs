//! What a configuration key is, and its names in the environment and on the command line.

use super::keys::KEYS;
use super::types::Config;
use super::value::Value;

/// One configuration key.
pub struct Key {
    /// As in the file, levels joined by `.`: `http.listen`.
    pub path: &'static str,
    /// The type, for people.
    pub kind: &'static str,
    /// What holds where nothing is said.
    pub default: Fallback,
    /// What it is for, in a sentence.
    pub meaning: &'static str,
    /// Checks a value and puts it into its place.
    pub(super) set: fn(&mut Config, &Value<'_>) -> Result<(), String>,
}

/// What holds where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// As it could be written in the file.
    Is(&'static str),
    /// Found out at the start; said in words.
    Found(&'static str),
    /// Nothing.
    Unset,
}

impl Key {
    /// Its name in the environment: `EDGE_DEVICE_HTTP_LISTEN`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// The section it stands in, if any: `http`.
    #[must_use]
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }
}

/// Before each key's name in the environment.
pub const ENV_PREFIX: &str = "EDGE_DEVICE_";

/// The flags of `flotta-agent run` that stand for a key: flag, key.
pub const FLAGS: [(&str, &str); 6] = [
    ("--device-id", "DEVICE_ID"),
    ("--log-level", "LOG_LEVEL"),
    ("--state-dir", "state.dir"),
    ("--manifests", "manifests.dir"),
    ("--http-listen", "http.listen"),
    ("--mqtt-listen", "mqtt.listen"),
];

/// The key with this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
