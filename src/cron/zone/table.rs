//! Which offset from UTC is in force when: a list of spans, each with one offset. All that daylight saving does to cron is
//! decided here.

use super::super::calendar::{Calendar, Local};

/// Seconds since 1970 UTC.
pub(crate) type Utc = i64;

/// No two offsets of any zone are further apart (some moved from one side of the date line to the other).
const FURTHEST: i64 = 2 * 86_400;

/// A span with one offset; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: Utc,
    /// Local time less UTC, in seconds.
    pub offset: i64,
}

/// The spans of a zone, in order; the first begins before all time, and the last never ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    spans: Vec<Span>,
}

impl Table {
    /// One offset for ever.
    pub fn fixed(offset: i64) -> Table {
        Table { spans: vec![Span { start: Utc::MIN, offset }] }
    }

    /// From changes in any order; `first` holds before all of them.
    pub fn new(first: i64, mut changes: Vec<Span>) -> Table {
        changes.sort_by_key(|change| change.start);
        let mut spans = Table::fixed(first).spans;
        for change in changes {
            // Of two at one moment the later word holds: summer time that never ends is written so.
            if spans.len() > 1 && spans.last().is_some_and(|last| last.start == change.start) {
                spans.pop();
            }
            if spans.last().is_some_and(|last| last.offset != change.offset) {
                spans.push(change);
            }
        }
        Table { spans }
    }

    pub fn local(&self, at: Utc) -> Local {
        at.saturating_add(self.spans[self.index(at)].offset)
    }

    /// Which span an instant is in.
    fn index(&self, at: Utc) -> usize {
        self.spans.partition_point(|span| span.start <= at).saturating_sub(1)
    }

    fn end(&self, index: usize) -> Utc {
        self.spans.get(index + 1).map_or(Utc::MAX, |next| next.start)
    }

    /// The next run of fixed times: each date and time once. What the clock skips comes when it has skipped it, what it shows
    /// twice comes the first time. Both are one rule: a time has come when the clock, for the first time, shows it or a later
    /// one.
    pub fn next_fixed(&self, calendar: &Calendar, after: Utc) -> Option<Utc> {
        let wanted = calendar.first_from(self.shown(after).saturating_add(1))?;
        let mut index = self.index(wanted.saturating_sub(FURTHEST));
        loop {
            let Span { start, offset } = self.spans[index];
            let end = self.end(index);
            if end == Utc::MAX || end.saturating_add(offset) > wanted {
                return Some(start.max(wanted.saturating_sub(offset)));
            }
            index += 1;
        }
    }

    /// The latest that the clock has shown up to an instant.
    fn shown(&self, at: Utc) -> Local {
        let mut index = self.index(at);
        let mut latest = self.local(at);
        while index > 0 && self.spans[index].start > at.saturating_sub(FURTHEST) {
            let last = self.spans[index].start.saturating_sub(1);
            index -= 1;
            latest = latest.max(last.saturating_add(self.spans[index].offset));
        }
        latest
    }

    /// The next run of times that follow the clock: whenever it shows one, so twice in a doubled hour and never in a skipped.
    pub fn next_shown(&self, calendar: &Calendar, after: Utc) -> Option<Utc> {
        let mut from = after.saturating_add(1);
        let mut index = self.index(from);
        loop {
            let Span { offset, .. } = self.spans[index];
            let wanted = calendar.first_from(from.saturating_add(offset))?;
            let at = wanted.saturating_sub(offset);
            let end = self.end(index);
            if at < end {
                return Some(at);
            }
            // Nothing matches before `wanted`, and far from both ends no offset brings any span there.
            let far = if end > from.saturating_add(FURTHEST) { self.index(at.saturating_sub(FURTHEST)) } else { 0 };
            index = far.max(index + 1);
            from = self.spans[index].start;
        }
    }
}
