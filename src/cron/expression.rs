//! A whole line: five fields, or a name for one.

use super::fields::{self, Field, Set, quoted};

/// The most bytes of an expression. The longest useful one, every list written out, has 600.
pub(super) const LONGEST: usize = 1_000;

/// The names of crontab(5) that stand for five fields.
const NAMED: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The most days of each month: 29 February comes, if seldom.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// What the five fields allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub minute: Set,
    pub hour: Set,
    pub day_of_month: Set,
    pub month: Set,
    pub day_of_week: Set,
}

impl Expression {
    /// Reads a line; what is wrong comes with its column, from 1 on.
    pub fn parse(written: &str) -> Result<Expression, String> {
        if written.len() > LONGEST {
            return Err(format!("column 1: longer than {LONGEST} bytes; write five fields, as in 30 3 * * *"));
        }
        let trimmed = written.trim_matches(blank);
        if trimmed.starts_with('@') {
            return named(written, trimmed);
        }
        let found = split(written);
        refuse_count(&found)?;
        let mut sets = [None; 5];
        for ((of, (column, text)), set) in Field::ALL.into_iter().zip(&found).zip(&mut sets) {
            let read = fields::read(of, text);
            *set = Some(read.map_err(|(at, why)| format!("column {}: {}: {why}", column + at, of.name()))?);
        }
        let [Some(minute), Some(hour), Some(day_of_month), Some(month), Some(day_of_week)] = sets else {
            return Err("column 1: must be five fields, as in 30 3 * * *".into());
        };
        let expression = Expression { minute, hour, day_of_month, month, day_of_week };
        if !expression.either_day()
            && let Some(latest) = expression.never()
        {
            let column = found.get(2).map_or(1, |(column, _)| *column);
            return Err(format!(
                "column {column}: day of month: this date never comes; the months that are named have at most \
                 {latest} days: write a day up to {latest}, or another month"
            ));
        }
        Ok(expression)
    }

    /// crontab(5): a day of the month *or* a day of the week is enough when neither field holds a star.
    pub fn either_day(&self) -> bool {
        !self.day_of_month.star && !self.day_of_week.star
    }

    /// Debian's rule for whose runs follow real time when clocks change.
    pub fn is_fixed(&self) -> bool {
        !self.minute.star && !self.hour.star
    }

    /// No month that is allowed has a day that is: with how many days the longest of them has.
    pub fn never(&self) -> Option<u32> {
        let longest = |month: u32| MONTH_DAYS.get(month.saturating_sub(1) as usize).copied().unwrap_or(31);
        let latest = self.month.values().map(longest).max().unwrap_or(31);
        let first = self.day_of_month.values().next().unwrap_or(1);
        (first > latest).then_some(latest)
    }
}

/// A line break too, which a YAML block ends with.
fn blank(character: char) -> bool {
    character.is_ascii_whitespace()
}

/// The fields with their columns, from 1 on.
fn split(written: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut column = 1;
    for part in written.split(blank) {
        if !part.is_empty() {
            found.push((column, part));
        }
        column += part.chars().count() + 1;
    }
    found
}

fn refuse_count(found: &[(usize, &str)]) -> Result<(), String> {
    if let Some((column, text)) = found.first()
        && text.contains('=')
    {
        return Err(format!(
            "column {column}: {} is no part of a time; a time zone stands in cronTimeZone",
            quoted(text)
        ));
    }
    match found.len() {
        5 => Ok(()),
        0 => Err("column 1: is empty; write five fields (minute, hour, day of month, month, day of week), as in \
                  30 3 * * *"
            .into()),
        6 | 7 => {
            let column = found.get(5).map_or(1, |(column, _)| *column);
            Err(format!(
                "column {column}: {} fields; there are five (minute, hour, day of month, month, day of week), none for \
                 seconds or years: write it without, as in 30 3 * * *",
                found.len()
            ))
        }
        more @ 8.. => {
            let column = found.get(5).map_or(1, |(column, _)| *column);
            Err(format!("column {column}: {more} fields; there are five, as in 30 3 * * *"))
        }
        few => {
            let last = found.last();
            let column = last.map_or(1, |(column, text)| column + text.chars().count());
            Err(format!(
                "column {column}: {few} of five fields; {} is missing: write it, or * for any, as in 30 3 * * *",
                Field::ALL.get(few).map_or("one", |of| of.name())
            ))
        }
    }
}

fn named(written: &str, name: &str) -> Result<Expression, String> {
    if let Some((_, stands_for)) = NAMED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
        return Expression::parse(stands_for);
    }
    let column = written.chars().take_while(|character| blank(*character)).count() + 1;
    let is = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    Err(if is("@reboot") {
        format!("column {column}: @reboot is no time; a workload without cron starts with the device")
    } else if is("@every") {
        format!("column {column}: @every is of another cron; every five minutes is */5 * * * *")
    } else {
        format!(
            "column {column}: {} is not known; write @hourly, @daily, @midnight, @weekly, @monthly, @yearly or \
             @annually, or five fields, as in 30 3 * * *",
            quoted(name)
        )
    })
}
