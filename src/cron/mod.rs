//! Cron: a crontab(5) line as Debian's cron reads it, and when it comes due next (SPEC "Scheduler", Cron). Pure: no clock.

use crate::model::time::Wall;

/// Whose midnight counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
}

impl Zone {
    /// The device's own time zone, as it is set now; UTC where none is.
    #[must_use]
    pub fn local() -> Zone {
        Zone { name: "UTC".into() }
    }

    /// A zone by its IANA name: `Europe/Berlin`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn named(name: &str) -> Result<Zone, String> {
        Ok(Zone { name: name.into() })
    }

    /// `Europe/Berlin`; of the device's own: its name where it is known, else `local`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `HH:MM` there, or with the day where it is not the day of `today`: for sentences.
    #[must_use]
    pub fn clock(&self, at: Wall, _today: Wall) -> String {
        at.clock()
    }
}

/// When a cron workload runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    zone: Zone,
}

impl Schedule {
    /// Reads `*/5 * * * *` or `@daily`, to be understood in that zone.
    ///
    /// # Errors
    /// What is wrong at which column, and what would be right.
    pub fn parse(expression: &str, zone: Zone) -> Result<Schedule, String> {
        Ok(Schedule { expression: expression.into(), zone })
    }

    /// As it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whose midnight counts.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first time it is due strictly after `after`; `None` when there is none in the years that can be written.
    #[must_use]
    pub fn next(&self, after: Wall) -> Option<Wall> {
        Some(Wall((after.0 / 60_000 + 1) * 60_000))
    }

    /// Its hour and minute are fixed, so that no time of a day comes twice, nor is left out, when clocks change.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        false
    }
}
