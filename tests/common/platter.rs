//! What is on a simulated disk: contents and names, each as it is and as it would be after a loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{EIO, ENOSPC, Fault, Sim};

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) written: Vec<u8>,
    pub(super) durable: Vec<u8>,
}

#[derive(Clone)]
pub(super) enum Change {
    Set(PathBuf, usize),
    Move(PathBuf, PathBuf, usize),
    Gone(PathBuf),
    Dir(PathBuf),
}

#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) files: BTreeMap<PathBuf, usize>,
    pub(super) dirs: BTreeSet<PathBuf>,
}

impl Names {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Set(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            Change::Move(from, to, file) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
            Change::Gone(path) => {
                self.files.remove(path);
            }
            Change::Dir(path) => {
                self.dirs.insert(path.clone());
            }
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct State {
    /// By a number that never comes again.
    pub(super) contents: BTreeMap<usize, Content>,
    pub(super) made: usize,
    pub(super) live: Names,
    pub(super) durable: Names,
    pub(super) pending: Vec<(PathBuf, Change)>,
    pub(super) steps: usize,
    pub(super) faults: Vec<(usize, Fault)>,
    pub(super) off: bool,
    pub(super) full: bool,
    pub(super) broken: bool,
    pub(super) written: u64,
}

pub(super) enum Step {
    Done,
    /// By half, then the error.
    Half(io::Error),
}

impl State {
    /// Counts a system call and says how it goes.
    pub(super) fn step(&mut self, needs_room: bool) -> io::Result<Step> {
        let error = io::Error::from_raw_os_error;
        if self.off {
            return Err(io::Error::other("no power"));
        }
        self.steps += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == self.steps).map(|(_, fault)| *fault);
        match fault {
            Some(Fault::PowerCut) => {
                self.off = true;
                return Ok(Step::Half(io::Error::other("no power")));
            }
            Some(Fault::OneError(which)) => return Ok(Step::Half(error(which))),
            Some(Fault::FullFromHere) => self.full = true,
            Some(Fault::BrokenFromHere) => self.broken = true,
            None => {}
        }
        if self.broken {
            return Ok(Step::Half(error(EIO)));
        }
        if self.full && needs_room { Ok(Step::Half(error(ENOSPC))) } else { Ok(Step::Done) }
    }

    /// Forgets contents that no name can lead to any more.
    pub(super) fn tidy(&mut self) {
        let pending = self.pending.iter().filter_map(|(_, change)| match change {
            Change::Set(_, file) | Change::Move(_, _, file) => Some(*file),
            Change::Gone(_) | Change::Dir(_) => None,
        });
        let named = self.live.files.values().chain(self.durable.files.values()).copied();
        let used: BTreeSet<usize> = named.chain(pending).collect();
        self.contents.retain(|file, _| used.contains(file));
    }

    pub(super) fn content(&mut self, file: usize) -> &mut Content {
        self.contents.entry(file).or_default()
    }

    /// The disk with these of the pending changes, and each unsynced content as `found` has it.
    pub(super) fn survivor(&self, keeps: impl Fn(usize) -> bool, mut found: impl FnMut(&Content) -> Vec<u8>) -> Sim {
        let names = self.names_with(keeps);
        let settle = |content: &Content| {
            let found = if content.durable == content.written { content.written.clone() } else { found(content) };
            Content { written: found.clone(), durable: found }
        };
        let mut settle = settle;
        let contents = self.contents.iter().map(|(file, content)| (*file, settle(content))).collect();
        let made = self.made;
        let mut state = State { contents, made, live: names.clone(), durable: names, ..State::default() };
        state.tidy();
        Sim::of(state)
    }

    pub(super) fn names_with(&self, keeps: impl Fn(usize) -> bool) -> Names {
        let mut names = self.durable.clone();
        for (at, (_, change)) in self.pending.iter().enumerate() {
            if keeps(at) {
                names.apply(change);
            }
        }
        // A file is only there if its directory is.
        let dirs = names.dirs.clone();
        names.files.retain(|path, _| dirs.contains(parent(path)));
        names
    }

    pub(super) fn change(&mut self, dir: &Path, change: Change) -> io::Result<()> {
        if !self.live.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.live.apply(&change);
        self.pending.push((dir.to_path_buf(), change));
        Ok(())
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().expect("a path in a directory")
}
