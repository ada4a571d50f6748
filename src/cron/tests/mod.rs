//! What the user is promised of a cron line.

mod lines;
mod oracles;
mod random;

use super::*;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, Zone::named(zone).expect(zone)).expect(expression)
}

fn wall(text: &str) -> Wall {
    Wall::parse_rfc3339(text).expect(text)
}

/// The next times, in RFC 3339 without milliseconds.
fn runs(expression: &str, zone: &str, after: &str, many: usize) -> Vec<String> {
    let schedule = schedule(expression, zone);
    let mut at = wall(after);
    let mut found = Vec::new();
    for _ in 0..many {
        let Some(next) = schedule.next(at) else { break };
        found.push(next.rfc3339().replace(":00.000Z", "Z"));
        at = next;
    }
    found
}

#[test]
fn a_fixed_time_in_a_skipped_hour_runs_once_at_its_end_and_in_a_doubled_hour_once() {
    // 29 March 2026: 02:00 becomes 03:00 (01:00 UTC).
    assert_eq!(
        runs("30 2 * 3 *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]
    );
    assert_eq!(
        runs("0,30 2,3 29 3 *", "Europe/Berlin", "2026-03-27T12:00:00Z", 2),
        ["2026-03-29T01:00Z", "2026-03-29T01:30Z"]
    );
    // 25 October 2026: 03:00 becomes 02:00 (01:00 UTC).
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]
    );
}

#[test]
fn wildcard_hours_follow_real_time() {
    assert_eq!(
        runs("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
        ["2026-03-29T00:30Z", "2026-03-29T01:30Z", "2026-03-29T02:30Z"]
    );
    assert_eq!(
        runs("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 5),
        ["2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-26T01:00Z"]
    );
    assert_eq!(
        runs("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-30T00:00Z", "2026-03-30T00:30Z"]
    );
}

#[test]
fn the_table_of_docs_cron_md_holds() {
    // The clock goes from 02:00 to 03:00 at 01:00 UTC, and from 03:00 to 02:00 at 01:00 UTC.
    let (march, october) = ("2026-03-29T00:00:00Z", "2026-10-24T23:59:00Z");
    for (line, spring, autumn) in [
        ("30 2 * * *", &["01:00"][..], &["00:30"][..]),
        ("0,30 2,3 * * *", &["01:00", "01:30"], &["00:00", "00:30", "02:00", "02:30"]),
        ("30 4 * * *", &["02:30"], &["03:30"]),
        ("30 1-3 * * *", &["00:30", "01:00", "01:30"], &["00:30", "02:30"]),
        ("30 * * * *", &["00:30", "01:30", "02:30"], &["00:30", "01:30", "02:30"]),
        ("*/30 2 * * *", &[], &["00:00", "00:30", "01:00", "01:30"]),
    ] {
        for (day, after, expected) in [("2026-03-29", march, spring), ("2026-10-25", october, autumn)] {
            let found = runs(line, "Europe/Berlin", after, expected.len() + 1);
            let expected: Vec<String> = expected.iter().map(|at| format!("{day}T{at}Z")).collect();
            let (those, later) = found.split_at(expected.len());
            assert_eq!(those, expected, "{line}");
            // Nothing else while the clocks change.
            assert!(later.iter().all(|at| *at > format!("{day}T02:45Z")), "{line}: {later:?}");
        }
    }
}

#[test]
fn clocks_that_change_by_half_an_hour_at_midnight_or_by_a_day_lose_no_fixed_time() {
    // Lord Howe: 02:00 becomes 02:30 (15:30 UTC), and 02:00 becomes 01:30 (15:00 UTC).
    assert_eq!(
        runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
        ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]
    );
    assert_eq!(
        runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", 2),
        ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]
    );
    // A day without 00:00, and one that begins twice.
    assert_eq!(
        runs("@daily", "America/Santiago", "2026-09-05T12:00:00Z", 2),
        ["2026-09-06T04:00Z", "2026-09-07T03:00Z"]
    );
    assert_eq!(
        runs("30 23 4 4 *", "America/Santiago", "2026-01-01T00:00:00Z", 2),
        ["2026-04-05T02:30Z", "2027-04-05T03:30Z"]
    );
    assert_eq!(runs("@daily", "Asia/Beirut", "2026-03-28T12:00:00Z", 1), ["2026-03-28T22:00Z"]);
    // Apia went from 29 to 31 December 2011 (10:00 UTC on the 30th).
    assert_eq!(
        runs("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 3),
        ["2011-12-30T10:00Z", "2011-12-30T22:00Z", "2011-12-31T22:00Z"]
    );
    assert_eq!(runs("0 */12 30 12 *", "Pacific/Apia", "2011-12-29T23:00:00Z", 1), ["2012-12-29T10:00Z"]);
}
