//! Numbers that never come twice, through restarts and kills: reserved in blocks, of which an orderly end gives the rest
//! back. No clock.
//!
//! A run that can reserve none, as the disk is full, moves the last reservation to its second generation, which needs no
//! room: by that the next run knows that there was one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::object::{load_on, store_on};
use crate::model::problem::Problem;
use crate::model::time::Wall;

/// The stored object's name.
pub const OBJECT: &str = "event-numbers";

/// Numbers that are reserved at once: after a kill the next one is behind them. Large enough for a day of trouble with a
/// full disk, on which no further ones can be reserved.
pub const BLOCK: u64 = 100_000;

/// The stored object: no number up to this one may be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The last one.
    pub up_to: u64,
}

/// What was found of it at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// This, or nothing, and nothing was wrong.
    Known(Option<Reserved>),
    /// At least this; what was stored after it is lost, or nothing could be stored for this run. Then the numbers begin at
    /// the time of day in microseconds, which no run gets ahead of; a clock that is wrong at just that time may make one
    /// come twice.
    Doubtful(Option<Reserved>, Wall),
}

/// What a start gives.
#[derive(Debug)]
pub struct Opened {
    /// Those of this run.
    pub numbers: Numbers,
    /// The disk refused this: it is to be stored once there is room.
    pub unsaved: Option<Reserved>,
    /// What was found damaged.
    pub problem: Option<Problem>,
}

/// Reserves numbers for a run.
#[must_use]
pub fn open(disk: &dyn Disk, dir: &Path, now: Wall) -> Opened {
    let (file, second) = (dir.join(format!("{OBJECT}.json")), dir.join(format!("{OBJECT}.json.1")));
    let was_there = disk.exists(&file);
    let (stored, problem) = load_on::<Reserved>(disk, dir, OBJECT);
    let known = problem.is_none() && (was_there || stored.is_none());
    let before = if known { Before::Known(stored) } else { Before::Doubtful(stored, now) };
    let (numbers, reserved) = Numbers::start(before);
    if store_on(disk, dir, OBJECT, &reserved).is_ok() {
        return Opened { numbers, unsaved: None, problem };
    }
    // Where that is refused too there is nothing more to be done. The failed store may have moved it already.
    let _ = disk.rename(&file, &second);
    let _ = disk.sync_dir(dir);
    let (numbers, reserved) = Numbers::start(Before::Doubtful(stored, now));
    Opened { numbers, unsaved: Some(reserved), problem }
}

/// Hands out the right to use numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    used: u64,
    reserved: u64,
}

impl Numbers {
    /// What is used from here on, and the reservation that is to be stored before the first one is.
    #[must_use]
    pub fn start(before: Before) -> (Numbers, Reserved) {
        let up_to = |stored: Option<Reserved>| stored.unwrap_or_default().up_to;
        let used = match before {
            Before::Known(stored) => up_to(stored),
            Before::Doubtful(stored, now) => {
                let micros = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000);
                up_to(stored).max(micros).saturating_add(BLOCK)
            }
        };
        let reserved = used.saturating_add(BLOCK);
        (Numbers { used, reserved }, Reserved { up_to: reserved })
    }

    /// The last number that was used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// All up to this one have been used. Gives a further reservation, to be stored by and by, once half a block is left.
    #[must_use]
    pub fn use_up_to(&mut self, last: u64) -> Option<Reserved> {
        self.used = self.used.max(last);
        if self.reserved.saturating_sub(self.used) > BLOCK / 2 {
            return None;
        }
        self.reserved = self.used.saturating_add(BLOCK);
        Some(Reserved { up_to: self.reserved })
    }

    /// To be stored at an orderly end.
    #[must_use]
    pub fn end(&self) -> Reserved {
        Reserved { up_to: self.used }
    }
}
