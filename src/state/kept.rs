//! What a device makes once and must not lose: the owner id, without which it would not know its own workloads again, and
//! the key of the hashes.
//!
//! Each stands in a file for people to read (`owner`, `device.key`) and, with a checksum, in a copy beside it (`owner.1`,
//! `device.key.1`). One good one of the two is enough, and mends the other; where they differ the one with the checksum is
//! right. Only when both are gone is a new one made, and that is said. Nothing is written while both are there.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::object::{replace_on, seal, unseal};
use crate::model::problem::Problem;

/// What was kept, or made.
pub struct Kept {
    /// What the workloads of this agent are labelled with.
    pub owner: String,
    /// The key of the HMAC by which secrets enter a hash.
    pub key: [u8; 32],
    /// What was wrong, and what was done about it.
    pub problems: Vec<Problem>,
}

/// One of the two.
struct Thing {
    name: &'static str,
    /// Reads it; the text that stands for it.
    read: fn(&str) -> Option<String>,
    make: fn() -> String,
    /// What it means that a new one had to be made.
    lost: &'static str,
}

const OWNER: Thing = Thing {
    name: "owner",
    read: |text| uuid::Uuid::try_parse(text.trim()).ok().map(|id| id.to_string()),
    make: || uuid::Uuid::new_v4().to_string(),
    lost: "pods that ran before are not known as this device's any more, go on, and are to be removed by hand (podman pod ls --filter label=project-flotta.io/owner)",
};

const KEY: Thing = Thing {
    name: "device.key",
    read: |text| key_of(text.trim()).map(|_| text.trim().to_owned()),
    make: || {
        // Two random uuids have 244 random bits; the digest spreads them over 32 bytes.
        let mut digest = Sha256::new();
        digest.update(uuid::Uuid::new_v4().as_bytes());
        digest.update(uuid::Uuid::new_v4().as_bytes());
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    },
    lost: "workloads that use Secrets are replaced once, as their hashes are other ones now",
};

fn key_of(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        let hex = text.get(2 * at..2 * at + 2)?;
        *byte = u8::from_str_radix(hex, 16).ok()?;
    }
    (text.len() == 64).then_some(key)
}

/// Reads both, mends what is damaged, and makes what was never there.
///
/// # Errors
/// Neither file of one of them can be read although it is there, or a new one cannot be written; and which one that is.
pub fn keep(disk: &dyn Disk, dir: &Path) -> Result<Kept, (&'static str, io::Error)> {
    // Before one of the two is made.
    let used = disk.list(dir).is_ok_and(|names| names.iter().any(|name| name.ends_with(".json")));
    let mut problems = Vec::new();
    let mut one = |thing: &Thing, what| {
        let (text, said) = keep_one(disk, dir, thing, used).map_err(|why| (what, why))?;
        problems.extend(said.map(|said| Problem::new(dir.join(thing.name).display().to_string(), said)));
        Ok(text)
    };
    let owner = one(&OWNER, "cannot keep its owner id")?;
    let key = one(&KEY, "cannot keep the device key")?;
    Ok(Kept { owner, key: key_of(&key).unwrap_or_default(), problems })
}

enum Found {
    Nothing,
    Good(String),
    Damaged(String),
    /// It may be good.
    Unreadable(io::Error),
}

fn look(disk: &dyn Disk, path: &Path, read: impl Fn(&[u8]) -> Result<String, String>) -> Found {
    match disk.read(path) {
        Ok(bytes) => read(&bytes).map_or_else(Found::Damaged, Found::Good),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(why) => Found::Unreadable(why),
    }
}

fn keep_one(disk: &dyn Disk, dir: &Path, thing: &Thing, used: bool) -> io::Result<(String, Option<String>)> {
    let (path, copy) = (dir.join(thing.name), dir.join(format!("{}.1", thing.name)));
    let unfit = || "it does not hold what it should".to_owned();
    let first = look(disk, &path, |bytes| std::str::from_utf8(bytes).ok().and_then(thing.read).ok_or_else(unfit));
    let second = look(disk, &copy, |bytes| (thing.read)(&unseal::<String>(bytes)?).ok_or_else(unfit));
    let plain = |text: &str| replace_on(disk, &path, format!("{text}\n").as_bytes(), None);
    let sealed = |text: &str| replace_on(disk, &copy, &seal(&text)?, None);
    let mend = |text: &str, said: String| {
        set_aside(disk, &path);
        match plain(text) {
            Ok(()) => format!("{said}; its copy was used, and it is written again"),
            Err(why) => format!("{said}; its copy is used; it cannot be written again: {why}"),
        }
    };
    match (first, second) {
        (Found::Good(text), Found::Good(same)) if text == same => Ok((text, None)),
        (Found::Good(_), Found::Good(text)) => {
            let said = mend(&text, format!("differs from {}, which has a checksum", copy.display()));
            Ok((text, Some(said)))
        }
        (Found::Damaged(why), Found::Good(text)) => {
            let said = mend(&text, format!("damaged ({why})"));
            Ok((text, Some(said)))
        }
        (Found::Nothing, Found::Good(text)) => {
            let said = mend(&text, "is gone".into());
            Ok((text, Some(said)))
        }
        (Found::Unreadable(why), Found::Good(text)) => {
            Ok((text, Some(format!("cannot be read: {why}; its copy is used"))))
        }
        (Found::Good(text), second) => {
            let said = match second {
                Found::Nothing | Found::Good(_) => None,
                Found::Damaged(why) => Some(format!("its copy is damaged ({why}) and is written again")),
                Found::Unreadable(why) => Some(format!("its copy cannot be read: {why}; it is written again")),
            };
            let said = match sealed(&text) {
                Ok(()) => said,
                Err(why) => Some(format!("no copy of it can be written: {why}; tried again at the next start")),
            };
            Ok((text, said))
        }
        (Found::Unreadable(why), _) | (_, Found::Unreadable(why)) => Err(why),
        (Found::Nothing, Found::Nothing) => {
            let text = (thing.make)();
            plain(&text).and_then(|()| sealed(&text))?;
            let said = used.then(|| format!("is gone, with its copy: a new one was made; {}", thing.lost));
            Ok((text, said))
        }
        (_, Found::Damaged(why)) | (Found::Damaged(why), _) => {
            set_aside(disk, &path);
            let text = (thing.make)();
            plain(&text).and_then(|()| sealed(&text))?;
            Ok((text, Some(format!("damaged ({why}), and so is its copy: a new one was made; {}", thing.lost))))
        }
    }
}

/// For a person to look at; there may be none.
fn set_aside(disk: &dyn Disk, path: &Path) {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let _ = disk.rename(path, &path.with_file_name(name));
}
