//! Saving without waiting: a thread that writes the newest value of each object, at most once a second, and goes on trying
//! when the disk is full.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use crate::clock;
use crate::model::time::Mono;

use super::object::{forget_previous, seal, store_sealed};

/// An object is written at most this often (SPEC "Scheduler").
pub const SPACING: Duration = Duration::from_secs(1);
/// The first wait after a write failed; doubled up to [`LAST_RETRY`].
pub const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait between tries.
pub const LAST_RETRY: Duration = Duration::from_secs(60);

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects written.
    pub writes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Values that a newer one replaced before they were written.
    pub coalesced: u64,
}

/// Says what is wrong with the disk (a sentence), or that it is well again.
pub type Report = Box<dyn Fn(Option<String>) + Send>;

/// Saves objects by and by.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A [`Saver`]'s other hand: for a part of the agent that has objects of its own. What comes after the saver's end is lost.
#[derive(Clone, Debug)]
pub struct Saves {
    shared: Arc<Shared>,
}

impl Saves {
    /// As [`Saver::save`].
    pub fn save<T: Serialize>(&self, name: &str, object: &T) {
        self.shared.save(name, object);
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    objects: BTreeMap<String, Object>,
    ending: bool,
    failing: Option<Failing>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Object {
    due: Option<Vec<u8>>,
    /// The generation before what is due must not stay.
    alone: bool,
    written: Option<Vec<u8>>,
    at: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    until: Mono,
    wait: Duration,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save<T: Serialize>(&self, name: &str, object: &T) {
        let bytes = match seal(object) {
            Ok(bytes) => bytes,
            Err(why) => {
                tracing::error!(object = name, "cannot be written as JSON: {why}");
                return;
            }
        };
        let mut queue = self.queue();
        let entry = queue.objects.entry(name.to_owned()).or_default();
        let coalesced = u64::from(entry.due.is_some());
        entry.due = if entry.written.as_ref() == Some(&bytes) { None } else { Some(bytes) };
        queue.counts.coalesced = queue.counts.coalesced.saturating_add(coalesced);
        drop(queue);
        self.rung.notify_one();
    }
}

impl Saver {
    /// Saves into this directory. `report` is called from the saver's own thread.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(dir: PathBuf, report: Report) -> std::io::Result<Saver> {
        let shared = Arc::new(Shared { queue: Mutex::default(), rung: Condvar::new() });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("state".into())
            .stack_size(256 * 1024)
            .spawn(move || run(&of_thread, &dir, &report))?;
        Ok(Saver { shared, thread: Some(thread) })
    }

    /// Hands over the newest value of an object. Returns at once; equal to what is on disk: nothing is written.
    pub fn save<T: Serialize>(&self, name: &str, object: &T) {
        self.shared.save(name, object);
    }

    /// As [`Saver::save`], and the generation before is removed: what it holds is nobody's any more.
    pub fn save_alone<T: Serialize>(&self, name: &str, object: &T) {
        self.shared.queue().objects.entry(name.to_owned()).or_default().alone = true;
        self.shared.save(name, object);
    }

    /// For another part of the agent.
    #[must_use]
    pub fn hand(&self) -> Saves {
        Saves { shared: self.shared.clone() }
    }

    /// What was written.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.queue().counts
    }

    #[cfg(test)]
    pub(super) fn shared_for_tests(&self) -> impl FnOnce() -> Counts + use<> {
        let shared = self.shared.clone();
        move || shared.queue().counts
    }

    /// Writes what is due, without spacing, and ends. A disk that refuses is not waited for.
    pub fn end(mut self) {
        self.shared.queue().ending = true;
        self.shared.rung.notify_one();
        if let Some(thread) = self.thread.take() {
            // Only a panic makes it fail, and that was printed.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, dir: &std::path::Path, report: &Report) {
    let mut queue = shared.queue();
    loop {
        let now = clock::mono();
        match next(&queue, now) {
            Next::Write(name) => {
                let Some(object) = queue.objects.get_mut(&name) else { continue };
                let Some(bytes) = object.due.take() else { continue };
                let alone = std::mem::take(&mut object.alone);
                drop(queue);
                let result = store_sealed(dir, &name, &bytes)
                    .and_then(|()| if alone { forget_previous(dir, &name) } else { Ok(()) });
                queue = shared.queue();
                let failed = result.is_err();
                if let Some(object) = queue.objects.get_mut(&name) {
                    object.alone |= alone && failed;
                }
                settle(&mut queue, &name, bytes, result, report);
                if failed && queue.ending {
                    return;
                }
            }
            Next::Wait(Some(wait)) => {
                queue = shared.rung.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
            Next::Wait(None) if queue.ending => return,
            Next::Wait(None) => queue = shared.rung.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

enum Next {
    Write(String),
    Wait(Option<Duration>),
}

fn next(queue: &Queue, now: Mono) -> Next {
    let mut soonest: Option<Duration> = None;
    for (name, object) in queue.objects.iter().filter(|(_, object)| object.due.is_some()) {
        let spaced = object.at.map_or(Mono(0), |at| at.plus(SPACING));
        let due = queue.failing.map_or(spaced, |failing| failing.until.max(spaced));
        if due <= now || queue.ending {
            return Next::Write(name.clone());
        }
        let wait = due.since(now);
        soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
    }
    Next::Wait(soonest)
}

fn settle(queue: &mut Queue, name: &str, bytes: Vec<u8>, result: std::io::Result<()>, report: &Report) {
    let now = clock::mono();
    let Some(object) = queue.objects.get_mut(name) else { return };
    object.at = Some(now);
    match result {
        Ok(()) => {
            queue.counts.writes = queue.counts.writes.saturating_add(1);
            queue.counts.bytes = queue.counts.bytes.saturating_add(bytes.len() as u64);
            if object.due.as_ref() == Some(&bytes) {
                object.due = None;
            }
            object.written = Some(bytes);
            if queue.failing.take().is_some() {
                report(None);
            }
        }
        Err(why) => {
            queue.counts.failures = queue.counts.failures.saturating_add(1);
            // A newer value may have come meanwhile.
            object.due.get_or_insert(bytes);
            let wait = queue.failing.map_or(FIRST_RETRY, |failing| (failing.wait * 2).min(LAST_RETRY));
            queue.failing = Some(Failing { until: now.plus(wait), wait });
            report(Some(format!(
                "{name} cannot be written: {why}; the agent goes on from memory and tries again in {} s; make room, or the changes since are lost at a restart",
                wait.as_secs()
            )));
        }
    }
}
