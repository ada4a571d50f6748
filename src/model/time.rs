//! Time as data: two clocks that the code is handed and never asks for.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Milliseconds of the boot-time clock (`CLOCK_BOOTTIME`): monotonic, goes on through suspend, starts at 0 with the machine.
/// All timers and ages live on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// The moment `after` later; saturates.
    #[must_use]
    pub fn plus(self, after: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The first and the last moment that RFC 3339 can write, with its four digits for a year.
const WRITABLE: RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Milliseconds since 1970 UTC: for people (and cron), never for timers; it may jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Wall {
    /// How long after `earlier`; zero if before.
    #[must_use]
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-21T08:00:00.000Z`. Before the year 0 and after 9999: its first or last
    /// moment.
    #[must_use]
    pub fn rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_millis(self.0.clamp(*WRITABLE.start(), *WRITABLE.end()))
            .unwrap_or_default()
            .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    /// Reads RFC 3339, any offset.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse_rfc3339(text: &str) -> Result<Wall, String> {
        let wrong = |why: &dyn std::fmt::Display| {
            format!("{text:?} is not an RFC 3339 time ({why}); write 2026-11-21T08:00:00Z")
        };
        let at = chrono::DateTime::parse_from_rfc3339(text).map_err(|why| wrong(&why))?.timestamp_millis();
        if WRITABLE.contains(&at) { Ok(Wall(at)) } else { Err(wrong(&"in UTC its year is not one from 0 to 9999")) }
    }

    /// The moment `after` later; saturates.
    #[must_use]
    pub fn plus(self, after: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }

    /// `HH:MM:SS` in UTC, for sentences.
    #[must_use]
    pub fn clock(self) -> String {
        chrono::DateTime::from_timestamp_millis(self.0).unwrap_or_default().format("%H:%M:%SZ").to_string()
    }
}

impl serde::Serialize for Wall {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.rfc3339())
    }
}

impl<'de> serde::Deserialize<'de> for Wall {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        Wall::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and ages.
    pub mono: Mono,
    /// For people.
    pub wall: Wall,
}

impl Now {
    /// What the wall clock showed, or will show, at `at`.
    #[must_use]
    pub fn wall_at(&self, at: Mono) -> Wall {
        let ahead =
            i64::try_from(at.0).unwrap_or(i64::MAX).saturating_sub(i64::try_from(self.mono.0).unwrap_or(i64::MAX));
        Wall(self.wall.0.saturating_add(ahead))
    }

    /// When, by the wall clock as it is set now, it will be `at`; now, if that is past.
    #[must_use]
    pub fn mono_at(&self, at: Wall) -> Mono {
        self.mono.plus(at.since(self.wall))
    }

    /// By how much, in ms, the wall clock was set since `before`; slewing is little at a time.
    #[must_use]
    pub fn set_since(&self, before: Now) -> i64 {
        let skew = |now: &Now| now.wall.0.saturating_sub(i64::try_from(now.mono.0).unwrap_or(i64::MAX));
        skew(self).saturating_sub(skew(&before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_read_can_be_written_and_read_again() {
        for text in
            ["2026-11-21T08:00:00Z", "2026-11-21T08:00:00.123+02:00", "0000-01-01T00:00:00Z", "2016-12-31T23:59:60Z"]
        {
            let at = Wall::parse_rfc3339(text).expect(text);
            assert_eq!(Wall::parse_rfc3339(&at.rfc3339()), Ok(at), "{text}");
        }
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
            let why = Wall::parse_rfc3339(text).expect_err(text);
            assert!(why.contains("not one from 0 to 9999"), "{why}");
        }
    }

    #[test]
    fn any_number_is_written_as_some_time() {
        assert_eq!(Wall(i64::MIN).rfc3339(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Wall(i64::MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
    }
}
