//! Saving without waiting: a thread that does what [`Saving`] says. It decides nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;

use crate::clock;

use super::disk::{Disk, RealDisk};
use super::object::sealed;
use super::saving::{Counts, Next, Report, Saving, Ticket};

/// Told what is wrong with the disk (a sentence), or that it is well again.
pub type OnReport = Box<dyn Fn(Option<String>) + Send>;
/// Told that an object is on disk, or why it is not.
type Teller = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Saves objects by and by: [`Saves`], and the thread behind it.
#[derive(Debug)]
pub struct Saver {
    hand: Saves,
    thread: Option<JoinHandle<()>>,
}

impl std::ops::Deref for Saver {
    type Target = Saves;

    fn deref(&self) -> &Saves {
        &self.hand
    }
}

/// Where objects are handed over; one for each part of the agent that has objects of its own. What comes after the
/// [`Saver`]'s end is lost.
#[derive(Clone, Debug)]
pub struct Saves {
    shared: Arc<Shared>,
}

impl Saves {
    /// Hands over the newest value of an object. Returns at once; equal to what is on disk: nothing is written.
    pub fn save<T: Serialize>(&self, name: &str, object: &T) {
        self.shared.save(name, object, false);
    }

    /// As [`Saves::save`], and the generation before is removed: what it holds is nobody's any more.
    pub fn save_alone<T: Serialize>(&self, name: &str, object: &T) {
        self.shared.save(name, object, true);
    }

    /// As [`Saves::save`], at once, and `tell` is told when this value, or a newer one, is on disk, or why it is not: it is
    /// due all the same. `tell` is called from the saver's thread and must not wait.
    pub fn save_and_tell<T: Serialize>(
        &self,
        name: &str,
        object: &T,
        tell: impl FnOnce(Result<(), String>) + Send + 'static,
    ) {
        self.shared.save_and_tell(name, object, Box::new(tell));
    }

    /// What was written.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.queue().saving.counts()
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    rung: Condvar,
}

#[derive(Default)]
struct Queue {
    saving: Saving,
    tellers: BTreeMap<Ticket, Teller>,
    /// The thread is gone.
    ended: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("saving", &self.saving).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save<T: Serialize>(&self, name: &str, object: &T, alone: bool) {
        match sealed(name, object) {
            Ok(bytes) => {
                self.queue().saving.save(name, bytes, alone);
                self.rung.notify_one();
            }
            Err(why) => tracing::error!(object = name, "cannot be stored: {why}"),
        }
    }

    fn save_and_tell<T: Serialize>(&self, name: &str, object: &T, tell: Teller) {
        let bytes = match sealed(name, object) {
            Ok(bytes) => bytes,
            Err(why) => return tell(Err(format!("{name} cannot be stored: {why}"))),
        };
        let mut queue = self.queue();
        if queue.ended {
            drop(queue);
            return tell(Err(format!("{name} is not stored: the agent is stopping")));
        }
        let ticket = queue.saving.save_now(name, bytes);
        queue.tellers.insert(ticket, tell);
        drop(queue);
        self.rung.notify_one();
    }
}

impl Saver {
    /// Saves into this directory. `report` is called from the saver's own thread.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(dir: PathBuf, report: OnReport) -> std::io::Result<Saver> {
        Saver::start_on(Box::new(RealDisk), dir, report)
    }

    /// [`Saver::start`] on any disk.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start_on(disk: Box<dyn Disk>, dir: PathBuf, report: OnReport) -> std::io::Result<Saver> {
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("state".into())
            .stack_size(256 * 1024)
            .spawn(move || run(&of_thread, disk.as_ref(), &dir, &report))?;
        Ok(Saver { hand: Saves { shared }, thread: Some(thread) })
    }

    /// For another part of the agent.
    #[must_use]
    pub fn hand(&self) -> Saves {
        self.hand.clone()
    }

    #[cfg(test)]
    pub(super) fn shared_for_tests(&self) -> impl FnOnce() -> Counts + use<> {
        let shared = self.shared.clone();
        move || shared.queue().saving.counts()
    }

    /// Writes what is due, without spacing, and ends. A disk that refuses is not waited for.
    pub fn end(mut self) {
        self.shared.queue().saving.end();
        self.shared.rung.notify_one();
        if let Some(thread) = self.thread.take() {
            // Only a panic makes it fail, and that was printed.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, disk: &dyn Disk, dir: &Path, report: &OnReport) {
    let mut queue = shared.queue();
    loop {
        let told = queue.saving.take_told();
        if !told.is_empty() {
            let tellers: Vec<_> =
                told.into_iter().filter_map(|(ticket, what)| Some((queue.tellers.remove(&ticket)?, what))).collect();
            drop(queue);
            tellers.into_iter().for_each(|(tell, what)| tell(what));
            queue = shared.queue();
            continue;
        }
        let now = clock::mono();
        match queue.saving.next(now) {
            Next::Write(write) => {
                drop(queue);
                let result = write.carry_out(disk, dir);
                queue = shared.queue();
                match queue.saving.settle(&write.name, result, clock::mono()) {
                    Some(Report::Trouble(what)) => report(Some(what)),
                    Some(Report::Well) => report(None),
                    None => {}
                }
            }
            Next::Wait(_) if queue.saving.is_ending() => {
                queue.ended = true;
                return;
            }
            Next::Wait(Some(at)) => {
                queue = shared.rung.wait_timeout(queue, at.since(now)).unwrap_or_else(PoisonError::into_inner).0;
            }
            Next::Wait(None) => queue = shared.rung.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}
