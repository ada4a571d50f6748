//! What of the books survives the agent: counted failures, the next try, the schedules, the last run and its end.
//!
//! Times of the boot-time clock mean nothing after a restart of the machine: then a retry is due at once, as everything
//! is that should run, with the count of failures as it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::executor::ExecutorId;
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::{Mono, Wall};
use crate::model::workload::SpecHash;

use super::book::{Backoff, Book, Seen};
use super::times::Times;

/// The stored object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredBooks {
    /// Which boot the times of the boot-time clock are of.
    #[serde(default)]
    pub boot: String,
    /// By `namespace/name`.
    #[serde(default)]
    pub workloads: BTreeMap<WorkloadId, Memory>,
}

/// What is remembered of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of which version.
    pub hash: SpecHash,
    /// Bad ends and failed operations in a row.
    #[serde(default)]
    pub failures: u32,
    /// Not to be started before.
    #[serde(default)]
    pub until: Option<Mono>,
    /// Why the last start failed.
    #[serde(default)]
    pub error: Option<(Reason, String)>,
    /// The last end that was counted.
    #[serde(default)]
    pub counted: Option<Wall>,
    /// Since when it runs.
    #[serde(default)]
    pub running_since: Option<Mono>,
    /// Of its last end.
    #[serde(default)]
    pub last_exit_code: Option<i32>,
    /// When its last run started.
    #[serde(default)]
    pub last_run: Option<Wall>,
    /// Starts that followed an end of its own.
    #[serde(default)]
    pub restarts: u64,
    /// Its schedule.
    #[serde(default)]
    pub times: Option<Times>,
    /// Which executor has it, or may have.
    #[serde(default)]
    pub by: Option<ExecutorId>,
}

impl Memory {
    /// What there is to remember; `None`: nothing.
    #[must_use]
    pub fn of(book: &Book) -> Option<Memory> {
        let desired = book.desired.as_ref().filter(|_| !Memory::is_nothing(book))?;
        let Backoff { failures, until, error, .. } = &book.backoff;
        Some(Memory {
            hash: desired.hash.clone(),
            failures: *failures,
            until: *until,
            error: error.clone(),
            counted: book.counted,
            running_since: book.running_since,
            last_exit_code: book.last_exit_code,
            last_run: book.last_run,
            restarts: book.restarts,
            times: book.times.clone(),
            by: Memory::by(book),
        })
    }

    /// Of those that may be away when the agent starts.
    fn by(book: &Book) -> Option<ExecutorId> {
        let by = book.instances.iter().find(|seen| seen.runs()).map(|seen: &Seen| seen.by);
        book.uncertain.or(by).filter(|by| matches!(by, ExecutorId::Podman | ExecutorId::PodmanRootless))
    }

    /// Whether this is still all there is to remember. As `Memory::of(book) == Some(self)`, without making one.
    #[must_use]
    pub fn is_of(&self, book: &Book) -> bool {
        book.desired.as_ref().is_some_and(|desired| desired.hash == self.hash)
            && (self.failures, self.until) == (book.backoff.failures, book.backoff.until)
            && (self.counted, self.running_since) == (book.counted, book.running_since)
            && (self.last_exit_code, self.last_run) == (book.last_exit_code, book.last_run)
            && self.restarts == book.restarts
            && self.error == book.backoff.error
            && self.times == book.times
            && self.by == Memory::by(book)
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_nothing(book: &Book) -> bool {
        book.desired.is_none()
            || ((book.backoff.failures, book.backoff.until, book.restarts) == (0, None, 0)
                && (book.counted, book.running_since) == (None, None)
                && (book.last_exit_code, book.last_run) == (None, None)
                && book.backoff.error.is_none()
                && book.times.is_none()
                && Memory::by(book).is_none())
    }

    /// Takes it over into the book of the same workload; `same_boot`: its times still mean something.
    pub fn recall(self, book: &mut Book, same_boot: bool) {
        let Some(desired) = &book.desired else { return };
        if let (Some(cron), Some(times)) = (&desired.cron, self.times)
            && (times.is_of(cron) || times.of.is_empty())
        {
            book.times = Some(times.recalled());
        }
        // It may run there until that executor says otherwise; what ran before a restart of the machine does not.
        book.uncertain = self.by.filter(|by| same_boot && book.executor() != Some(*by)).or(book.uncertain);
        if desired.hash != self.hash {
            return;
        }
        book.backoff.failures = self.failures;
        if same_boot {
            book.backoff.until = self.until;
            book.running_since = self.running_since;
        }
        book.backoff.error = self.error.filter(|_| book.backoff.until.is_some() || book.times.is_some());
        book.counted = self.counted;
        book.last_exit_code = self.last_exit_code;
        book.last_run = self.last_run;
        book.restarts = self.restarts;
    }
}
