//! Where the device's certificates live: two slots, of which one always holds a pair that works.

use std::path::{Path, PathBuf};

use super::Request;
pub use super::slot::Issued;
use super::slot::{self, Found, Slot};
use crate::model::problem::Problem;
use crate::source::flotta::renewal::Receipt;
use crate::state::object::{Disk, RealDisk, tidy};

/// What became of a new pair.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// It is on disk, power cut or not.
    Durably,
    /// It is held in memory and can be used, but the disk refused it: a sentence. [`Store::save`] tries again.
    InMemory(String),
}

/// A slot as it is now.
enum Place {
    /// Free; what a put would overwrite counts from least to most worth keeping: empty, damaged, another device's
    /// unproven, another device's proven one.
    Free(u8, u64),
    Ours(Box<Slot>),
}

impl Place {
    fn ours(&self) -> Option<&Slot> {
        match self {
            Place::Ours(slot) => Some(slot),
            Place::Free(..) => None,
        }
    }
}

/// The device's own certificates, in `<state dir>/identity/`.
///
/// `current` is the proven pair of the highest generation; before there is one, the older of two. `candidate` is a newer
/// one, not yet proven: to be tried first, and promoted or discarded.
pub struct Store {
    dir: PathBuf,
    device: String,
    disk: Box<dyn Disk>,
    slots: [Place; 2],
    /// Highest seen, in files of other devices too.
    generation: u64,
    /// The directory is there, durably.
    made: bool,
    unsaved: Option<String>,
}

impl Store {
    /// Opens it for the device id in force, and says what is wrong with what it holds. A directory that cannot be used is a
    /// problem too; pairs are then kept in memory.
    #[must_use]
    pub fn open(state: &Path, device: &str) -> (Store, Vec<Problem>) {
        Store::open_on(Box::new(RealDisk), state, device)
    }

    pub(super) fn open_on(disk: Box<dyn Disk>, state: &Path, device: &str) -> (Store, Vec<Problem>) {
        let dir = state.join("identity");
        let mut problems = Vec::new();
        let made = make(disk.as_ref(), &dir);
        tidy(disk.as_ref(), &dir);
        if let Err(why) = &made {
            problems.push(Problem::new(
                dir.display().to_string(),
                format!("cannot be made: {why}; the device's certificate would be lost at a restart"),
            ));
        }
        let mut generation = 0;
        let slots = slot::paths(&dir).map(|path| {
            let (place, problem) = match slot::read(disk.as_ref(), &path, device) {
                Found::Nothing => (Place::Free(0, 0), None),
                Found::Ours(slot) => {
                    generation = generation.max(slot.issued.generation);
                    (Place::Ours(slot), None)
                }
                Found::Foreign { device: other, generation: theirs, proven } => {
                    generation = generation.max(theirs);
                    let said = format!(
                        "is the certificate of the device {other:?} and is not used, since the device id is {device:?}; set DEVICE_ID back to use it, until it is overwritten"
                    );
                    (Place::Free(2 + u8::from(proven), theirs), Some(said))
                }
                Found::Damaged(why) => (Place::Free(1, 0), Some(format!("cannot be used: {why}"))),
            };
            if let Some(said) = problem {
                problems.push(Problem::new(path.display().to_string(), said));
            }
            place
        });
        let store =
            Store { dir, device: device.to_owned(), disk, slots, generation, made: made.is_ok(), unsaved: None };
        (store, problems)
    }

    /// What works, or is fallen back on. None on a device that never was registered, and while its very first pair is not
    /// yet proven.
    #[must_use]
    pub fn current(&self) -> Option<&Issued> {
        self.current_at().and_then(|at| self.slot(at)).map(|slot| &slot.issued)
    }

    /// A newer one, to be tried.
    #[must_use]
    pub fn candidate(&self) -> Option<&Issued> {
        self.candidate_at().and_then(|at| self.slot(at)).map(|slot| &slot.issued)
    }

    /// Checks what the server sent for `request` and stores it, durably, as the candidate. The current pair is not touched.
    ///
    /// # Errors
    /// A sentence: why it was refused; then nothing has changed.
    pub fn put(&mut self, request: &Request, certificate: &str, receipt: Receipt) -> Result<Stored, String> {
        let generation = self.generation.saturating_add(1);
        let slot = Slot::new(request, certificate, receipt, &self.device, generation)?;
        let at = self.free_at();
        self.generation = generation;
        if let Some(place) = self.slots.get_mut(at) {
            *place = Place::Ours(Box::new(slot));
        }
        Ok(match self.save() {
            Ok(()) => Stored::Durably,
            Err(why) => Stored::InMemory(why),
        })
    }

    /// An exchange succeeded with the candidate: it is the current one now. Without a candidate nothing happens. If the disk
    /// refuses, see [`Store::unsaved`]; the next start tries the candidate again.
    pub fn promote(&mut self) {
        let Some(at) = self.candidate_at() else { return };
        if let Some(Place::Ours(slot)) = self.slots.get_mut(at) {
            slot.prove();
        }
        // What fails stands in `unsaved`.
        let _ = self.save();
    }

    /// The candidate was refused: the current one goes on. False, and nothing happens, if it is the only pair there is: the
    /// server would not give another one to the registration certificate, and takes this one for a renewal.
    pub fn discard(&mut self) -> bool {
        let (Some(at), Some(_)) = (self.candidate_at(), self.current_at()) else { return false };
        let written = self.slot(at).is_some_and(|slot| !slot.dirty);
        if let Some(place) = self.slots.get_mut(at) {
            *place = Place::Free(0, 0);
        }
        // If it never got there, the file is an older pair's, which a full disk may still need. What stays on disk is tried,
        // and refused, once more at the next start.
        if let (true, Some(path)) = (written, slot::paths(&self.dir).get(at)) {
            let _ = self.disk.remove(path).and_then(|()| self.disk.sync_dir(&self.dir));
        }
        let _ = self.save();
        true
    }

    /// Writes what the disk refused before.
    ///
    /// # Errors
    /// It refuses again; a sentence.
    pub fn save(&mut self) -> Result<(), String> {
        let saved = self.try_save();
        self.unsaved = saved.as_ref().err().cloned();
        saved
    }

    fn try_save(&mut self) -> Result<(), String> {
        let said = |path: &Path, why: std::io::Error| {
            format!(
                "{} cannot be written: {why}; the device's certificate is in memory only and is lost at a restart; make room",
                path.display()
            )
        };
        if !self.made {
            make(self.disk.as_ref(), &self.dir).map_err(|why| said(&self.dir, why))?;
            self.made = true;
        }
        let paths = slot::paths(&self.dir);
        // The current one first: a slot may only be overwritten once the other is known, on disk, to be good.
        for at in [self.current_at(), self.candidate_at()].into_iter().flatten() {
            let (Some(Place::Ours(slot)), Some(path)) = (self.slots.get_mut(at), paths.get(at)) else { continue };
            if slot.dirty {
                slot.save(self.disk.as_ref(), path).map_err(|why| said(path, why))?;
            }
        }
        Ok(())
    }

    /// Why the newest is not on disk, if it is not.
    #[must_use]
    pub fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    /// Whether a pair could be stored now: writes and removes a file of its size. For the moment before the very first
    /// registration, whose answer cannot be had again.
    ///
    /// # Errors
    /// A sentence.
    pub fn probe(&self) -> Result<(), String> {
        const ROOM: usize = 16 * 1024;
        let path = self.dir.join(".probe.tmp");
        let tried = make(self.disk.as_ref(), &self.dir).and_then(|()| self.disk.write_synced(&path, &[b' '; ROOM]));
        let removed = self.disk.remove(&path);
        tried.and(removed).map_err(|why| {
            format!(
                "{} cannot be written: {why}; the device does not register until it can keep its certificate",
                self.dir.display()
            )
        })
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        self.slots.get(at).and_then(Place::ours)
    }

    /// Every slot of ours: where, generation, proven.
    fn ours(&self) -> impl Iterator<Item = (usize, u64, bool)> {
        let all = self.slots.iter().enumerate();
        all.filter_map(|(at, place)| place.ours().map(|slot| (at, slot.issued.generation, slot.issued.proven)))
    }

    fn current_at(&self) -> Option<usize> {
        let proven = self.ours().filter(|(_, _, proven)| *proven).max_by_key(|(_, generation, _)| *generation);
        let older = || self.ours().min_by_key(|(_, generation, _)| *generation).filter(|_| self.ours().count() > 1);
        proven.or_else(older).map(|(at, ..)| at)
    }

    fn candidate_at(&self) -> Option<usize> {
        let current = self.current_at().and_then(|at| self.slot(at)).map_or(0, |slot| slot.issued.generation);
        self.ours().find(|(_, generation, proven)| !proven && *generation > current).map(|(at, ..)| at)
    }

    /// The slot that a new pair goes into: never the current one's, nor that of the only pair.
    fn free_at(&self) -> usize {
        let only = || self.ours().next().map(|(at, ..)| at);
        match self.current_at().or_else(only) {
            Some(taken) => 1 - taken,
            None => {
                let worth = |at: &usize| match self.slots.get(*at) {
                    Some(Place::Free(kind, generation)) => (*kind, *generation),
                    _ => (u8::MAX, u64::MAX),
                };
                usize::from(worth(&1) < worth(&0))
            }
        }
    }
}

/// Makes the directory, durably.
fn make(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    disk.make_dir(dir)?;
    disk.sync_dir(dir.parent().unwrap_or(Path::new(".")))
}

impl std::fmt::Debug for Store {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Store")
            .field("dir", &self.dir)
            .field("device", &self.device)
            .field("current", &self.current())
            .field("candidate", &self.candidate())
            .field("unsaved", &self.unsaved)
            .finish_non_exhaustive()
    }
}
