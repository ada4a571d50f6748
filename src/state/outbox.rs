//! What has to be delivered, in order, to somebody who may be away.

use std::collections::VecDeque;

/// An ordered, bounded box of what is not delivered yet.
pub trait Outbox<T> {
    /// Puts something in; its number. A full box drops its oldest entry, and the gap in the numbers declares it.
    fn push(&mut self, item: T) -> u64;
    /// The oldest entries, at most `limit`.
    fn peek(&self, limit: usize) -> Vec<(u64, &T)>;
    /// Everything up to this number is delivered.
    fn acknowledge(&mut self, up_to: u64);
    /// How many were dropped for want of room.
    fn dropped(&self) -> u64;
}

/// An outbox that lives as long as the agent.
#[derive(Debug)]
pub struct MemoryOutbox<T> {
    entries: VecDeque<(u64, T)>,
    limit: usize,
    last: u64,
    dropped: u64,
}

impl<T> MemoryOutbox<T> {
    /// Holds at most `limit` entries, at least one.
    #[must_use]
    pub fn new(limit: usize) -> MemoryOutbox<T> {
        MemoryOutbox { entries: VecDeque::new(), limit: limit.max(1), last: 0, dropped: 0 }
    }
}

impl<T> Outbox<T> for MemoryOutbox<T> {
    fn push(&mut self, item: T) -> u64 {
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.last = self.last.saturating_add(1);
        self.entries.push_back((self.last, item));
        self.last
    }

    fn peek(&self, limit: usize) -> Vec<(u64, &T)> {
        self.entries.iter().take(limit).map(|(seq, item)| (*seq, item)).collect()
    }

    fn acknowledge(&mut self, up_to: u64) {
        while self.entries.front().is_some_and(|(seq, _)| *seq <= up_to) {
            self.entries.pop_front();
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}
