//! A bounded number of places for what ought to be short: whoever comes when all are taken turns out the one who has
//! been there longest. So one who dawdles on purpose, however often, takes no place from one who does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::lock;

#[derive(Debug)]
pub(crate) struct Places {
    limit: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Arc<Notify>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    places: Arc<Places>,
    /// Notified when somebody else needs it.
    pub turned_out: Arc<Notify>,
}

impl Places {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Places { limit: limit.max(1), taken: Mutex::default() })
    }

    pub fn enter(self: &Arc<Self>) -> Place {
        let turned_out = Arc::new(Notify::new());
        let mut taken = lock(&self.taken);
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        taken.by.insert(number, turned_out.clone());
        let full = taken.by.len() > self.limit;
        drop(taken);
        if full {
            self.turn_out_oldest();
        }
        Place { number, places: self.clone(), turned_out }
    }

    /// Whether there was somebody.
    pub fn turn_out_oldest(&self) -> bool {
        let oldest = lock(&self.taken).by.pop_first();
        oldest.is_some_and(|(_, turned_out)| {
            turned_out.notify_one();
            true
        })
    }
}

/// Resolves when the place, if there is one, is needed by somebody else.
pub(crate) async fn turned_out(place: Option<&Place>) {
    match place {
        Some(place) => place.turned_out.notified().await,
        None => std::future::pending().await,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.taken).by.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_who_has_been_there_longest_makes_room() {
        let places = Places::new(2);
        let (first, _second) = (places.enter(), places.enter());
        let third = places.enter();
        first.turned_out.notified().await;
        drop(first);
        drop(third);
        assert!(places.turn_out_oldest());
        assert!(!places.turn_out_oldest());
    }
}
