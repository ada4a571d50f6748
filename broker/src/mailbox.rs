//! The messages that wait for one client: a bounded queue. Publishers put in, the client's connection takes out.
//!
//! What happens when a client does not keep up, in this order:
//! 1. its mailbox fills. From half full on it is *congested*: publishers with more to say wait for it, so a client that
//!    only breathes loses nothing;
//! 2. one that has not emptied it to a quarter [`PATIENCE`] later is *slow*: nobody waits for it any more, until it has.
//!    That time runs for all of them at once, so a crowd holds up nobody for longer than one does;
//! 3. a full mailbox loses its oldest messages, which are counted: the newest are those that are true.
//!
//! All mailboxes together have a budget. Beyond it, each may hold its share of it only, and is full with that.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::budget::Budget;
use crate::letter::Post;
use crate::lock;

/// How long publishers wait for a client that has half a mailbox of messages to read.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What became of a message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Put {
    /// Messages that had to go for it, or itself.
    pub lost: u64,
    /// Whether publishers should wait.
    pub congested: bool,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    /// Rung when a message comes into an empty mailbox.
    bell: Notify,
    /// Rung when it is no longer congested.
    emptied: Notify,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Post>,
    bytes: usize,
    /// Messages that ever went out of it.
    gone: u64,
    /// The client is not connected: QoS 0 is not kept for it, and nobody waits.
    away: bool,
    /// Since when it is more than half full, if it has not been emptied since.
    full_since: Option<Instant>,
    slow: bool,
}

impl Inner {
    /// Whether publishers should wait. Notes since when, and when they need not any more.
    fn is_congested(&mut self, allowance: usize) -> bool {
        if self.away || self.slow || self.bytes <= allowance / 2 {
            return false;
        }
        let now = Instant::now();
        self.slow = now >= *self.full_since.get_or_insert(now) + PATIENCE;
        !self.slow
    }
}

impl Mailbox {
    pub fn new(budget: &Arc<Budget>) -> Arc<Self> {
        budget.boxes.fetch_add(1, Relaxed);
        let (bell, emptied) = (Notify::new(), Notify::new());
        Arc::new(Mailbox { inner: Mutex::default(), bell, emptied, budget: budget.clone() })
    }

    pub fn put(&self, post: Post) -> Put {
        let cost = post.letter.cost();
        let mut inner = lock(&self.inner);
        let mut put = Put::default();
        if inner.away && post.qos == 0 {
            return put;
        }
        let allowance = self.budget.allowance();
        while inner.bytes.saturating_add(cost) > allowance && self.pop(&mut inner).is_some() {
            put.lost = put.lost.saturating_add(1);
        }
        if inner.queue.is_empty() && !self.budget.has_room(cost, allowance) {
            put.lost = put.lost.saturating_add(1);
            return put;
        }
        inner.queue.push_back(post);
        inner.bytes = inner.bytes.saturating_add(cost);
        self.budget.take(cost);
        put.congested = inner.is_congested(allowance);
        let first = inner.queue.len() == 1;
        drop(inner);
        if first {
            self.bell.notify_one();
        }
        put
    }

    /// Moves up to `most` messages to `held`, and not many more `bytes`: what was taken is not in the budget.
    pub fn take(&self, most: usize, bytes: usize, held: &mut VecDeque<Post>) {
        let mut inner = lock(&self.inner);
        let mut room = bytes;
        for _ in 0..most {
            let Some(post) = self.pop(&mut inner) else { break };
            room = room.saturating_sub(post.letter.cost());
            held.push_back(post);
            if room == 0 {
                break;
            }
        }
        if inner.queue.is_empty() && inner.queue.capacity() > 64 {
            inner.queue = VecDeque::new();
        }
        if self.is_emptied(&inner) {
            (inner.slow, inner.full_since) = (false, None);
            drop(inner);
            self.emptied.notify_waiters();
        }
    }

    /// Resolves when there is something to take. May be dropped without loss.
    pub async fn mail(&self) {
        while lock(&self.inner).queue.is_empty() {
            self.bell.notified().await;
        }
    }

    /// Messages that ever went out of it, and those that ever came in.
    pub fn passed(&self) -> (u64, u64) {
        let inner = lock(&self.inner);
        (inner.gone, inner.gone.saturating_add(inner.queue.len() as u64))
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.inner).queue.is_empty()
    }

    /// For publishers that wait: resolves when the mailbox is emptied to a quarter, or is known to be slow. May be
    /// dropped and called again.
    pub async fn emptied(&self) {
        let emptied = self.emptied.notified();
        tokio::pin!(emptied);
        emptied.as_mut().enable();
        let since = {
            let inner = lock(&self.inner);
            inner.full_since.filter(|_| !inner.slow && !inner.away)
        };
        if let Some(since) = since
            && timeout_at(since + PATIENCE, emptied).await.is_err()
        {
            let mut inner = lock(&self.inner);
            inner.slow = !self.is_emptied(&inner);
            drop(inner);
            self.emptied.notify_waiters();
        }
    }

    /// The client went, or came back.
    pub fn set_away(&self, away: bool) {
        let mut inner = lock(&self.inner);
        inner.away = away;
        (inner.slow, inner.full_since) = (false, None);
        if away {
            let all = std::mem::take(&mut inner.queue);
            let before = (all.len(), inner.bytes);
            inner.queue = all.into_iter().filter(|post| post.qos > 0).collect();
            inner.bytes = inner.queue.iter().map(|post| post.letter.cost()).sum();
            inner.gone = inner.gone.saturating_add((before.0 - inner.queue.len()) as u64);
            let gone = (before.0 - inner.queue.len(), before.1.saturating_sub(inner.bytes));
            self.budget.give_back(gone.0, gone.1);
            drop(inner);
            self.emptied.notify_waiters();
        }
    }

    fn is_emptied(&self, inner: &Inner) -> bool {
        inner.bytes <= self.budget.allowance() / 4
    }

    fn pop(&self, inner: &mut Inner) -> Option<Post> {
        let post = inner.queue.pop_front()?;
        let cost = post.letter.cost();
        inner.gone = inner.gone.saturating_add(1);
        inner.bytes = inner.bytes.saturating_sub(cost);
        self.budget.give_back(1, cost);
        Some(post)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let (messages, bytes) = self.inner.get_mut().map_or((0, 0), |inner| (inner.queue.len(), inner.bytes));
        self.budget.give_back(messages, bytes);
        self.budget.boxes.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::letter::Letter;

    fn post(payload: &[u8], qos: u8) -> Post {
        Post { letter: Letter::new("t", payload), qos, retain: false }
    }

    fn mailbox(each: usize, all: usize) -> (Arc<Mailbox>, Arc<Budget>) {
        let budget = Budget::new(&Limits { queue_bytes: each, queues_bytes: all, ..Limits::default() });
        (Mailbox::new(&budget), budget)
    }

    #[test]
    fn a_full_mailbox_loses_its_oldest_and_says_how_many() {
        let (mailbox, budget) = mailbox(1000, 10_000);
        let lost: u64 = (0..20_u8).map(|i| mailbox.put(post(&[i; 33], 1)).lost).sum();
        let mut held = VecDeque::new();
        mailbox.take(100, usize::MAX, &mut held);
        assert_eq!((held.len(), lost), (10, 10));
        assert_eq!(budget.used(), (0, 0));
    }

    #[test]
    fn one_client_may_not_use_what_is_everybodys() {
        let budget = Budget::new(&Limits { queue_bytes: 100_000, queues_bytes: 20_000, ..Limits::default() });
        let boxes: Vec<_> = (0..4).map(|_| Mailbox::new(&budget)).collect();
        for _ in 0..1000 {
            boxes[0].put(post(&[0; 33], 1));
        }
        assert!(budget.used().1 <= 20_200, "{:?}", budget.used());
        for mailbox in &boxes[1..] {
            for _ in 0..1000 {
                mailbox.put(post(&[0; 33], 1));
            }
        }
        assert!(budget.used().1 <= 40_000, "{:?}", budget.used());
        drop(boxes);
        assert_eq!(budget.used(), (0, 0));
    }

    #[test]
    fn a_client_that_is_away_gets_no_qos_0() {
        let (mailbox, _) = mailbox(1000, 10_000);
        mailbox.put(post(b"0", 0));
        mailbox.put(post(b"1", 1));
        mailbox.set_away(true);
        mailbox.put(post(b"0", 0));
        mailbox.put(post(b"1", 1));
        let mut held = VecDeque::new();
        mailbox.take(100, usize::MAX, &mut held);
        assert_eq!(held.iter().map(|post| post.qos).collect::<Vec<_>>(), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn publishers_wait_once_for_a_client_that_does_not_read() {
        let (mailbox, _) = mailbox(1000, 10_000);
        while !mailbox.put(post(&[0; 33], 1)).congested {}
        mailbox.emptied().await;
        assert!(!mailbox.put(post(&[0; 33], 1)).congested, "it is slow now");
        mailbox.take(100, usize::MAX, &mut VecDeque::new());
        while !mailbox.put(post(&[0; 33], 1)).congested {}
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_publishers_wait_runs_for_all_mailboxes_at_once() {
        let budget = Budget::new(&Limits { queue_bytes: 1000, queues_bytes: 10_000, ..Limits::default() });
        let boxes = [Mailbox::new(&budget), Mailbox::new(&budget)];
        boxes.iter().for_each(|mailbox| while !mailbox.put(post(&[0; 33], 1)).congested {});
        boxes[0].emptied().await;
        assert!(boxes.iter().all(|mailbox| !mailbox.put(post(&[0; 33], 1)).congested), "both are slow now");
    }

    #[test]
    fn publishers_wait_for_a_mailbox_that_may_hold_its_share_only() {
        let budget = Budget::new(&Limits { queue_bytes: 100_000, queues_bytes: 20_000, ..Limits::default() });
        let boxes = [Mailbox::new(&budget), Mailbox::new(&budget)];
        while budget.used().1 < 20_000 {
            boxes[0].put(post(&[0; 33], 1));
        }
        while !boxes[1].put(post(&[0; 33], 1)).congested {}
        boxes[1].take(1000, usize::MAX, &mut VecDeque::new());
        assert_eq!(boxes[1].put(post(&[0; 33], 1)), Put::default());
    }

    #[test]
    fn large_messages_do_not_go_past_the_budget_for_ever() {
        let budget = Budget::new(&Limits { queue_bytes: 10_000, queues_bytes: 20_000, ..Limits::default() });
        let boxes: Vec<_> = (0..100).map(|_| Mailbox::new(&budget)).collect();
        let lost: u64 = boxes.iter().map(|mailbox| mailbox.put(post(&[0; 9000], 1)).lost).sum();
        assert_eq!((budget.used().0, lost), (4, 96));
        assert!(budget.used().1 <= 40_000);
    }
}
