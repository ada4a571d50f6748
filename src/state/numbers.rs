//! Numbers that never come twice, through restarts and kills: reserved in blocks, of which an orderly end gives the rest
//! back. No clock, no I/O.

use serde::{Deserialize, Serialize};

use crate::model::time::Wall;

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
    /// At least this; what was stored after it is lost, or nothing could be stored for this run: then the time of day makes
    /// it unlikely that a number comes twice.
    Doubtful(Option<Reserved>, Wall),
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
            Before::Doubtful(stored, now) => up_to(stored).saturating_add(u64::try_from(now.0).unwrap_or(0)),
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
