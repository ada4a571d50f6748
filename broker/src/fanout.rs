//! The seam to what spreads messages: everything behind [`Fanout`] could be something else than rumqttd's router.
//!
//! A *channel* stands for one distinct filter that somebody holds. Messages are published to channels (the index has
//! matched the topic before), and a *feed* gives one connection the messages of the channels it subscribed, in order
//! per channel, bounded: a feed that is not read loses the oldest, and the offsets tell how many.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::{Limits, StartError, lock};

mod backlog;
pub(crate) mod router;

/// Small numbers that are given out and come back, lowest first.
#[derive(Debug)]
pub(crate) struct Numbers {
    free: Mutex<(BTreeSet<u16>, u16)>,
    limit: u16,
}

impl Numbers {
    pub fn new(limit: usize) -> Arc<Self> {
        // u16::MAX itself stays free: numbers + 1 are packet ids towards the router.
        let limit = u16::try_from(limit).unwrap_or(u16::MAX - 1).min(u16::MAX - 1);
        Arc::new(Numbers { free: Mutex::new((BTreeSet::new(), 0)), limit })
    }

    pub fn take(&self) -> Option<u16> {
        let mut free = lock(&self.free);
        if let Some(number) = free.0.pop_first() {
            return Some(number);
        }
        let number = free.1;
        (number < self.limit).then(|| {
            free.1 = number + 1;
            number
        })
    }

    pub fn give_back(&self, number: u16) {
        lock(&self.free).0.insert(number);
    }
}

/// One filter's way through the fan-out. Its number is used again once nobody has it any more: neither the index nor
/// a feed whose unsubscription is still on its way, so a new owner never sees an old owner's messages.
#[derive(Debug)]
pub(crate) struct Channel {
    pub number: u16,
    /// The number in decimal: what the router sees as topic and as filter.
    pub name: Bytes,
    numbers: Arc<Numbers>,
}

impl Channel {
    /// `None` when all numbers are in use.
    pub fn open(numbers: &Arc<Numbers>) -> Option<Arc<Self>> {
        let number = numbers.take()?;
        Some(Arc::new(Channel { number, name: Bytes::from(number.to_string()), numbers: numbers.clone() }))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.numbers.give_back(self.number);
    }
}

/// What a feed says.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message; `offset` counts the messages of its channel without gaps.
    Message { channel: u16, offset: u64, frame: Bytes },
    /// From here on nothing of this channel is missed.
    Subscribed { channel: u16 },
}

/// The fan-out is gone, or has no room for another feed.
#[derive(Debug, thiserror::Error)]
#[error("the message router does not answer")]
pub(crate) struct Gone;

/// Spreads messages.
pub(crate) trait Fanout: Send + Sync + Sized + 'static {
    type Feed: Feed;

    /// Starts it; needs a tokio runtime.
    fn start(limits: &Limits) -> Result<Self, StartError>;

    /// A new channel; `None` at `Limits::distinct_filters`.
    fn open(&self) -> Option<Arc<Channel>>;

    /// Hands a message over: never lost here, never reordered, does not wait.
    fn publish(&self, channel: &Arc<Channel>, frame: &Bytes);

    /// Whether clients should hold back (the agent's own publishes need not).
    fn is_full(&self) -> bool;

    /// Resolves when it is no longer full.
    fn room(&self) -> impl Future<Output = ()> + Send;

    /// Ends its tasks; nothing is spread from here on.
    fn stop(&self);

    /// A feed for one more subscriber.
    fn attach(&self) -> impl Future<Output = Result<Self::Feed, Gone>> + Send;
}

/// The messages of one subscriber. Dropping it ends all its subscriptions.
pub(crate) trait Feed: Send + 'static {
    /// Answered by [`Event::Subscribed`].
    fn subscribe(&mut self, channel: Arc<Channel>);

    /// Messages that are on their way may still come.
    fn unsubscribe(&mut self, channel: u16);

    /// The next event; may be dropped and called again without loss.
    fn next(&mut self) -> impl Future<Output = Result<Event, Gone>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_number_comes_back_with_its_last_owner() {
        let numbers = Numbers::new(1);
        let first = Channel::open(&numbers).unwrap();
        let second_owner = first.clone();
        drop(first);
        assert!(Channel::open(&numbers).is_none());
        drop(second_owner);
        assert_eq!(Channel::open(&numbers).unwrap().number, 0);
    }
}
