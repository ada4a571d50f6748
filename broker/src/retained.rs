//! Retained messages: a bounded map, of which the clients' part is also kept on disk (see [`crate::keeper`]).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::{Entry, SHARDS, shard_of};
use crate::{Limits, topic};

/// A retained message.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub topic: Arc<str>,
    pub payload: Bytes,
    pub qos: u8,
    /// The change that made it.
    seq: u64,
    /// The file it belongs into; `None` for the agent's own, which are true only while it runs.
    shard: Option<u8>,
}

/// How many topics one [`Retained::page`] looks at, so that the lock is held for microseconds only.
const PAGE_LOOKS: usize = 512;
/// How many messages one page gives, and after how many bytes of payload it ends.
const PAGE_MESSAGES: usize = 64;
const PAGE_BYTES: usize = 64 * 1024;

/// The store. `seq` grows with each change, so that a new subscription can be given what was there when it was made,
/// and gets what came later as live messages: nothing twice, nothing in the wrong order.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    map: BTreeMap<Arc<str>, Kept>,
    bytes: usize,
    seq: u64,
    /// Files that are behind.
    dirty: [bool; SHARDS],
}

/// Part of the answer to one subscription.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub messages: Vec<Kept>,
    /// Where the next page starts; `None` at the end.
    pub after: Option<Arc<str>>,
}

/// Whose message it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// A client's: bounded, and kept on disk.
    Client(&'a Limits),
    /// The agent's: it bounds them itself, and says them anew when it starts.
    Agent,
}

/// What became of a message with the retain flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is kept, or the topic was cleared.
    Done,
    /// There was no room for it.
    Refused,
}

impl Retained {
    /// A publish with the retain flag: an empty payload clears.
    pub fn put(&mut self, topic: &str, payload: &[u8], qos: u8, owner: Owner<'_>) -> Outcome {
        self.seq = self.seq.saturating_add(1);
        let shard = match owner {
            Owner::Client(_) => u8::try_from(shard_of(topic)).ok(),
            Owner::Agent => None,
        };
        let old = self.map.get(topic);
        for shard in [shard, old.and_then(|kept| kept.shard)].into_iter().flatten() {
            if let Some(dirty) = self.dirty.get_mut(usize::from(shard)) {
                *dirty = true;
            }
        }
        let old = old.map_or(0, |kept| topic.len() + kept.payload.len());
        if payload.is_empty() {
            self.remove(topic, old);
            return Outcome::Done;
        }
        let bytes = self.bytes.saturating_sub(old).saturating_add(topic.len() + payload.len());
        let room = match owner {
            Owner::Agent => true,
            Owner::Client(limits) => {
                bytes <= limits.retained_bytes && (old > 0 || self.map.len() < limits.retained_count)
            }
        };
        if !room {
            // An old value that is no longer true is worse than none.
            self.remove(topic, old);
            return Outcome::Refused;
        }
        let name = self.map.get_key_value(topic).map_or_else(|| Arc::from(topic), |(name, _)| name.clone());
        // A copy: the payload we were given is a slice of a whole read buffer.
        let payload = Bytes::copy_from_slice(payload);
        self.map.insert(name.clone(), Kept { topic: name, payload, qos, seq: self.seq, shard });
        self.bytes = bytes;
        Outcome::Done
    }

    fn remove(&mut self, topic: &str, bytes: usize) {
        self.map.remove(topic);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether a file is behind.
    pub fn is_dirty(&self) -> bool {
        self.dirty.contains(&true)
    }

    /// What belongs into a file, if that is behind; it counts as written from now on.
    pub fn take_dirty(&mut self, shard: usize) -> Option<Vec<Entry>> {
        if !std::mem::take(self.dirty.get_mut(shard)?) {
            return None;
        }
        let ours = self.map.values().filter(|kept| kept.shard.is_some_and(|of| usize::from(of) == shard));
        let entry = |kept: &Kept| Entry { topic: kept.topic.clone(), payload: kept.payload.clone(), qos: kept.qos };
        Some(ours.map(entry).collect())
    }

    /// The value of a topic.
    pub fn payload(&self, topic: &str) -> Option<&[u8]> {
        self.map.get(topic).map(|kept| &kept.payload[..])
    }

    /// What is here is what is in the files.
    pub fn set_clean(&mut self) {
        self.dirty = [false; SHARDS];
    }

    /// A file could not be written.
    pub fn set_dirty(&mut self, shard: usize) {
        if let Some(dirty) = self.dirty.get_mut(shard) {
            *dirty = true;
        }
    }

    /// The sequence number of the latest change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Messages held, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.map.len(), self.bytes)
    }

    /// The messages that match and have not changed since `seq`, after a topic, in topic order; a page may be empty and
    /// still have a next one. It has at most `most` messages.
    pub fn page(&self, filter: &str, seq: u64, after: Option<&Arc<str>>, most: usize) -> Page {
        if !filter.contains(['+', '#']) {
            let kept = self.map.get(filter).filter(|kept| kept.seq <= seq);
            return Page { messages: kept.cloned().into_iter().collect(), after: None };
        }
        let mut page = Page::default();
        // What matches begins with the levels before the first wildcard.
        let levels = filter.find(['+', '#']).and_then(|wildcard| filter.get(..wildcard)).unwrap_or_default();
        let prefix = levels.strip_suffix('/').unwrap_or(levels);
        let start = after.map_or(Bound::Included(prefix), |topic| Bound::Excluded(&**topic));
        let (mut bytes, most) = (0_usize, most.clamp(1, PAGE_MESSAGES));
        for (looks, (name, kept)) in self.map.range::<str, _>((start, Bound::Unbounded)).enumerate() {
            if !name.starts_with(prefix) {
                break;
            }
            if kept.seq <= seq && topic::matches(name, filter) {
                bytes = bytes.saturating_add(kept.payload.len());
                page.messages.push(kept.clone());
            }
            if looks + 1 >= PAGE_LOOKS || page.messages.len() >= most || bytes >= PAGE_BYTES {
                page.after = Some(name.clone());
                break;
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(store: &Retained, filter: &str) -> usize {
        let (mut n, mut after) = (0, None);
        loop {
            let page = store.page(filter, u64::MAX, after.as_ref(), usize::MAX);
            n += page.messages.len();
            after = page.after;
            if after.is_none() {
                return n;
            }
        }
    }

    #[test]
    fn pages_give_every_match_once() {
        let mut store = Retained::default();
        for i in 0..1500 {
            store.put(&format!("a/{i}"), b"x", 0, Owner::Agent);
            store.put(&format!("b/{i}"), b"x", 0, Owner::Agent);
        }
        assert_eq!((all(&store, "#"), all(&store, "b/+"), all(&store, "b/7"), all(&store, "c/#")), (3000, 1500, 1, 0));
    }

    #[test]
    fn pages_look_at_what_may_match_only() {
        let mut store = Retained::default();
        for i in 0..PAGE_LOOKS {
            store.put(&format!("a/{i}"), b"x", 0, Owner::Agent);
        }
        for topic in ["b", "b-", "b/1", "b/2", "/b", "c"] {
            store.put(topic, b"x", 0, Owner::Agent);
        }
        let page = store.page("b/#", u64::MAX, None, usize::MAX);
        let topics: Vec<_> = page.messages.iter().map(|kept| &*kept.topic).collect();
        assert_eq!((topics, page.after), (vec!["b", "b/1", "b/2"], None));
        assert_eq!((all(&store, "/+"), all(&store, "+/b"), all(&store, "+/1"), all(&store, "#")), (1, 1, 2, 518));
    }

    #[test]
    fn bytes_and_count_are_bounded_and_given_back() {
        let limits = Limits { retained_count: 2, retained_bytes: 10, ..Limits::default() };
        let client = Owner::Client(&limits);
        let mut store = Retained::default();
        assert_eq!(store.put("a", b"1234", 0, client), Outcome::Done);
        assert_eq!(store.put("b", b"1234", 0, client), Outcome::Done);
        assert_eq!(store.put("c", b"", 0, client), Outcome::Done, "clearing needs no room");
        assert_eq!(store.size(), (2, 10));
        assert_eq!(store.put("c", b"1", 0, client), Outcome::Refused);
        assert_eq!(store.put("a", b"12345", 0, client), Outcome::Refused, "too big: the old one goes, too");
        assert_eq!(store.size(), (1, 5));
        store.put("b", b"", 0, client);
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn a_subscription_gets_what_was_there_when_it_was_made() {
        let mut store = Retained::default();
        store.put("a", b"1", 0, Owner::Agent);
        store.put("b", b"1", 0, Owner::Agent);
        let seq = store.seq();
        store.put("b", b"2", 0, Owner::Agent);
        store.put("c", b"1", 0, Owner::Agent);
        let page = store.page("#", seq, None, usize::MAX);
        assert_eq!(page.messages.iter().map(|kept| &*kept.topic).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn only_what_clients_retained_belongs_on_disk() {
        let limits = Limits::default();
        let mut store = Retained::default();
        store.put("mine", b"1", 0, Owner::Agent);
        assert!(!store.is_dirty());
        store.put("theirs", b"1", 0, Owner::Client(&limits));
        let kept = store.take_dirty(shard_of("theirs")).unwrap();
        assert_eq!(kept.iter().map(|kept| &*kept.topic).collect::<Vec<_>>(), ["theirs"]);
        assert!(!store.is_dirty());
        store.put("theirs", b"", 0, Owner::Agent);
        let kept = store.take_dirty(shard_of("theirs")).unwrap();
        assert!(kept.is_empty(), "what is cleared leaves its file");
    }
}
