//! What a server's configuration, or the EdgeDevice, wants mounted on the device.
//!
//! ```text
//!  wanted ─► wish (pure: is it allowed, what is it) ─► next (pure: is it there, is its device there) ─► carry (mount)
//!            mountinfo, /dev (inotify; nothing polls) ─►┘                └─► Awaited: what uses a path there waits
//! ```
//! One task, which waits for no server ([`program`]); it looks when the wishes, the mounts or the paths that are awaited change, and every 30 s. Nothing is unmounted,
//! but for what is left of a device that is gone, when it is to be mounted again.

mod carry;
mod next;
mod options;
mod program;
mod table;
mod wish;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};

use self::next::{Next, next};
use self::program::Programs;
use self::table::Table;
use self::wish::Wish;
use crate::board::Board;
use crate::model::mount::{Awaited, Wanted};
use crate::model::policy::Policy;
use crate::model::problem::Problem;
use crate::path_watch::{PathWatch, nearest};
use crate::readiness::exceptional;

/// What no event told is found by a look, this often; what failed is tried again.
const LOOK: Duration = Duration::from_secs(30);
/// Containers mount a lot: of many changes at once there is one look.
const QUIET: Duration = Duration::from_millis(50);
/// More are not carried out.
const WISHES_MAX: usize = 256;
const MOUNTINFO: &str = "/proc/self/mountinfo";
/// Whose problems these are.
const PART: &str = "mounts";

/// How others reach it.
#[derive(Debug)]
pub struct Mounts {
    policy: Policy,
    wanted: Mutex<Vec<Wanted>>,
    changed: Notify,
    awaited: watch::Sender<Awaited>,
}

impl Mounts {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(policy: Policy) -> Arc<Mounts> {
        Arc::new(Mounts { policy, wanted: Mutex::default(), changed: Notify::new(), awaited: watch::Sender::default() })
    }

    /// What is awaited.
    #[must_use]
    pub fn awaited(&self) -> watch::Receiver<Awaited> {
        self.awaited.subscribe()
    }

    /// From now on this is wanted. What is not there yet is awaited from here on.
    pub fn want(&self, wanted: Vec<Wanted>) {
        let mut now = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == wanted {
            return;
        }
        let (wishes, _) = self.wishes(&wanted);
        let table = Table::read(&read_mounts());
        let before = self.awaited.borrow().clone();
        // Without links: so is what a pod uses looked at, and so the kernel lists its mounts.
        let placed = wishes.iter().map(|wish| (nearest(&wish.directory), wish));
        let awaited = placed.filter(|(directory, _)| table.on(directory).is_none()).map(|(directory, wish)| {
            let why = before.at(&directory).map_or_else(|| format!("{} is being mounted", wish.shown()), str::to_owned);
            (directory, why)
        });
        self.awaited.send_replace(Awaited::of(awaited));
        *now = wanted;
        drop(now);
        self.changed.notify_one();
    }

    /// What can be carried out, and why the rest cannot. Of two on the same directory the first one counts.
    fn wishes(&self, wanted: &[Wanted]) -> (Vec<Wish>, Vec<Problem>) {
        let (mut wishes, mut problems): (Vec<Wish>, Vec<Problem>) = (Vec::new(), Vec::new());
        if let Some(last) = wanted.get(WISHES_MAX..).and_then(<[Wanted]>::last) {
            let message =
                format!("more than {WISHES_MAX} mounts: the last {} are not carried out", wanted.len() - WISHES_MAX);
            problems.push(Problem::new(place(last.remote), message));
        }
        for wanted in wanted.iter().take(WISHES_MAX) {
            let place = place(wanted.remote);
            match Wish::read(wanted, &self.policy) {
                Ok(wish) if wishes.iter().any(|other| other.directory == wish.directory) => {
                    let message = format!("{}: something else is mounted there already by another entry", wish.shown());
                    problems.push(Problem::new(place, message));
                }
                Ok(wish) => wishes.push(wish),
                Err(why) => problems.push(Problem::new(place, why)),
            }
        }
        (wishes, problems)
    }

    /// Carries it out, for ever. Needs a tokio runtime.
    pub async fn run(self: Arc<Mounts>, board: Arc<Board>) {
        let mut paths = PathWatch::new();
        let mut table = changes();
        let mut programs = Programs::default();
        let _ = tokio::task::spawn_blocking(carry::sweep).await;
        loop {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (wishes, mut problems) = self.wishes(&wanted);
            paths.follow(wishes.iter().filter_map(Wish::awaited));
            programs.keep(|mount| wishes.iter().any(|wish| wish.mount == *mount));
            let mut awaited = Vec::new();
            for wish in wishes {
                let why = match self.carry(&wish).await {
                    Ok(Done::There) => continue,
                    Ok(Done::ByProgram(directory)) => programs.mount(&wish, &directory),
                    Err(why) => why,
                };
                let why = format!("{} is awaited: {why}", wish.shown());
                problems.push(Problem::new(place(wish.remote), format!("{why}; what uses a path there waits")));
                awaited.push((nearest(&wish.directory), why));
            }
            let awaited = Awaited::of(awaited);
            self.tell(&wanted, awaited);
            board.set_problems(PART, problems);
            let idle = wanted.is_empty();
            tokio::select! {
                () = self.changed.notified() => continue,
                () = programs.ended() => {}
                () = paths.changed(), if !idle => {}
                () = table_changed(&mut table), if !idle => {}
                () = tokio::time::sleep(LOOK), if !idle => {}
            }
            tokio::time::sleep(QUIET).await;
        }
    }

    /// What is awaited now, unless something else is wanted by now: then the next round says it.
    fn tell(&self, of: &[Wanted], awaited: Awaited) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *wanted != of {
            return;
        }
        self.awaited.send_if_modified(|before| {
            let changed = *before != awaited;
            *before = awaited;
            changed
        });
    }

    /// Mounts one unless it is there; why it is not.
    async fn carry(&self, wish: &Wish) -> Result<Done, String> {
        let (policy, wish) = (self.policy.clone(), wish.clone());
        // A disk may take its time.
        let done = tokio::task::spawn_blocking(move || {
            let facts = carry::look(&wish, &Table::read(&read_mounts()));
            let stale = match next(&wish, &facts, &policy) {
                Next::There => return Ok(Done::There),
                Next::Wait(why) => return Err(why),
                Next::Mount { stale } => stale,
            };
            if stale {
                carry::detach(&facts.directory);
            }
            match wish.of_network() {
                Some(_) => Ok(Done::ByProgram(facts.directory)),
                None => carry::mount(&wish, &facts).map(|()| Done::There),
            }
        });
        done.await.unwrap_or_else(|why| Err(format!("an error of the agent itself, please report it: {why}")))
    }
}

/// What came of one.
enum Done {
    /// It is mounted.
    There,
    /// A program has to mount it, on this directory.
    ByProgram(PathBuf),
}

fn place(remote: bool) -> &'static str {
    if remote { "server: configuration.mounts" } else { "manifests: EdgeDevice spec.mounts" }
}

fn read_mounts() -> String {
    std::fs::read(MOUNTINFO).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The kernel tells changes of the mounts by an exception on this file.
fn changes() -> Option<AsyncFd<OwnedFd>> {
    File::open(MOUNTINFO).and_then(|file| exceptional(file.into())).ok()
}

async fn table_changed(table: &mut Option<AsyncFd<OwnedFd>>) {
    let told = match table {
        Some(fd) => match fd.ready(tokio::io::Interest::PRIORITY).await {
            Ok(mut ready) => {
                ready.clear_ready();
                true
            }
            Err(_) => false,
        },
        None => std::future::pending().await,
    };
    if !told {
        *table = None;
    }
}
