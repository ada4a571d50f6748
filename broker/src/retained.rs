//! Retained messages: a bounded map that is ours, since the router's gives out only part of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Limits, topic};

/// A retained message.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub topic: Arc<str>,
    pub payload: Bytes,
    pub qos: u8,
}

/// How many topics one [`Retained::page`] looks at, so that the lock is held for microseconds only.
const PAGE_LOOKS: usize = 512;
/// How many messages one page gives, and after how many bytes of payload it ends.
const PAGE_MESSAGES: usize = 64;
const PAGE_BYTES: usize = 64 * 1024;

/// The store. `seq` grows with each change, so that a connection can tell which live messages its own reading of the
/// store has already covered.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    map: BTreeMap<Arc<str>, Kept>,
    bytes: usize,
    seq: u64,
}

/// Part of the answer to one subscription.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub messages: Vec<Kept>,
    /// Where the next page starts; `None` at the end.
    pub after: Option<Arc<str>>,
}

impl Retained {
    /// A publish with the retain flag: an empty payload clears. Returns its sequence number and whether there was room
    /// (`limits` is `None` for the agent's own, which are bounded by the agent).
    pub fn put(&mut self, topic: &str, payload: &[u8], qos: u8, limits: Option<&Limits>) -> (u64, bool) {
        self.seq = self.seq.saturating_add(1);
        let old = self.map.get(topic).map_or(0, |kept| topic.len() + kept.payload.len());
        if payload.is_empty() {
            self.map.remove(topic);
            self.bytes = self.bytes.saturating_sub(old);
            return (self.seq, true);
        }
        let bytes = self.bytes.saturating_sub(old).saturating_add(topic.len() + payload.len());
        let room = limits
            .is_none_or(|limits| bytes <= limits.retained_bytes && (old > 0 || self.map.len() < limits.retained_count));
        if room {
            let name = self.map.get_key_value(topic).map_or_else(|| Arc::from(topic), |(name, _)| name.clone());
            // A copy: the payload we were given is a slice of a whole read buffer.
            let payload = Bytes::copy_from_slice(payload);
            self.map.insert(name.clone(), Kept { topic: name, payload, qos });
            self.bytes = bytes;
        } else if old > 0 {
            // An old value that is no longer true is worse than none.
            self.map.remove(topic);
            self.bytes = self.bytes.saturating_sub(old);
        }
        (self.seq, room)
    }

    /// The sequence number of the latest change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Messages held, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.map.len(), self.bytes)
    }

    /// The messages that match, after a topic, in topic order; a page may be empty and still have a next one.
    pub fn page(&self, filter: &str, after: Option<&Arc<str>>) -> Page {
        if !filter.contains(['+', '#']) {
            return Page { messages: self.map.get(filter).cloned().into_iter().collect(), after: None };
        }
        let mut page = Page::default();
        let start = after.map_or(Bound::Unbounded, |topic| Bound::Excluded(&**topic));
        let mut bytes = 0_usize;
        for (looks, (name, kept)) in self.map.range::<str, _>((start, Bound::Unbounded)).enumerate() {
            if topic::matches(name, filter) {
                bytes = bytes.saturating_add(kept.payload.len());
                page.messages.push(kept.clone());
            }
            if looks + 1 >= PAGE_LOOKS || page.messages.len() >= PAGE_MESSAGES || bytes >= PAGE_BYTES {
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
            let page = store.page(filter, after.as_ref());
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
            store.put(&format!("a/{i}"), b"x", 0, None);
            store.put(&format!("b/{i}"), b"x", 0, None);
        }
        assert_eq!((all(&store, "#"), all(&store, "b/+"), all(&store, "b/7"), all(&store, "c/#")), (3000, 1500, 1, 0));
    }

    #[test]
    fn bytes_and_count_are_bounded_and_given_back() {
        let limits = Limits { retained_count: 2, retained_bytes: 10, ..Limits::default() };
        let mut store = Retained::default();
        assert!(store.put("a", b"1234", 0, Some(&limits)).1);
        assert!(store.put("b", b"1234", 0, Some(&limits)).1);
        assert!(!store.put("c", b"", 0, Some(&limits)).1 || store.size() == (2, 10));
        assert!(!store.put("c", b"1", 0, Some(&limits)).1);
        assert!(!store.put("a", b"12345", 0, Some(&limits)).1, "too big: the old one goes, too");
        assert_eq!(store.size(), (1, 5));
        store.put("b", b"", 0, Some(&limits));
        assert_eq!(store.size(), (0, 0));
    }
}
