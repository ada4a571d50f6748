//! What the saver's thread does, on a simulated disk and with a clock that the test moves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotta_agent::model::time::Mono;
use flotta_agent::state::{Next, Report, Saving, load_on, sealed, tidy};

use super::disk::Sim;

pub const DIR: &str = "/state";

/// An agent's state: objects whose values count up.
pub struct Machine {
    pub disk: Sim,
    pub saving: Saving,
    pub now: Mono,
    /// The newest value of each object that is known to be on disk.
    pub acknowledged: BTreeMap<String, u64>,
    /// The newest value of each object.
    pub newest: BTreeMap<String, u64>,
    pub reports: Vec<Report>,
    /// When each object was tried to be written.
    pub tries: Vec<(String, Mono)>,
}

/// The value in a sealed object.
pub fn value_in(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).expect("text");
    text.lines().nth(1).expect("a second line").parse().expect("a number")
}

pub fn load(disk: &Sim, name: &str) -> Option<u64> {
    let (value, problem) = load_on::<u64>(disk, Path::new(DIR), name);
    assert_eq!(problem, None, "{name}");
    value
}

impl Machine {
    pub fn new(disk: Sim) -> Machine {
        tidy(&disk, Path::new(DIR));
        Machine {
            disk,
            saving: Saving::default(),
            now: Mono(1_000),
            acknowledged: BTreeMap::new(),
            newest: BTreeMap::new(),
            reports: Vec::new(),
            tries: Vec::new(),
        }
    }

    pub fn save(&mut self, name: &str, value: u64) {
        self.newest.insert(name.into(), value);
        self.saving.save(name, sealed(name, &value).expect("sealed"), false);
    }

    pub fn save_alone(&mut self, name: &str, value: u64) {
        self.newest.insert(name.into(), value);
        self.saving.save(name, sealed(name, &value).expect("sealed"), true);
    }

    /// Does what is to be done now; until when there is nothing.
    pub fn work(&mut self) -> Option<Mono> {
        loop {
            match self.saving.next(self.now) {
                Next::Wait(until) => return until,
                Next::Write(write) => {
                    self.tries.push((write.name.clone(), self.now));
                    let result = write.carry_out(&self.disk, Path::new(DIR));
                    if result.is_ok() {
                        let known = self.acknowledged.entry(write.name.clone()).or_default();
                        *known = value_in(&write.bytes).max(*known);
                    }
                    self.reports.extend(self.saving.settle(&write.name, result, self.now));
                }
            }
        }
    }

    pub fn after(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.work();
    }

    /// Goes on until nothing is due.
    pub fn calm_down(&mut self) {
        for _ in 0..1_000 {
            match self.work() {
                Some(until) => self.now = until,
                None => return,
            }
        }
        panic!("it never comes to rest: {:?}", self.saving);
    }

    /// What a disk must hold now.
    pub fn check(&self, disk: &Sim, when: &str) {
        for (name, newest) in &self.newest {
            let found = load(disk, name);
            let least = self.acknowledged.get(name).copied();
            assert!(found >= least && found <= Some(*newest), "{when}: {name} is {found:?}, not {least:?} to {newest}");
        }
    }
}
