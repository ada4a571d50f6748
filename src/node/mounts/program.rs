//! Mounts of the network, by the program `mount` and its helpers: they may take as long as a server does not answer, and
//! nothing waits for them.
//!
//! The program mounts into a directory of the agent's own, from where it is bound to its place by descriptor: the program is
//! told a path, and whoever may write above the place could lead it elsewhere in the meantime.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

use super::LOOK;
use super::carry;
use super::wish::Wish;
use crate::model::mount::Mount;
use crate::readiness::readable;

/// A file server that does not answer is given up for now.
const PATIENCE: Duration = Duration::from_secs(60);
/// Programs at once; the other mounts of the network wait for one to end.
const AT_ONCE: usize = 8;
/// What is read of what one says.
const SAID_MAX: u64 = 4 << 10;

type Ended = Result<(), String>;

/// Those that run, and those that failed a short while ago.
#[derive(Debug, Default)]
pub(super) struct Programs {
    tasks: JoinSet<Ended>,
    under_way: BTreeMap<PathBuf, Id>,
    failed: BTreeMap<PathBuf, (Mount, String, Instant)>,
}

impl Programs {
    /// Has it mounted, unless that is under way or was tried within [`LOOK`]. Why it is not there yet.
    pub(super) fn mount(&mut self, wish: &Wish, directory: &Path) -> String {
        let last = self.failed.get(directory).filter(|(mount, ..)| *mount == wish.mount);
        let why = last.map_or_else(|| "it is being mounted".to_owned(), |(_, why, _)| why.clone());
        let lately = last.is_some_and(|(.., at)| at.elapsed() < LOOK);
        if lately || self.under_way.contains_key(directory) {
            return why;
        }
        if self.tasks.len() >= AT_ONCE {
            return format!("{AT_ONCE} other mounts of the network are under way");
        }
        let (wish, place) = (wish.clone(), directory.to_owned());
        self.failed.insert(place.clone(), (wish.mount.clone(), why.clone(), Instant::now()));
        let task = self.tasks.spawn(async move { run(&wish, &place).await });
        self.under_way.insert(directory.to_owned(), task.id());
        why
    }

    /// Comes back when one has ended; for ever, if none runs.
    pub(super) async fn ended(&mut self) {
        let (id, ended) = match self.tasks.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok(ended)) => ended,
            Some(Err(why)) => (why.id(), Err(format!("an error of the agent itself, please report it: {why}"))),
        };
        let Some(directory) = self.under_way.iter().find(|(_, of)| **of == id).map(|(at, _)| at.clone()) else {
            return;
        };
        self.under_way.remove(&directory);
        match ended {
            Ok(()) => {
                self.failed.remove(&directory);
            }
            Err(why) => {
                if let Some(failed) = self.failed.get_mut(&directory) {
                    (failed.1, failed.2) = (why, Instant::now());
                }
            }
        }
    }

    /// Forgets what nobody wants any more.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Mount) -> bool) {
        let under_way = &self.under_way;
        self.failed.retain(|directory, (mount, ..)| wanted(mount) || under_way.contains_key(directory));
    }
}

async fn run(wish: &Wish, directory: &Path) -> Ended {
    let error = |why: std::io::Error| format!("the program mount cannot be run: {why}");
    let Some((kind, words)) = wish.of_network() else { return Err("it is no mount of the network".into()) };
    let stage = carry::Stage::new().map_err(|why| format!("{}: {why}", carry::STAGES))?;
    let mut program = Command::new("mount");
    program.args(["-t", kind]);
    if !words.is_empty() {
        program.args(["-o", words]);
    }
    program.arg("--").arg(&wish.mount.device).arg(&stage.directory);
    // A group of its own: its helpers end with it.
    program.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = program.spawn().map_err(error)?;
    let status = Running::of(child).map_err(error)?.end().await?;
    if let Some(said) = status {
        return Err(format!("mount says: {said}"));
    }
    let (wish, directory) = (wish.clone(), directory.to_owned());
    let bound = tokio::task::spawn_blocking(move || carry::bind(&wish, &stage, &directory)).await;
    bound.map_err(|why| format!("an error of the agent itself, please report it: {why}"))?
}

struct Running {
    child: Child,
    pidfd: AsyncFd<OwnedFd>,
    waited_for: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.waited_for {
            // So these are its processes and no other's.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
    }
}

impl Running {
    fn of(mut child: Child) -> std::io::Result<Running> {
        let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK);
        match opened.map_err(std::io::Error::from).and_then(readable) {
            Ok(pidfd) => Ok(Running { child, pidfd, waited_for: false }),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }

    /// Its words, if it failed.
    async fn end(mut self) -> Result<Option<String>, String> {
        let ended = timeout(PATIENCE, self.pidfd.readable()).await.is_ok();
        if !ended {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            // One in the kernel may not end before the server answers: whenever that is.
            tokio::spawn(self.reap());
            return Err(format!("mount has not ended within {} s: does the server answer?", PATIENCE.as_secs()));
        }
        self.waited_for = true;
        let status = self.child.wait().map_err(|why| format!("the program mount cannot be waited for: {why}"))?;
        Ok((!status.success()).then(|| self.child.stderr.take().map(said).unwrap_or_default()))
    }

    async fn reap(mut self) {
        let _ = self.pidfd.readable().await;
        self.waited_for = true;
        let _ = self.child.wait();
    }
}

/// What is there of it; a helper that lives on may hold it open.
fn said(stderr: ChildStderr) -> String {
    let flags = rustix::fs::fcntl_getfl(&stderr).unwrap_or(rustix::fs::OFlags::empty());
    if rustix::fs::fcntl_setfl(&stderr, flags | rustix::fs::OFlags::NONBLOCK).is_err() {
        return String::new();
    }
    let mut words = Vec::new();
    // The end of what is there, too, is an error: WOULDBLOCK.
    let _ = stderr.take(SAID_MAX).read_to_end(&mut words);
    String::from_utf8_lossy(&words).trim().replace('\n', "; ").chars().take(300).collect()
}
