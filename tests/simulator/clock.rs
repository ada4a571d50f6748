//! Both clocks of the device. The boot-time clock is true (it counts suspend too) and starts at 0 with the machine; the wall
//! clock is whatever it was set to.

use flotta_agent::model::time::{Mono, Now, Wall};

/// What the wall clock shows at the beginning where nobody sets it: the 9th of November 2026, 00:00 UTC.
pub const EPOCH: i64 = 1_794_182_400_000;

/// No clock is set before this: Linux sets none before 1970, and in the first days of it numbers of events that were not
/// reserved (`state::numbers`) cannot be told from those that were.
const EARLIEST: i64 = 1_200_000_000;

#[derive(Clone, Debug)]
pub struct Clock {
    /// Milliseconds of the simulation: true time.
    pub now: u64,
    booted: u64,
    /// The wall clock against true time.
    offset: i64,
    /// How many parts in a million the wall clock is too fast, and since when.
    drift: (i64, u64),
    /// When the wall clock was set last; what it shows before says nothing about what it shows after.
    pub set_at: u64,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { now: 0, booted: 0, offset: 0, drift: (0, 0), set_at: 0 }
    }

    pub fn mono(&self) -> Mono {
        Mono(self.now - self.booted)
    }

    /// The boot-time clock as the simulation's time.
    pub fn at(&self, mono: Mono) -> u64 {
        self.booted.saturating_add(mono.0)
    }

    pub fn wall(&self) -> Wall {
        let (ppm, since) = self.drift;
        let slewed = (self.now - since) as i64 * ppm / 1_000_000;
        Wall(EPOCH + self.now as i64 + self.offset + slewed)
    }

    pub fn read(&self) -> Now {
        Now { mono: self.mono(), wall: self.wall() }
    }

    /// How far the wall clock is off.
    pub fn error(&self) -> i64 {
        self.wall().0 - EPOCH - self.now as i64
    }

    pub fn jump(&mut self, by: i64) {
        let by = by.max(EARLIEST - self.wall().0);
        self.offset = self.offset.saturating_add(by);
        self.set_at = self.now;
    }

    /// It runs that much too fast from now on.
    pub fn slew(&mut self, ppm: i64) {
        self.offset = self.error();
        self.drift = (ppm, self.now);
    }

    /// Somebody who knows the time sets it.
    pub fn set_right(&mut self) {
        self.slew(0);
        self.jump(-self.error());
    }

    /// The machine starts anew.
    pub fn boot(&mut self) {
        self.booted = self.now;
    }
}
