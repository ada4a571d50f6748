//! The server's clock: the machine's, plus an offset that a test owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// What the server takes for the time: its `Date` headers, its certificates and their checks follow it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Milliseconds since 1970, offset included.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        machine_ms().saturating_add(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Seconds since 1970, offset included.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// The offset to the machine's clock, in milliseconds.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::SeqCst)
    }

    /// Puts the server's clock this far ahead of the machine's; negative: behind it.
    pub fn set_offset_ms(&self, offset: i64) {
        self.offset_ms.store(offset, Ordering::SeqCst);
    }

    /// Moves the server's clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_offset_ms(self.offset_ms().saturating_add(by));
    }

    /// Moves the server's clock back.
    pub fn turn_back(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_offset_ms(self.offset_ms().saturating_sub(by));
    }

    /// As in a message's `sent`: RFC 3339 with milliseconds and `Z` (API §2).
    pub(crate) fn sent(&self) -> String {
        at(self.now_ms()).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// As in the header `Date`.
    pub(crate) fn date(&self) -> String {
        at(self.now_ms()).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that asks the machine for the time")]
fn machine_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}
