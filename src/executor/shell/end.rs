//! The end of a run: noticed, found out, told.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::run::{Exit, RunSpec};
use super::run_dir::RunDir;
use super::table::{Live, Standing};
use super::{Inner, tree};
use crate::executor::{End, ExecutorEvent, Handle};
use crate::model::time::Wall;

/// How often what a killed shim left behind is killed (it may be forking), and how long after each time.
const KILL_ROUNDS: u32 = 100;
const KILL_PAUSE: Duration = Duration::from_millis(20);

/// Hears of the end of a run, in a task of its own: no polling. The task does not keep the executor alive.
pub(super) fn watch(inner: &Arc<Inner>, handle: Handle, live: Arc<Live>) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        wait_for(&live.pidfd).await;
        let Some(inner) = inner.upgrade() else { return };
        let dir = RunDir::of(&inner.runs_dir, &handle.0);
        let end = match dir.spec() {
            Some(spec) => find_out(&inner, &handle, &dir, &spec).await,
            None => {
                kill_remains(&handle, &dir).await;
                dir.exit().map_or_else(|| gone((inner.clock)()), |exit| to_end(exit, dir.tail()))
            }
        };
        let changed = {
            let mut table = inner.table.lock();
            table.get_mut(&handle).and_then(|entry| {
                entry.standing = Standing::Ended(end.clone());
                entry.instance(&handle)
            })
        };
        live.end.send_replace(Some(end));
        if let Some(instance) = changed {
            // Nobody listens any more: the agent ends.
            let _ = inner.events.send(ExecutorEvent::Changed(instance)).await;
        }
    });
}

/// How a run ended whose shim is no more; nothing of it runs when this returns.
pub(super) async fn find_out(inner: &Inner, handle: &Handle, dir: &RunDir, spec: &RunSpec) -> End {
    let exit = match dir.exit() {
        Some(exit) => exit,
        None => {
            let cut_off = spec.boot_id != inner.boot_id;
            if !cut_off {
                kill_remains(handle, dir).await;
            }
            let how = if cut_off { "cut off by a restart of the machine" } else { "its parent process was killed" };
            let at_ms = (inner.clock)().0;
            let exit =
                Exit { code: None, at_ms, how: how.to_owned(), cut_off, stopped: false, output_dropped_bytes: 0 };
            if let Err(why) = dir.write_exit(&exit) {
                tracing::warn!(run = %handle.0, %why, "the end of a run cannot be written down");
            }
            exit
        }
    };
    if exit.output_dropped_bytes > 0 {
        let bytes = exit.output_dropped_bytes;
        tracing::warn!(run = %handle.0, bytes, "output of a run could not be written: is the disk full?");
    }
    to_end(exit, dir.tail())
}

/// Kills what a shim left behind.
pub(super) async fn kill_remains(handle: &Handle, dir: &RunDir) {
    let started = dir.started();
    for _ in 0..KILL_ROUNDS {
        if tree::kill_remains(&handle.0, started.as_ref()) == 0 {
            return;
        }
        tokio::time::sleep(KILL_PAUSE).await;
    }
    tracing::warn!(run = %handle.0, "processes of a run cannot be killed");
}

/// Waits for the end of a process, and reaps it if it is a child of ours (an adopted one is not).
pub(super) async fn wait_for(pidfd: &OwnedFd) {
    // Deprecated because a descriptor could be closed under it; this one is borrowed for as long, which the type shows.
    #[allow(deprecated, reason = "its successor is an unsafe fn")]
    let watched = AsyncFd::with_interest(pidfd.as_fd(), Interest::READABLE);
    match watched {
        Ok(fd) => drop(fd.readable().await),
        Err(why) => {
            // Out of memory or watches: slower, but no end is missed.
            tracing::warn!(%why, "a run is watched by asking once a second");
            while !has_ended(pidfd) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut fds, Some(&now)), Ok(0) | Err(rustix::io::Errno::INTR))
}

/// Of a run that nothing is known of.
pub(super) fn gone(at: Wall) -> End {
    let how = "it is gone, and nobody wrote down how it ended".to_owned();
    End { code: None, at, how, tail: String::new(), cut_off: false, stopped: true }
}

fn to_end(exit: Exit, tail: String) -> End {
    End { code: exit.code, at: Wall(exit.at_ms), how: exit.how, tail, cut_off: exit.cut_off, stopped: exit.stopped }
}

/// The boot we are in; empty where the kernel does not say: then all runs are of this boot.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
