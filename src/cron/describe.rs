//! What an expression was understood as, in plain English.

use super::expression::Expression;
use super::fields::{Field, Set};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From 1 on: Sunday is 7, so that Friday to Sunday is one run.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The most times of a day that are listed one by one.
const MOST_TIMES: usize = 6;

/// `at 03:30, on the 1st and the 15th, in March`.
pub(super) fn describe(of: &Expression) -> String {
    let mut parts = vec![times(of)];
    let date = (!of.day_of_month.is_full(Field::DayOfMonth)).then(|| format!("day {}", runs(of.day_of_month, &[], 0)));
    let weekday = (!of.day_of_week.is_full(Field::DayOfWeek)).then(|| weekdays(of.day_of_week));
    parts.extend(match (date, weekday) {
        (Some(date), Some(weekday)) if of.either_day() => Some(format!("on {date} of the month, and on {weekday}")),
        (Some(date), Some(weekday)) => Some(format!("on {date} of the month when it is {weekday}")),
        // One of two that is enough, and is every day.
        (Some(_), None) | (None, Some(_)) if of.either_day() => Some("every day".to_owned()),
        (Some(date), None) => Some(format!("on {date} of the month")),
        (None, Some(weekday)) => Some(format!("on {weekday}")),
        (None, None) => (!of.hour.is_full(Field::Hour)).then(|| "every day".to_owned()),
    });
    if !of.month.is_full(Field::Month) {
        parts.push(format!("in {}", runs(of.month, &MONTHS, 1)));
    }
    parts.join(", ")
}

fn weekdays(set: Set) -> String {
    let mut days: Vec<u32> = set.values().map(|day| if day == 0 { 7 } else { day }).collect();
    days.sort_unstable();
    listed(&days, &DAYS, 1)
}

fn times(of: &Expression) -> String {
    let minutes: Vec<u32> = of.minute.values().collect();
    let hours: Vec<u32> = of.hour.values().collect();
    let every_hour = of.hour.is_full(Field::Hour);
    let during = |what: String| match every_hour {
        true => what,
        false => format!("{what} of {} {}", if hours.len() == 1 { "hour" } else { "hours" }, runs(of.hour, &[], 0)),
    };
    if of.minute.is_full(Field::Minute) {
        return during("every minute".into());
    }
    if let Some(step) = even(&minutes, 60) {
        return during(format!("every {step} minutes"));
    }
    if !every_hour && minutes.len() * hours.len() <= MOST_TIMES {
        let at = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")));
        return format!("at {}", joined(&at.collect::<Vec<_>>()));
    }
    let minute = if minutes.len() == 1 { "minute" } else { "minutes" };
    let what = format!("at {minute} {}", runs(of.minute, &[], 0));
    if every_hour {
        return format!("{what} of every hour");
    }
    match even(&hours, 24) {
        Some(step) => format!("{what} of every {step} hours"),
        None => during(what),
    }
}

/// From 0 on, in equal steps that go up evenly.
fn even(values: &[u32], of: u32) -> Option<u32> {
    let step = *values.get(1)?;
    let all = step > 1 && of.is_multiple_of(step) && values.len() == (of / step) as usize;
    (all && (0..).zip(values).all(|(index, value)| *value == index * step)).then_some(step)
}

fn runs(set: Set, names: &[&str], first: u32) -> String {
    listed(&set.values().collect::<Vec<_>>(), names, first)
}

/// `1, 3 to 5 and 9`, or with the names from `first` on.
fn listed(values: &[u32], names: &[&str], first: u32) -> String {
    let name = |value: u32| match names.get(value.saturating_sub(first) as usize) {
        Some(name) => (*name).to_owned(),
        None => value.to_string(),
    };
    let mut found = Vec::new();
    for run in values.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [from, .., to] if run.len() > 2 => found.push(format!("{} to {}", name(*from), name(*to))),
            few => found.extend(few.iter().map(|value| name(*value))),
        }
    }
    joined(&found)
}

fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}
