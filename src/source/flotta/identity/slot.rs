//! One slot: the sealed object, and reading it back with every doubt.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Pair, Request};
use crate::source::flotta::renewal::Receipt;
use crate::state::object::{Disk, replace_on, seal, unseal};

/// The two files.
pub(super) const NAMES: [&str; 2] = ["a.json", "b.json"];

/// What a file holds. Not Debug: it holds the key.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    device: String,
    generation: u64,
    proven: bool,
    receipt: Receipt,
    certificate: String,
    key: String,
}

/// A pair of certificate and key that was issued to the device.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Certificate and key.
    pub pair: Pair,
    /// When it was received: for [`super::super::renewal::renewal`].
    pub receipt: Receipt,
    /// Counts up with each pair.
    pub generation: u64,
    /// An exchange has succeeded with it.
    pub proven: bool,
}

impl Issued {
    /// NotBefore, for [`super::super::trusted_time::TrustedTime::not_before`]. None if the server's own Date did not bear it
    /// out: what a server with a wrong clock wrote into a certificate is no floor.
    #[must_use]
    pub fn floor(&self) -> Option<crate::model::time::Wall> {
        let begin = self.pair.certificate().not_before;
        (self.receipt.from_server && begin <= self.receipt.at).then_some(begin)
    }
}

/// A slot with something in it.
#[derive(Clone)]
pub(super) struct Slot {
    pub issued: Issued,
    /// On disk it is not as it is here.
    pub dirty: bool,
    kept: Kept,
}

/// What a slot's file holds.
pub(super) enum Found {
    Nothing,
    Ours(Box<Slot>),
    /// Of another device id.
    Foreign {
        device: String,
        generation: u64,
        proven: bool,
    },
    Damaged(String),
}

impl Slot {
    /// Checks what the server sent for `request`.
    pub(super) fn new(
        request: &Request,
        certificate: &str,
        receipt: Receipt,
        device: &str,
        generation: u64,
    ) -> Result<Slot, String> {
        let kept = Kept {
            device: device.to_owned(),
            generation,
            proven: false,
            receipt,
            certificate: certificate.to_owned(),
            key: request.key().to_owned(),
        };
        let issued = kept.checked()?;
        Ok(Slot { issued, dirty: true, kept })
    }

    pub(super) fn prove(&mut self) {
        self.dirty |= !self.kept.proven;
        self.kept.proven = true;
        self.issued.proven = true;
    }

    /// Writes it durably.
    pub(super) fn save(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        replace_on(disk, path, &seal(&self.kept)?, None)?;
        self.dirty = false;
        Ok(())
    }
}

impl Kept {
    /// The pair, if it is one that can be used.
    fn checked(&self) -> Result<Issued, String> {
        let pair =
            Pair::read(("the certificate", self.certificate.as_bytes()), ("the key made for it", self.key.as_bytes()))?;
        let certificate = pair.certificate();
        if !certificate.common_name.eq_ignore_ascii_case(&self.device) {
            return Err(format!(
                "the certificate is issued to {:?}, not to this device, {:?}",
                certificate.common_name, self.device
            ));
        }
        if certificate.ca {
            return Err("the certificate is that of a CA; a device's must not be one".into());
        }
        if certificate.not_before >= certificate.not_after {
            return Err(format!(
                "the certificate is never valid: it begins at {} and ends at {}",
                certificate.not_before.rfc3339(),
                certificate.not_after.rfc3339()
            ));
        }
        Ok(Issued { pair, receipt: self.receipt.clone(), generation: self.generation, proven: self.proven })
    }
}

/// Reads a slot's file.
pub(super) fn read(disk: &dyn Disk, path: &Path, device: &str) -> Found {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(why) => return Found::Damaged(format!("it cannot be read: {why}")),
    };
    let kept: Kept = match unseal(&bytes) {
        Ok(kept) => kept,
        Err(why) => return Found::Damaged(why),
    };
    if !kept.device.eq_ignore_ascii_case(device) {
        return Found::Foreign { device: kept.device, generation: kept.generation, proven: kept.proven };
    }
    match kept.checked() {
        Ok(issued) => Found::Ours(Box::new(Slot { issued, dirty: false, kept })),
        Err(why) => Found::Damaged(why),
    }
}

pub(super) fn paths(dir: &Path) -> [PathBuf; 2] {
    NAMES.map(|name| dir.join(name))
}
