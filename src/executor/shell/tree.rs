//! Signalling what belongs to a run, and nothing else.
//!
//! A pid may be used again between looking and signalling. So a process is opened first (pidfd), then looked at, and
//! signalled through what was opened: if the look was at a later owner of the pid, the signal reaches nobody.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{proc, run};

/// How many processes one walk visits; beyond, the next walk goes on.
const WALK_MAX: usize = 4096;

/// Opens a process.
#[must_use]
pub fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid).filter(|pid| !pid.is_init())?, PidfdFlags::empty()).ok()
}

/// Signals every descendant of `root` (not `root` itself) that `wanted` picks, parents before their children. Returns
/// how many live ones there were, picked or not.
pub fn signal_descendants(root: i32, signal: Signal, mut wanted: impl FnMut(i32, &proc::Stat) -> bool) -> usize {
    let mut to_visit = vec![root];
    let mut alive: usize = 0;
    let mut visited: usize = 0;
    while let Some(parent) = to_visit.pop() {
        for child in proc::children(parent) {
            if visited >= WALK_MAX {
                return alive;
            }
            visited += 1;
            let Some(fd) = open(child) else { continue };
            let Some(stat) = proc::stat(child).filter(|stat| stat.parent == parent && !stat.zombie) else { continue };
            alive += 1;
            if wanted(child, &stat) {
                // Gone already, or not ours to signal: the next walk shows.
                let _ = pidfd_send_signal(&fd, signal);
            }
            to_visit.push(child);
        }
    }
    alive
}

/// Kills what is left of a run whose shim is gone: its command, and everything with the run's mark in its environment.
/// Returns how many there were; zero: nothing is left.
pub fn kill_remains(handle: &str, started: Option<&run::Started>) -> usize {
    let is_command = |pid: i32| {
        started.is_some_and(|s| s.pid == pid && proc::stat(pid).is_some_and(|stat| stat.start_ticks == s.start_ticks))
    };
    let mut found: usize = 0;
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    for pid in proc::all().filter(|pid| *pid != me) {
        let Some(fd) = open(pid) else { continue };
        if !is_command(pid) && !proc::has_env(pid, run::MARK, handle) {
            continue;
        }
        if proc::stat(pid).is_none_or(|stat| stat.zombie) {
            continue;
        }
        found += 1;
        let _ = pidfd_send_signal(&fd, Signal::KILL);
    }
    found
}
