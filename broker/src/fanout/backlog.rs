//! How much the router has been given and has not yet taken.
//!
//! The publisher asks for a *fence* every so often; the router answers fences in order, so an answer means that
//! everything before that fence is out of the publisher's buffer.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

use crate::lock;

/// Bytes in the router's inbox at which clients hold back.
const FULL_BYTES: u64 = 512 * 1024;
/// Bytes between two fences.
const FENCE_BYTES: u64 = 16 * 1024;
/// What a message costs beside its own bytes.
const OVERHEAD_BYTES: u64 = 256;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pushed: AtomicU64,
    passed: AtomicU64,
    /// `pushed` at each fence that is not answered. At most one per [`FENCE_BYTES`] of backlog.
    fences: Mutex<VecDeque<u64>>,
    changed: Notify,
}

impl Backlog {
    /// Counts a message; true when a fence is due after it. Called in the order of the messages.
    pub fn pushed(&self, bytes: usize) -> bool {
        let cost = (bytes as u64).saturating_add(OVERHEAD_BYTES);
        let before = self.pushed.fetch_add(cost, SeqCst);
        let now = before.saturating_add(cost);
        let due = before / FENCE_BYTES != now / FENCE_BYTES;
        if due {
            lock(&self.fences).push_back(now);
        }
        due
    }

    /// A fence was answered.
    pub fn passed(&self) {
        if let Some(at) = lock(&self.fences).pop_front() {
            self.passed.store(at, SeqCst);
            self.changed.notify_waiters();
        }
    }

    pub fn is_full(&self) -> bool {
        self.pushed.load(SeqCst).saturating_sub(self.passed.load(SeqCst)) > FULL_BYTES
    }

    pub async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.is_full() {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_backlog_has_a_fence_under_way_and_room_after_it() {
        let backlog = Backlog::default();
        let mut fences = 0;
        while !backlog.is_full() {
            fences += u32::from(backlog.pushed(1000));
        }
        assert!(fences > 0);
        for _ in 0..fences {
            backlog.passed();
        }
        assert!(!backlog.is_full());
        backlog.room().await;
    }
}
