//! Cron: a crontab(5) line as Debian's cron reads it, and when it comes due next (SPEC "Scheduler", Cron). Pure: no clock; the
//! time zone database is read where a [`Zone`] is made, and only there.
//!
//! - `fields`, `expression`: what is written, and what is wrong with it at which column.
//! - `calendar`: the minutes that match, on a calendar without time zone (the `cron` crate, behind a translation).
//! - `zone`: which instants those are, when clocks change too.

mod calendar;
mod describe;
mod expression;
mod fields;
mod zone;

use std::sync::Arc;

use self::calendar::Calendar;
use self::expression::Expression;
pub use self::zone::Zone;
use crate::model::time::Wall;

/// When a cron workload runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    written: Arc<str>,
    expression: Expression,
    calendar: Arc<Calendar>,
    zone: Zone,
}

impl Schedule {
    /// Reads `*/5 * * * *` or `@daily`, to be understood in that zone.
    ///
    /// # Errors
    /// What is wrong at which column, and what would be right.
    pub fn parse(expression: &str, zone: Zone) -> Result<Schedule, String> {
        let read = Expression::parse(expression)?;
        let calendar = Arc::new(Calendar::of(&read)?);
        Ok(Schedule { written: expression.into(), expression: read, calendar, zone })
    }

    /// The same times by another clock.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Schedule {
        Schedule { zone, ..self.clone() }
    }

    /// As it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.written
    }

    /// Whose midnight counts.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first time it is due strictly after `after`; `None` when there is none up to the year 2100.
    #[must_use]
    pub fn next(&self, after: Wall) -> Option<Wall> {
        self.zone.next(&self.calendar, self.is_fixed(), after)
    }

    /// Its hour and minute are fixed (no `*` in either), so that no time of a day comes twice, nor is left out, when clocks
    /// change.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.expression.is_fixed()
    }

    /// What it was understood as, in plain English: `at 03:30, from Monday to Friday (Europe/Berlin)`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} ({})", describe::describe(&self.expression), self.zone.name())
    }
}

#[cfg(test)]
mod tests;
