//! The minutes that an expression allows, on a calendar without time zone: which instants they are, [`super::zone`] knows.
//!
//! The `cron` crate finds them, as a translation: it wants seconds first, counts weekdays from 1 (Sunday) on, and joins the two
//! fields of days with *and*. Where crontab(5) means *or*, two of its schedules take turns. It is only ever asked about UTC,
//! where no clock changes.

use std::fmt::Write as _;

use chrono::DateTime;

use super::expression::Expression;
use super::fields::{Field, Set};

/// Seconds of a clock on a wall since 1970, as if it were in UTC.
pub(super) type Local = i64;

/// The `cron` crate knows the years 1970 to 2100; two days more, so that a zone's offset is inside.
const RANGE: (Local, Local) = (-2 * 86_400, 4_133_980_800 + 2 * 86_400);

/// All minutes that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    one: cron::Schedule,
    /// The other of two, of which either is enough.
    other: Option<cron::Schedule>,
}

impl Calendar {
    pub fn of(expression: &Expression) -> Result<Calendar, String> {
        let schedule = |by_date: bool, by_weekday: bool| {
            let line = translated(expression, by_date, by_weekday);
            line.parse::<cron::Schedule>().map_err(|why| format!("column 1: {why}"))
        };
        if !expression.either_day() {
            return Ok(Calendar { one: schedule(true, true)?, other: None });
        }
        let one = schedule(false, true)?;
        // A date that never comes is searched for in all years each time.
        let other = if expression.never().is_some() { None } else { Some(schedule(true, false)?) };
        Ok(Calendar { one, other })
    }

    /// The first that matches at or after `from`.
    pub fn first_from(&self, from: Local) -> Option<Local> {
        let (least, greatest) = RANGE;
        if from > greatest {
            return None;
        }
        let before = DateTime::from_timestamp(from.max(least).saturating_sub(1), 0)?;
        let next = |schedule: &cron::Schedule| schedule.after(&before).next().map(|at| at.timestamp());
        let one = next(&self.one);
        match self.other.as_ref().and_then(next) {
            Some(other) => Some(one.map_or(other, |one| one.min(other))),
            None => one,
        }
    }
}

/// The line in the words of the `cron` crate.
fn translated(expression: &Expression, by_date: bool, by_weekday: bool) -> String {
    let mut line = "0".to_owned();
    list(&mut line, Field::Minute, expression.minute, true, 0);
    list(&mut line, Field::Hour, expression.hour, true, 0);
    list(&mut line, Field::DayOfMonth, expression.day_of_month, by_date, 0);
    list(&mut line, Field::Month, expression.month, true, 0);
    list(&mut line, Field::DayOfWeek, expression.day_of_week, by_weekday, 1);
    line
}

fn list(line: &mut String, of: Field, set: Set, restricts: bool, shift: u32) {
    if !restricts || set.is_full(of) {
        line.push_str(" *");
        return;
    }
    for (index, value) in set.values().enumerate() {
        let separator = if index == 0 { ' ' } else { ',' };
        // Writing to a text cannot fail.
        let _ = write!(line, "{separator}{}", value + shift);
    }
}
