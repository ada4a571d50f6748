//! What is in a file of the time zone database, and in a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.

use chrono::{Days, NaiveDate, Weekday};
use tz::timezone::{AlternateTime, RuleDay, TransitionRule};

use super::table::{Span, Table};

/// The last year in which a rule is carried out: no cron line is searched for beyond 2100.
const LAST_YEAR: i32 = 2101;
/// The first: no device's clock is before.
const FIRST_YEAR: i32 = 1969;

/// Reads a TZif file (RFC 9636).
pub(super) fn read(bytes: &[u8]) -> Result<Table, String> {
    let zone = tz::TimeZone::from_tz_data(bytes).map_err(|why| why.to_string())?;
    Ok(table(&zone))
}

/// Reads a rule as TZ holds it.
pub(super) fn rule(text: &str) -> Result<Table, String> {
    // No directory: a rule, never the name of a file.
    let settings = tz::timezone::TimeZoneSettings::new(&[], |_| Err("no file".into()));
    Ok(table(&settings.parse_posix_tz(text).map_err(|why| why.to_string())?))
}

fn table(zone: &tz::TimeZone) -> Table {
    let zone = zone.as_ref();
    let types = zone.local_time_types();
    let offset = |index: usize| types.get(index).map_or(0, |of| i64::from(of.ut_offset()));
    let mut changes: Vec<Span> = Vec::new();
    for change in zone.transitions() {
        // Files that count leap seconds ("right/…") are ahead of the clock by as many.
        let counted = change.unix_leap_time();
        let leap = zone.leap_seconds().iter().rev().find(|leap| leap.unix_leap_time() <= counted);
        let start = counted.saturating_sub(leap.map_or(0, |leap| i64::from(leap.correction())));
        changes.push(Span { start, offset: offset(change.local_time_type_index()) });
    }
    let mut first = offset(0);
    match zone.extra_rule() {
        None => {}
        Some(TransitionRule::Fixed(kind)) if changes.is_empty() => first = i64::from(kind.ut_offset()),
        Some(TransitionRule::Fixed(_)) => {}
        Some(TransitionRule::Alternate(rule)) => {
            if changes.is_empty() {
                first = i64::from(rule.std().ut_offset());
            }
            let after = changes.last().map_or(i64::MIN, |last| last.start);
            changes.extend(carried_out(rule).into_iter().filter(|change| change.start > after));
        }
    }
    Table::new(first, changes)
}

/// The changes of all years.
fn carried_out(rule: &AlternateTime) -> Vec<Span> {
    let (winter, summer) = (i64::from(rule.std().ut_offset()), i64::from(rule.dst().ut_offset()));
    let mut changes = Vec::new();
    for year in FIRST_YEAR..=LAST_YEAR {
        // Times of day are those of the clock before the change.
        let midnights = day(rule.dst_start(), year).zip(day(rule.dst_end(), year));
        let Some((start, end)) = midnights else { continue };
        changes.push(Span { start: start + i64::from(rule.dst_start_time()) - winter, offset: summer });
        changes.push(Span { start: end + i64::from(rule.dst_end_time()) - summer, offset: winter });
    }
    changes
}

/// The midnight of a rule's day, as if in UTC.
fn day(of: &RuleDay, year: i32) -> Option<i64> {
    let january = NaiveDate::from_ymd_opt(year, 1, 1)?;
    let date = match of {
        // 1 to 365: 29 February is never counted.
        RuleDay::Julian1WithoutLeap(day) => {
            let late = january.leap_year() && day.get() > 59;
            january.checked_add_days(Days::new(u64::from(day.get()) - u64::from(!late)))?
        }
        RuleDay::Julian0WithLeap(day) => january.checked_add_days(Days::new(u64::from(day.get())))?,
        RuleDay::MonthWeekDay(day) => {
            // 0 is Sunday.
            let weekday = Weekday::try_from((day.week_day() + 6) % 7).ok()?;
            let nth = |week| NaiveDate::from_weekday_of_month_opt(year, u32::from(day.month()), weekday, week);
            // 5 is the last.
            nth(day.week()).or_else(|| nth(4))?
        }
    };
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
}
