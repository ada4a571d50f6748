//! A disk that keeps apart what was written and what was made durable, and loses the rest.
//!
//! What is not fsynced may survive or not: a file's content as it was, torn, as zeros of the new length, or whole; each
//! change of a directory by itself, so that a later one may be there without an earlier one.
//!
//! For unit tests and integration tests: whoever includes this has `Disk` (`flotta_agent::state::Disk`) in scope.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Disk;

mod platter;

use platter::{Change, Names, State, Step, parent};

/// No space left on device.
pub const ENOSPC: i32 = 28;
/// Input/output error.
pub const EIO: i32 = 5;

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done by half, and nothing after it.
    PowerCut,
    /// It fails with this error, by half done; the next one does not.
    OneError(i32),
    /// From here on nothing that needs room is done.
    FullFromHere,
    /// From here on nothing is done, and nothing can be read.
    BrokenFromHere,
}

/// A hand on the disk; clones are of the same one.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<State>>);

impl Sim {
    /// Empty, with a directory.
    pub fn new(dir: &Path) -> Sim {
        let names = Names { files: Default::default(), dirs: [dir.to_path_buf()].into() };
        Sim::of(State { live: names.clone(), durable: names, ..State::default() })
    }

    fn of(state: State) -> Sim {
        Sim(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// What happens at the so-manieth system call from the beginning.
    pub fn at(&self, step: usize, fault: Fault) {
        self.state().faults.push((step, fault));
    }

    /// What happens at the next system call but `after`.
    pub fn soon(&self, after: usize, fault: Fault) {
        let mut state = self.state();
        let step = state.steps + 1 + after;
        state.faults.push((step, fault));
    }

    pub fn steps(&self) -> usize {
        self.state().steps
    }

    /// Bytes that were written to files.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Nothing that needs room is done any more.
    pub fn fill(&self) {
        self.state().full = true;
    }

    /// All is well again.
    pub fn make_room(&self) {
        let mut state = self.state();
        state.full = false;
        state.broken = false;
        state.faults.clear();
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().live.files.keys().cloned().collect()
    }

    /// Changes a file behind everybody's back, durably.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.live.files[path];
        let content = state.content(file);
        change(&mut content.written);
        content.durable = content.written.clone();
    }

    /// The disk after the process was killed: all that was written is there.
    pub fn killed(&self) -> Sim {
        let state = self.state().clone();
        Sim::of(State { faults: Vec::new(), off: false, full: false, broken: false, steps: 0, ..state })
    }

    /// Every disk that may be found when the power is back.
    pub fn survivors(&self) -> Vec<Sim> {
        let state = self.state().clone();
        let mut survivors = Vec::new();
        for chosen in 0_usize..1 << state.pending.len() {
            let keeps = |at: usize| chosen & (1 << at) != 0;
            let unsure = state.names_with(keeps).files.values().any(|file| {
                let content = &state.contents[file];
                content.durable != content.written
            });
            for torn in 0..if unsure { 4 } else { 1 } {
                survivors.push(state.survivor(keeps, |content| {
                    let (written, half) = (&content.written, content.written.len() / 2);
                    match torn {
                        0 => content.durable.clone(),
                        1 => written[..half].to_vec(),
                        2 => vec![0; written.len()],
                        _ => written.clone(),
                    }
                }));
            }
        }
        survivors
    }

    /// One of the disks that may be found when the power is back. `pick(n)` is a number below `n`.
    pub fn survivor(&self, mut pick: impl FnMut(usize) -> usize) -> Sim {
        let state = self.state().clone();
        let kept: Vec<bool> = state.pending.iter().map(|_| pick(2) == 1).collect();
        state.survivor(
            |at| kept[at],
            |content| {
                let written = &content.written;
                match pick(5) {
                    0 => content.durable.clone(),
                    1 => written[..pick(written.len() + 1)].to_vec(),
                    2 => vec![0; written.len()],
                    // Some blocks of it.
                    3 => written
                        .chunks(64)
                        .flat_map(|it| if pick(2) == 1 { it.to_vec() } else { vec![0; it.len()] })
                        .collect(),
                    _ => written.clone(),
                }
            },
        )
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
        if state.broken {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let file = state.live.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.contents[file].written.clone())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().live.files.contains_key(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.live.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.live.files.keys().filter(|path| parent(path) == dir);
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
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
                state.made += 1;
                let file = state.made;
                state.content(file);
                state.change(parent(path), Change::Set(path.to_path_buf(), file))?;
                file
            }
        };
        state.content(file).written.clear();
        if let Step::Half(why) = state.step(true)? {
            state.content(file).written = bytes[..bytes.len() / 3].to_vec();
            return Err(why);
        }
        state.content(file).written = bytes.to_vec();
        state.written += bytes.len() as u64;
        if let Step::Half(why) = state.step(true)? {
            return Err(why);
        }
        state.content(file).durable = bytes.to_vec();
        Ok(())
    }

    /// Needs no room: a directory's block has some.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(false)? {
            return Err(why);
        }
        let file = *state.live.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(parent(to), Change::Move(from.to_path_buf(), to.to_path_buf(), file))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Half(why) = state.step(false)? {
            return Err(why);
        }
        let (synced, waiting): (Vec<_>, Vec<_>) = state.pending.drain(..).partition(|(dir, _)| dir == path);
        state.pending = waiting;
        for (_, change) in synced {
            state.durable.apply(&change);
        }
        state.tidy();
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
