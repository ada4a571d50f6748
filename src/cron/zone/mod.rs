//! Time zones: whose midnight counts. Everything but [`Zone::local`] and [`Zone::named`], which read the system's time zone
//! database when they are called, is pure.

mod database;
mod table;
mod tzif;

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime};

use self::database::Database;
use self::table::Table;
use super::calendar::Calendar;
use crate::model::time::Wall;

/// Whose midnight counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    table: Arc<Table>,
}

impl Zone {
    /// The device's own time zone, as it is set now; UTC where none is, or where it cannot be read.
    #[must_use]
    pub fn local() -> Zone {
        Zone::try_local().unwrap_or_else(|_| Zone::utc())
    }

    /// The device's own time zone, as it is set now: TZ, else `/etc/localtime`, else UTC.
    ///
    /// # Errors
    /// A sentence: one is set, and cannot be read.
    pub fn try_local() -> Result<Zone, String> {
        Database::of_the_system().local()
    }

    /// A zone by its IANA name: `Europe/Berlin`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn named(name: &str) -> Result<Zone, String> {
        Database::of_the_system().named(name)
    }

    /// UTC, for which no database is needed.
    #[must_use]
    pub fn utc() -> Zone {
        Zone::of("UTC", Table::fixed(0))
    }

    fn of(name: &str, table: Table) -> Zone {
        Zone { name: name.into(), table: Arc::new(table) }
    }

    /// `Europe/Berlin`; of the device's own: its name where it is known, else `local`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `HH:MM` there, or with the day where it is not the day of `today`: for sentences.
    #[must_use]
    pub fn clock(&self, at: Wall, today: Wall) -> String {
        let (at, today) = (self.shown(at), self.shown(today));
        let form = match () {
            () if at.date() == today.date() => "%H:%M",
            () if at.year() == today.year() => "%a %-d %b %H:%M",
            () => "%a %-d %b %Y %H:%M",
        };
        at.format(form).to_string()
    }

    /// What a clock there shows.
    fn shown(&self, at: Wall) -> NaiveDateTime {
        let local = self.table.local(at.0.div_euclid(1_000));
        DateTime::from_timestamp(local, 0).unwrap_or_default().naive_utc()
    }

    pub(super) fn next(&self, calendar: &Calendar, fixed: bool, after: Wall) -> Option<Wall> {
        let after = after.0.div_euclid(1_000);
        let next = if fixed { self.table.next_fixed(calendar, after) } else { self.table.next_shown(calendar, after) };
        next.map(|at| Wall(at.saturating_mul(1_000)))
    }
}

#[cfg(test)]
mod tests;
