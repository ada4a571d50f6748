//! An object's bytes: a line that says its format and its checksum, and a line of JSON.
//!
//! `{"format":1,"sha256":"…"}`, and `"object":N` where the object's own format is not 1. The first number is that of this
//! very line; the checksum is over the JSON and, where it is not 1, the object's format.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::MAX_FILE;
use super::format::Format;

/// Version of the envelope; a file of another one is not guessed at.
const ENVELOPE: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    object: u32,
    sha256: String,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_first(format: &u32) -> bool {
    *format == 1
}

/// Why bytes are no object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// They are not what was written.
    Damaged(String),
    /// A later version of the agent wrote them.
    Later {
        /// In which format.
        format: u32,
        /// Which this version reads, at most.
        known: u32,
    },
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unusable::Damaged(why) => f.write_str(why),
            Unusable::Later { format, known } => {
                write!(f, "it has format {format}, this version reads format {known}")
            }
        }
    }
}

fn damaged(why: impl Into<String>) -> Unusable {
    Unusable::Damaged(why.into())
}

/// The bytes of an object in its first format.
pub(crate) fn seal<T: Serialize>(object: &T) -> io::Result<Vec<u8>> {
    seal_as(&Format { name: "", upgrades: &[] }, object)
}

/// The bytes of an object.
pub(super) fn seal_as<T: Serialize>(format: &Format<'_>, object: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(object)?;
    let header = Header { format: ENVELOPE, object: format.current(), sha256: digest(format.current(), &body) };
    let mut bytes = serde_json::to_vec(&header)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    bytes.push(b'\n');
    if bytes.len() as u64 >= MAX_FILE {
        let why = format!("it has {} bytes; at most {MAX_FILE} are stored", bytes.len());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn digest(format: u32, body: &[u8]) -> String {
    let mut digest = Sha256::new();
    if format != 1 {
        digest.update(format!("{format}\n"));
    }
    digest.update(body);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`seal`] wrote.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    unseal_as(&Format { name: "", upgrades: &[] }, bytes).map_err(|why| why.to_string())
}

/// Reads an object of today's format or an older one.
pub(super) fn unseal_as<T: DeserializeOwned>(format: &Format<'_>, bytes: &[u8]) -> Result<T, Unusable> {
    let cut = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it breaks off in its first line"))?;
    let (header, body) = bytes.split_at(cut);
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged("its first line is damaged"))?;
    if header.format > ENVELOPE {
        return Err(Unusable::Later { format: header.format, known: ENVELOPE });
    }
    if header.format < ENVELOPE || header.object == 0 {
        return Err(damaged("its first line is damaged"));
    }
    let body = body.get(1..).unwrap_or_default();
    let body = body.strip_suffix(b"\n").ok_or_else(|| damaged("it breaks off at its end"))?;
    if digest(header.object, body) != header.sha256 {
        return Err(damaged("its checksum is wrong"));
    }
    if header.object > format.current() {
        return Err(Unusable::Later { format: header.object, known: format.current() });
    }
    let fits = |why: serde_json::Error| damaged(format!("its content does not fit: {why}"));
    if header.object == format.current() {
        return serde_json::from_slice(body).map_err(fits);
    }
    let older = serde_json::from_slice(body).map_err(fits)?;
    let upgraded = format.upgrade(older, header.object).map_err(Unusable::Damaged)?;
    serde_json::from_value(upgraded).map_err(fits)
}
