//! When the device's certificate is renewed: at two thirds of the lifetime that it had when it was received.
//!
//! In the boot in which it was received this is measured on the boot-time clock and nothing else. After a reboot it is
//! measured by the server's time, so not before the first answer of this boot (every answer has a Date, a refusal too):
//! the wall clock has no part in it and can neither skip nor repeat a renewal. A 401 renews anyway; that is the session's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::trusted_time::TrustedTime;
use crate::model::time::{Mono, Now, Wall};

/// When and how a certificate was received. Kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The server's Date then, or what we held for the time if its Date was not to be had or not believed.
    pub at: Wall,
    /// It was the server's Date.
    pub from_server: bool,
    /// Which boot this was ([`crate::clock::boot_id`]).
    pub boot: String,
    /// Boot-time clock of that boot, in milliseconds.
    pub mono_ms: u64,
}

impl Receipt {
    /// To be made right after `time` was told the answer's Date; `date` is the Date if it was believed.
    #[must_use]
    pub fn new(date: Option<Wall>, time: &TrustedTime, boot: &str, now: Now) -> Receipt {
        let at = date.unwrap_or_else(|| time.now(now));
        Receipt { at, from_server: date.is_some(), boot: boot.to_owned(), mono_ms: now.mono.0 }
    }
}

/// How far a certificate's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Received in an earlier boot, and the server was not heard in this one: its Date decides.
    Unknown,
    /// Good for longer.
    Fresh,
    /// To be renewed; still valid.
    Due,
    /// Ended. It still renews itself (the server takes an expired one for a registration).
    Expired,
}

/// What there is to know of a certificate's renewal, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// How far its life is.
    pub phase: Phase,
    /// When it becomes due, on the boot-time clock: for a timer. None where it is not [`Phase::Fresh`].
    pub due_at: Option<Mono>,
    /// When it becomes due, for people: by the server's time at which it was received.
    pub due: Wall,
    /// When it ends.
    pub not_after: Wall,
}

/// Two thirds of the lifetime that remained at receipt; whole milliseconds, as the timer has them.
fn two_thirds(lifetime: Duration) -> Duration {
    Duration::from_millis(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX) / 3 * 2)
}

/// Says how far the life of a certificate is that ends at `not_after` and was received as `receipt` says.
#[must_use]
pub fn renewal(receipt: &Receipt, not_after: Wall, boot: &str, time: &TrustedTime, now: Now) -> Renewal {
    let lifetime = not_after.since(receipt.at);
    let wait = two_thirds(lifetime);
    let due = receipt.at.plus(wait);
    let age = if receipt.boot == boot && !boot.is_empty() {
        Some(now.mono.since(Mono(receipt.mono_ms)))
    } else {
        time.anchored(now.mono).map(|server| server.since(receipt.at))
    };
    let phase = match age {
        None => Phase::Unknown,
        Some(age) if age >= lifetime => Phase::Expired,
        Some(age) if age >= wait => Phase::Due,
        Some(_) => Phase::Fresh,
    };
    let left = age.map(|age| wait.saturating_sub(age));
    let due_at = left.filter(|_| phase == Phase::Fresh).map(|left| now.mono.plus(left));
    Renewal { phase, due_at, due, not_after }
}

#[cfg(test)]
mod tests;
