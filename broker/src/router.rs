//! Who gets a message: the filters of all sessions, and the mailboxes behind them. No lock and no I/O of its own: the
//! hub's lock orders what happens here.
//!
//! What another router would have to do: give out session numbers, hold their filters, and put each message into the
//! mailbox of every session that matches, once, at the highest QoS that its filters allow.

use std::sync::Arc;

use slab::Slab;

use crate::budget::Budget;
use crate::index::Index;
use crate::letter::{Letter, Post};
use crate::mailbox::Mailbox;

/// A session, as the index knows it.
pub(crate) type Number = u32;

#[derive(Debug)]
pub(crate) struct Router {
    index: Index,
    boxes: Slab<Arc<Mailbox>>,
    budget: Arc<Budget>,
    /// Of one message; kept for its memory.
    hits: Vec<(Number, u8)>,
}

/// What became of a message.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// Messages lost by clients that are too slow.
    pub lost: u64,
    /// A mailbox that publishers should wait for.
    pub congested: Option<Arc<Mailbox>>,
}

impl Router {
    pub fn new(budget: Arc<Budget>) -> Self {
        Router { index: Index::default(), boxes: Slab::new(), budget, hits: Vec::new() }
    }

    /// A number and a mailbox for a session that subscribes to something.
    pub fn join(&mut self) -> (Number, Arc<Mailbox>) {
        let mailbox = Mailbox::new(&self.budget);
        let number = self.boxes.insert(mailbox.clone());
        // Sessions are bounded by far less than 2^32.
        (Number::try_from(number).unwrap_or(Number::MAX), mailbox)
    }

    /// The session is over. Its filters have been removed.
    pub fn leave(&mut self, number: Number) {
        self.boxes.try_remove(number as usize);
    }

    /// Adds a filter of a session, or changes its QoS.
    pub fn subscribe(&mut self, filter: &str, number: Number, qos: u8) {
        self.index.insert(filter, number, qos);
    }

    pub fn unsubscribe(&mut self, filter: &str, number: Number) {
        self.index.remove(filter, number);
    }

    /// Filters of all sessions, and what they cost in bytes.
    pub fn subscriptions(&self) -> (usize, usize) {
        (self.index.len(), self.index.bytes())
    }

    /// Messages that wait in mailboxes, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        self.budget.used()
    }

    /// Whether somebody listens to a topic of this name, or below it.
    pub fn has_listeners_below(&self, level: &str) -> bool {
        self.index.has_below(level)
    }

    /// Puts a message into the mailboxes of those who subscribed.
    pub fn spread(&mut self, topic: &str, payload: &[u8], qos: u8) -> Spread {
        let Router { index, boxes, hits, .. } = self;
        let mut spread = Spread::default();
        hits.clear();
        index.matching(topic, &mut |number, qos| hits.push((number, qos)));
        if hits.is_empty() {
            return spread;
        }
        if hits.len() > 1 {
            // The highest QoS of a session first: that one stays.
            hits.sort_unstable_by_key(|&(number, qos)| (number, std::cmp::Reverse(qos)));
            hits.dedup_by_key(|(number, _)| *number);
        }
        let letter = Letter::new(topic, payload);
        for &(number, granted) in hits.iter() {
            let Some(mailbox) = boxes.get(number as usize) else { continue };
            let put = mailbox.put(Post { letter: letter.clone(), qos: qos.min(granted), retain: false });
            spread.lost = spread.lost.saturating_add(put.lost);
            if put.congested && spread.congested.is_none() {
                spread.congested = Some(mailbox.clone());
            }
        }
        spread
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::Limits;

    #[test]
    fn overlapping_filters_get_one_copy_at_the_highest_qos() {
        let mut router = Router::new(Budget::new(&Limits::default()));
        let (one, mailbox) = router.join();
        for (filter, qos) in [("a/+", 0), ("a/b", 1), ("#", 0)] {
            router.subscribe(filter, one, qos);
        }
        router.spread("a/b", b"x", 2);
        router.spread("a/c", b"x", 1);
        let mut held = VecDeque::new();
        mailbox.take(10, usize::MAX, &mut held);
        assert_eq!(held.iter().map(|post| post.qos).collect::<Vec<_>>(), [1, 0]);
    }
}
