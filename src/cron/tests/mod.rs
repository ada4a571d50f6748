//! What the user is promised of a cron line.

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
