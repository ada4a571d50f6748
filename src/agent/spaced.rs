//! What changes often and is large is made into bytes no more often than it is written: with 1 000 workloads that takes
//! milliseconds, which are not to be between one metric and the next.

use std::collections::BTreeMap;

use crate::model::time::Mono;
use crate::state::SPACING;

use super::core::Save;

/// The newest value of each such object that was not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Spaced {
    held: BTreeMap<&'static str, Save>,
    handed: BTreeMap<&'static str, Mono>,
}

impl Spaced {
    /// Takes it; [`Spaced::due`] gives it back.
    pub fn hold(&mut self, save: Save) {
        self.held.insert(save.name(), save);
    }

    /// What is to be handed over now: the first change at once, further ones after the spacing.
    pub fn due(&mut self, now: Mono) -> Vec<Save> {
        let Spaced { held, handed } = self;
        let due: Vec<&'static str> =
            held.keys().filter(|name| handed.get(*name).is_none_or(|at| at.plus(SPACING) <= now)).copied().collect();
        let saves = due.iter().filter_map(|name| held.remove(name)).collect();
        handed.extend(due.into_iter().map(|name| (name, now)));
        saves
    }

    /// When the next one is due.
    pub fn wake(&self) -> Option<Mono> {
        self.held.keys().filter_map(|name| self.handed.get(name)).map(|at| at.plus(SPACING)).min()
    }

    /// All of it: the end.
    pub fn rest(&mut self) -> Vec<Save> {
        std::mem::take(&mut self.held).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::memory::StoredBooks;

    fn books(boot: &str) -> Save {
        Save::Books(StoredBooks { boot: boot.into(), ..StoredBooks::default() })
    }

    fn said(saves: &[Save]) -> Vec<String> {
        saves.iter().map(|save| serde_json::to_value(save).expect("JSON")["boot"].to_string()).collect()
    }

    #[test]
    fn the_first_change_is_stored_at_once_and_of_many_the_newest_after_a_second() {
        let mut spaced = Spaced::default();
        assert_eq!(spaced.wake(), None);
        spaced.hold(books("a"));
        assert_eq!(said(&spaced.due(Mono(5_000))), ["\"a\""]);
        for boot in ["b", "c", "d"] {
            spaced.hold(books(boot));
            assert!(spaced.due(Mono(5_999)).is_empty());
        }
        assert_eq!(spaced.wake(), Some(Mono(6_000)));
        assert_eq!(said(&spaced.due(Mono(6_000))), ["\"d\""]);
        assert_eq!((spaced.wake(), spaced.rest().len()), (None, 0));
    }

    #[test]
    fn an_end_loses_nothing_of_the_last_second() {
        let mut spaced = Spaced::default();
        spaced.hold(books("a"));
        let _ = spaced.due(Mono(5_000));
        spaced.hold(books("b"));
        assert_eq!(said(&spaced.rest()), ["\"b\""]);
    }
}
