//! What all mailboxes may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::Limits;

/// What a mailbox may hold however little is left of the budget. (A single message may be larger, until the budget is
/// exceeded twice.)
const LEAST: usize = 4 * 1024;

/// What all mailboxes may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What one mailbox may hold while there is room.
    pub each: usize,
    all: usize,
    used: AtomicUsize,
    messages: AtomicUsize,
    pub boxes: AtomicUsize,
}

impl Budget {
    pub fn new(limits: &Limits) -> Arc<Self> {
        let none = || AtomicUsize::new(0);
        let (each, all) = (limits.queue_bytes, limits.queues_bytes);
        Arc::new(Budget { each, all, used: none(), messages: none(), boxes: none() })
    }

    /// Messages in all mailboxes, and their bytes.
    pub fn used(&self) -> (usize, usize) {
        (self.messages.load(Relaxed), self.used.load(Relaxed))
    }

    pub fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Relaxed);
        self.messages.fetch_add(1, Relaxed);
    }

    pub fn give_back(&self, messages: usize, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        self.messages.fetch_sub(messages, Relaxed);
    }

    /// What one mailbox may hold now.
    pub fn allowance(&self) -> usize {
        if self.used.load(Relaxed) < self.all {
            return self.each;
        }
        (self.all / self.boxes.load(Relaxed).max(1)).clamp(LEAST, self.each.max(LEAST))
    }

    /// Whether an empty mailbox may hold a message of this cost.
    pub fn has_room(&self, cost: usize, allowance: usize) -> bool {
        let used = self.used.load(Relaxed);
        cost <= allowance || (cost <= self.each && used.saturating_add(cost) <= self.all.saturating_mul(2))
    }
}
