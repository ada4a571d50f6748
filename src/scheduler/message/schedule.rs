//! What is said of a schedule.

use super::Sky;
use crate::model::time::Now;
use crate::model::workload::Cron;
use crate::scheduler::book::Book;

/// Until when it waits, and what was skipped.
pub(super) fn waits(book: &Book, sky: &Sky<'_>, now: Now) -> String {
    let Some((cron, times)) = of(book) else { return String::new() };
    if now.wall < sky.not_before {
        return format!(
            "the clock shows {}, which is before this version of the agent was made ({}): schedules wait until it is set (or set cron.trust_clock: true)",
            now.wall.rfc3339(),
            sky.not_before.rfc3339()
        );
    }
    let zone = cron.schedule.zone();
    let expression = format!("cron {:?}, {}", cron.schedule.expression(), zone.name());
    match times.next {
        Some(next) => format!("runs next at {} ({expression}){}", zone.clock(next, now.wall), skipped(book, now)),
        None => format!("does not run again ({expression})"),
    }
}

/// Beside what is said of one that runs.
pub(super) fn meanwhile(book: &Book, sky: &Sky<'_>, now: Now) -> String {
    let lock = match sky.lock {
        Some(_) => "; the device is locked: it is not started again",
        None => "",
    };
    format!("{}{lock}", skipped(book, now))
}

/// Beside what is said of one that may not run now.
pub(super) fn due(book: &Book, now: Now) -> String {
    match of(book).map(|(cron, times)| (cron.schedule.zone(), times.due)) {
        Some((zone, Some(due))) => format!("; the run of {} is due and waits", zone.clock(due, now.wall)),
        _ => String::new(),
    }
}

fn skipped(book: &Book, now: Now) -> String {
    let Some((cron, times)) = of(book) else { return String::new() };
    let Some((at, why)) = times.skipped else { return String::new() };
    let count = if times.skips > 1 { format!(" ({} in a row)", times.skips) } else { String::new() };
    format!("; the run of {} was skipped: {}{count}", cron.schedule.zone().clock(at, now.wall), why.words())
}

fn of(book: &Book) -> Option<(&Cron, &crate::scheduler::times::Times)> {
    Some((book.desired.as_ref()?.cron.as_ref()?, book.times.as_ref()?))
}
