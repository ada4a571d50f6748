//! The numbers of events (`seq`), which never come twice: stored before the first one of a run is used.

use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::model::problem::Problem;
use crate::model::status::Event;
use crate::state::numbers::{self, Numbers, OBJECT, Opened};
use crate::state::{RealDisk, Saves, StateDir};

/// Which numbers this run may use.
pub(super) struct EventNumbers {
    numbers: Mutex<Numbers>,
    saves: Saves,
}

impl EventNumbers {
    /// Reserves some. Where the disk refuses, they are reserved when there is room.
    pub(super) fn open(state: &StateDir, saves: Saves) -> (EventNumbers, Option<Problem>) {
        let Opened { numbers, unsaved, problem } = numbers::open(&RealDisk, state.path(), clock::wall());
        if let Some(reserved) = unsaved {
            // The saver says why, and goes on trying.
            saves.save(OBJECT, &reserved);
        }
        (EventNumbers { numbers: Mutex::new(numbers), saves }, problem)
    }

    /// The last number that an earlier run may have used.
    pub(super) fn used(&self) -> u64 {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).used()
    }

    /// These have been said.
    pub(super) fn said(&self, events: &[Event]) {
        let Some(last) = events.last() else { return };
        let further = self.numbers.lock().unwrap_or_else(PoisonError::into_inner).use_up_to(last.seq);
        if let Some(reserved) = further {
            self.saves.save(OBJECT, &reserved);
        }
    }

    /// An orderly end: the next run goes on where this one ended.
    pub(super) fn end(&self) {
        self.saves.save(OBJECT, &self.numbers.lock().unwrap_or_else(PoisonError::into_inner).end());
    }
}
