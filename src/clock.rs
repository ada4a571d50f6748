//! The one place that asks the machine what time it is, and lets it ring.

mod timer;

use crate::model::time::{Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

pub use timer::{Alarm, Steps, sleep_until};

/// Both clocks, now.
#[must_use]
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// The boot-time clock.
#[must_use]
pub fn mono() -> Mono {
    Mono(u64::try_from(millis(ClockId::Boottime)).unwrap_or(0))
}

/// The wall clock.
#[must_use]
pub fn wall() -> Wall {
    Wall(millis(ClockId::Realtime))
}

fn millis(clock: ClockId) -> i64 {
    let at = clock_gettime(clock);
    at.tv_sec.saturating_mul(1000).saturating_add(at.tv_nsec / 1_000_000)
}

/// Which boot this is; empty if the kernel does not say. Times of the boot-time clock are of one boot only.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
