//! A disk that keeps apart what was written and what was made durable, and loses the rest.
//!
//! What is not fsynced may survive or not: a file's content as it was, torn, as zeros of the new length, or whole; each
//! change of a directory by itself, so that a later one may be there without an earlier one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::state::object::Disk;

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done by half, and nothing after it.
    PowerCut,
    /// It fails, by half done; the next one does not.
    OneError,
    /// From here on nothing that needs room is done.
    FullFromHere,
}

#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone)]
enum Change {
    Set(PathBuf, usize),
    Move(PathBuf, PathBuf, usize),
    Gone(PathBuf),
    Dir(PathBuf),
}

#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, change: &Change) {
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
struct State {
    contents: Vec<Content>,
    live: Names,
    durable: Names,
    pending: Vec<(PathBuf, Change)>,
    steps: usize,
    faults: Vec<(usize, Fault)>,
    off: bool,
    full: bool,
}

#[derive(Clone)]
pub struct Sim(Arc<Mutex<State>>);

enum Step {
    Done,
    /// By half, then the error.
    Half(io::Error),
}

impl State {
    /// Counts a system call and says how it goes.
    fn step(&mut self, needs_room: bool) -> io::Result<Step> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
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
            Some(Fault::OneError) => return Ok(Step::Half(full())),
            Some(Fault::FullFromHere) => self.full = true,
            None => {}
        }
        if self.full && needs_room { Ok(Step::Half(full())) } else { Ok(Step::Done) }
    }

    fn change(&mut self, dir: &Path, change: Change) -> io::Result<()> {
        if !self.live.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.live.apply(&change);
        self.pending.push((dir.to_path_buf(), change));
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("a path in a directory")
}

impl Sim {
    /// Empty, with a directory.
    pub fn new(dir: &Path) -> Sim {
        let names = Names { files: BTreeMap::new(), dirs: [dir.to_path_buf()].into() };
        Sim::of(State { live: names.clone(), durable: names, ..State::default() })
    }

    fn of(state: State) -> Sim {
        Sim(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    pub fn at(&self, step: usize, fault: Fault) {
        self.state().faults.push((step, fault));
    }

    pub fn steps(&self) -> usize {
        self.state().steps
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    pub fn make_room(&self) {
        let mut state = self.state();
        state.full = false;
        state.faults.clear();
    }

    /// The disk after the process was killed: all that was written is there.
    pub fn killed(&self) -> Sim {
        let state = self.state().clone();
        Sim::of(State { faults: Vec::new(), off: false, full: false, steps: 0, ..state })
    }

    /// Every disk that may be found when the power is back.
    pub fn survivors(&self) -> Vec<Sim> {
        let state = self.state().clone();
        let mut survivors = Vec::new();
        for chosen in 0_usize..1 << state.pending.len() {
            let mut names = state.durable.clone();
            for (at, (_, change)) in state.pending.iter().enumerate() {
                if chosen & (1 << at) != 0 {
                    names.apply(change);
                }
            }
            // A file is only there if its directory is.
            let dirs = names.dirs.clone();
            names.files.retain(|path, _| dirs.contains(parent(path)));
            let unsure = names.files.values().any(|file| {
                let content = &state.contents[*file];
                content.durable != content.written
            });
            for torn in 0..if unsure { 4 } else { 1 } {
                let content = |content: &Content| {
                    let (written, half) = (&content.written, content.written.len() / 2);
                    let found = match torn {
                        0 => content.durable.clone(),
                        1 => written[..half].to_vec(),
                        2 => vec![0; written.len()],
                        _ => written.clone(),
                    };
                    let found = if content.durable == *written { written.clone() } else { found };
                    Content { written: found.clone(), durable: found }
                };
                let contents = state.contents.iter().map(content).collect();
                let names = names.clone();
                survivors.push(Sim::of(State { contents, live: names.clone(), durable: names, ..State::default() }));
            }
        }
        survivors
    }
}

impl Disk for Sim {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.step(true)? {
            Step::Half(why) => return Err(why),
            Step::Done if state.live.dirs.contains(path) => return Ok(()),
            Step::Done => {}
        }
        state.change(parent(path), Change::Dir(path.to_path_buf()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let file = state.live.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.contents[*file].written.clone())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().live.files.contains_key(path)
    }

    /// Three calls: open, write, fsync.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(true)? {
            return Err(why);
        }
        let file = match state.live.files.get(path).copied() {
            Some(file) => file,
            None => {
                state.contents.push(Content::default());
                let file = state.contents.len() - 1;
                state.change(parent(path), Change::Set(path.to_path_buf(), file))?;
                file
            }
        };
        state.contents[file].written.clear();
        if let Step::Half(why) = state.step(true)? {
            state.contents[file].written = bytes[..bytes.len() / 3].to_vec();
            return Err(why);
        }
        state.contents[file].written = bytes.to_vec();
        if let Step::Half(why) = state.step(true)? {
            return Err(why);
        }
        state.contents[file].durable = bytes.to_vec();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(true)? {
            return Err(why);
        }
        let file = *state.live.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(parent(to), Change::Move(from.to_path_buf(), to.to_path_buf(), file))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(true)? {
            return Err(why);
        }
        let (synced, waiting): (Vec<_>, Vec<_>) = state.pending.drain(..).partition(|(dir, _)| dir == path);
        state.pending = waiting;
        for (_, change) in synced {
            state.durable.apply(&change);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(false)? {
            return Err(why);
        }
        if !state.live.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(parent(path), Change::Gone(path.to_path_buf()))
    }
}
