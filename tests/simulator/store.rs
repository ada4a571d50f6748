//! The agent's state: the real [`Saving`] and the real loading on the simulated disk; and what must be there after a fault.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use flotta_agent::model::time::{Mono, Wall};
use flotta_agent::state::numbers::{Before, Numbers, Reserved};
use flotta_agent::state::{self, Disk, Next, Report, Saving, Ticket, Write, sealed};

use crate::broker::NUMBERS;
use crate::dice::Dice;
use crate::disk::{EIO, Fault, Sim};

/// At most so many objects.
pub const MOST_OBJECTS: usize = 24;
/// A disk that refused is tried again at least this often, and then some.
pub const RECOVERED: u64 = 65_000;
/// Calls that one write makes at most.
const CALLS: u64 = 9;

/// How the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    Full,
    /// One write in so many meets an error.
    Errors(u64),
}

/// What may be found of one object.
#[derive(Clone, Debug, Default)]
struct Promise {
    /// The last one of which was said that it is there; `None`: none was.
    kept: Option<Vec<u8>>,
    /// Those that were begun since.
    begun: Vec<Vec<u8>>,
}

pub struct Store {
    disk: Sim,
    dice: Dice,
    health: Health,
    saving: Saving,
    flying: Option<Write>,
    promises: BTreeMap<String, Promise>,
    /// What was handed over last, and when: it is written soon where the disk is well.
    handed: BTreeMap<String, (Vec<u8>, u64)>,
    /// Since when the disk has been well.
    well_since: u64,
    /// What the agent says about it.
    pub trouble: bool,
    /// Errors that came up.
    pub errors: u64,
}

pub fn dir() -> &'static Path {
    Path::new("/state")
}

/// The content, without its envelope.
fn body(bytes: &[u8]) -> Option<Value> {
    let cut = bytes.iter().position(|byte| *byte == b'\n')?;
    serde_json::from_slice(&bytes[cut + 1..]).ok()
}

impl Store {
    pub fn new(dice: Dice) -> Store {
        Store {
            disk: Sim::new(dir()),
            dice,
            health: Health::Well,
            saving: Saving::default(),
            flying: None,
            promises: BTreeMap::new(),
            handed: BTreeMap::new(),
            well_since: 0,
            trouble: false,
            errors: 0,
        }
    }

    /// Nobody knows any more what the agent had still to write.
    pub fn forget_agent(&mut self) {
        self.saving = Saving::default();
        (self.flying, self.trouble) = (None, false);
        self.handed.clear();
    }

    /// The agent was killed, perhaps in the middle of a write.
    pub fn killed(&mut self) {
        self.cut_off();
        self.disk = self.disk.killed();
        self.set_health(self.health, self.well_since);
        self.forget_agent();
    }

    /// The power went, perhaps in the middle of a write.
    pub fn power_cut(&mut self) {
        self.cut_off();
        let dice = &mut self.dice;
        self.disk = self.disk.survivor(|n| dice.below(n as u64) as usize);
        self.set_health(self.health, self.well_since);
        self.forget_agent();
    }

    fn cut_off(&mut self) {
        if let Some(write) = self.flying.take()
            && !self.disk.is_off()
        {
            self.disk.soon(self.dice.below(CALLS) as usize, Fault::PowerCut);
            // It is cut off, and says so to nobody.
            let _ = write.carry_out(&self.disk, dir());
        }
    }

    pub fn set_health(&mut self, health: Health, now: u64) {
        (self.health, self.well_since) = (health, now);
        self.disk.make_room();
        if health == Health::Full {
            self.disk.fill();
        }
    }

    /// The machine was asleep for so long: nobody could write.
    pub fn slept(&mut self, ms: u64) {
        for (_, at) in self.handed.values_mut() {
            *at += ms;
        }
        self.well_since += ms;
    }

    /// For how long the disk has been well.
    pub fn well_for(&self, now: u64) -> u64 {
        now.saturating_sub(self.well_since)
    }

    pub fn health(&self) -> Health {
        self.health
    }

    /// The power goes at one of the next calls.
    pub fn set_fuse(&mut self) {
        let after = self.dice.below(3 * CALLS) as usize;
        self.disk.soon(after, Fault::PowerCut);
    }

    pub fn save(&mut self, name: &str, bytes: Vec<u8>, alone: bool, now: u64) {
        self.hand(name, &bytes, now);
        self.saving.save(name, bytes, alone);
    }

    pub fn save_now(&mut self, name: &str, bytes: Vec<u8>, now: u64) -> Ticket {
        self.hand(name, &bytes, now);
        self.saving.save_now(name, bytes)
    }

    fn hand(&mut self, name: &str, bytes: &[u8], now: u64) {
        let known = self.handed.get(name).is_some_and(|(handed, _)| handed == bytes);
        if !known {
            self.handed.insert(name.to_owned(), (bytes.to_vec(), now));
        }
    }

    /// What is to be written now, or when to ask again.
    pub fn next(&mut self, now: Mono) -> (bool, Option<Mono>) {
        if self.flying.is_some() {
            return (false, None);
        }
        match self.saving.next(now) {
            Next::Write(write) => {
                self.promises.entry(write.name.clone()).or_default().begun.push(write.bytes.clone());
                self.flying = Some(write);
                (true, None)
            }
            Next::Wait(at) => (false, at),
        }
    }

    /// Carries out what is under way; `false`: the power went in the middle of it.
    pub fn carry_out(&mut self, now: Mono) -> bool {
        let Some(write) = self.flying.clone() else { return true };
        if let Health::Errors(n) = self.health
            && self.dice.one_in(n)
        {
            self.disk.soon(self.dice.below(CALLS) as usize, Fault::OneError(EIO));
        }
        let result = write.carry_out(&self.disk, dir());
        if self.disk.is_off() {
            return false;
        }
        self.errors += u64::from(result.is_err());
        self.flying = None;
        if result.is_ok() {
            self.promises.insert(write.name.clone(), Promise { kept: Some(write.bytes.clone()), begun: Vec::new() });
        }
        match self.saving.settle(&write.name, result, now) {
            Some(Report::Trouble(_)) => self.trouble = true,
            Some(Report::Well) => self.trouble = false,
            None => {}
        }
        true
    }

    /// The power went.
    pub fn is_off(&self) -> bool {
        self.disk.is_off()
    }

    pub fn is_writing(&self) -> bool {
        self.flying.is_some()
    }

    pub fn take_told(&mut self) -> Vec<(Ticket, Result<(), String>)> {
        self.saving.take_told()
    }

    /// From now on nothing waits.
    pub fn end(&mut self) {
        self.saving.end();
    }

    pub fn objects(&self) -> usize {
        self.promises.len().max(self.handed.len())
    }

    /// As `agent::events` does: the numbers of events are reserved before the first one is used.
    pub fn start_numbers(&mut self, wall: Wall) -> Result<Numbers, String> {
        let stored = self.load::<Reserved>(NUMBERS)?;
        let (numbers, reserved) = Numbers::start(Before::Known(stored));
        let bytes = sealed(NUMBERS, &reserved).expect("sealed");
        let promise = self.promises.entry(NUMBERS.to_owned()).or_default();
        promise.begun.push(bytes.clone());
        if self.health == Health::Well && state::store_on(&self.disk, dir(), NUMBERS, &reserved).is_ok() {
            self.promises.insert(NUMBERS.to_owned(), Promise { kept: Some(bytes), begun: Vec::new() });
            return Ok(numbers);
        }
        let (numbers, reserved) = Numbers::start(Before::Doubtful(stored, wall));
        self.saving.save(NUMBERS, sealed(NUMBERS, &reserved).expect("sealed"), false);
        Ok(numbers)
    }

    /// Loads as the agent does, and holds what comes against what was promised.
    pub fn load<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, String> {
        let (found, _) = state::load_on::<Value>(&self.disk, dir(), name);
        let promise = self.promises.entry(name.to_owned()).or_default();
        let begun = |found: &Value| promise.begun.iter().any(|bytes| body(bytes).as_ref() == Some(found));
        match (&promise.kept, &found) {
            (None, None) => {}
            (Some(kept), Some(found)) if body(kept).as_ref() == Some(found) || begun(found) => {}
            (None, Some(found)) if begun(found) => {}
            (kept, found) => {
                let kept = kept.as_deref().and_then(body).map(|kept| kept.to_string());
                let found = found.as_ref().map(ToString::to_string);
                return Err(format!("{name} was stored as {kept:?} and is found as {found:?}"));
            }
        }
        // From here on this is what there is.
        let sealed = found.as_ref().map(|_| self.disk_bytes(name));
        self.promises.insert(name.to_owned(), Promise { kept: sealed.flatten(), begun: Vec::new() });
        Ok(state::load_on::<T>(&self.disk, dir(), name).0)
    }

    fn disk_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let current = self.disk.read(&dir().join(format!("{name}.json"))).ok();
        let readable = current.filter(|bytes| body(bytes).is_some());
        readable.or_else(|| self.disk.read(&dir().join(format!("{name}.json.1"))).ok())
    }

    /// What was handed over a while ago is on disk, where the disk is well: the name of one that is not.
    pub fn late(&self, now: u64, patience: u64) -> Option<String> {
        if self.health != Health::Well || self.well_for(now) < RECOVERED {
            return None;
        }
        let kept = |name: &str| self.promises.get(name).and_then(|promise| promise.kept.as_ref());
        let late = |(name, (bytes, at)): &(&String, &(Vec<u8>, u64))| {
            now.saturating_sub(*at) >= patience && kept(name) != Some(bytes)
        };
        self.handed.iter().find(late).map(|(name, _)| name.clone())
    }
}
