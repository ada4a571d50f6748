//! Lines of chance against others' word: the crate `croner` where it reads as Debian does, a search minute by minute where it
//! does not, and around every kind of change of clocks.

use chrono::{DateTime, Utc};
use croner::parser::CronParser;

use super::random::{Dice, Matcher, Minute, field, line};
use super::*;

/// The seeds of every run, and one that is new each time.
fn seeds(what: &str) -> Vec<u64> {
    let fresh = crate::clock::wall().0.unsigned_abs();
    eprintln!("{what}: the fresh seed is {fresh}");
    vec![1, 20_261_121, fresh]
}

/// Minutes since 1970, from 1975 to 2075.
fn some_time(dice: &mut Dice) -> i64 {
    2_629_800 + i64::try_from(dice.below(100 * 525_960)).unwrap()
}

#[test]
fn ten_thousand_lines_of_chance_come_due_when_croner_says_so() {
    let utc = Zone::utc();
    for seed in seeds("croner") {
        let mut dice = Dice(seed);
        let mut compared = 0;
        while compared < 3_400 {
            let mut fields: Vec<String> = (0..5).map(|of| field(&mut dice, of, false)).collect();
            // Croner takes a star with a step among the days for a restriction, and so for an "or".
            for of in [2, 4] {
                if fields[of].contains("*/") {
                    fields[of] = "*".into();
                }
            }
            let line = fields.join(" ");
            let after = some_time(&mut dice) * 60 + i64::try_from(dice.below(60)).unwrap();
            let Ok(schedule) = Schedule::parse(&line, utc.clone()) else {
                assert!(["29", "30", "31"].iter().any(|late| line.contains(late)), "seed {seed}: {line} is refused");
                continue;
            };
            let oracle = CronParser::new().parse(&line).unwrap_or_else(|why| panic!("seed {seed}: {line}: {why}"));
            let at = DateTime::<Utc>::from_timestamp(after, 0).unwrap();
            let expected = oracle.find_next_occurrence(&at, false).map(|at| at.timestamp() * 1_000);
            let found = schedule.next(Wall(after * 1_000)).map(|at| at.0);
            assert_eq!(found, expected.ok(), "seed {seed}: {line} after {at}");
            compared += 1;
        }
    }
}

#[test]
fn any_line_comes_due_at_the_first_minute_that_matches_stars_among_the_days_included() {
    let utc = Zone::utc();
    for seed in seeds("minute by minute") {
        let mut dice = Dice(seed);
        for _ in 0..700 {
            let line = line(&mut dice);
            let matcher = Matcher::of(&line);
            let after = some_time(&mut dice);
            match Schedule::parse(&line, utc.clone()) {
                Ok(schedule) => {
                    let next = schedule.next(Wall(after * 60_000)).map(|at| at.0 / 60_000);
                    assert_eq!(next, matcher.first_after(after), "seed {seed}: {line} after {after} min");
                }
                Err(why) => assert!(why.contains("never comes"), "seed {seed}: {line}: {why}"),
            }
        }
    }
}

/// A zone and the minute (UTC) of a change of its clocks.
const CHANGES: &[(&str, &str)] = &[
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    // Beyond what files list: by the rule.
    ("Europe/Berlin", "2060-03-28T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    // Half an hour.
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    // At midnight, forward: that day has no 00:00.
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("Asia/Beirut", "2026-03-28T22:00:00Z"),
    ("Asia/Beirut", "2026-10-24T21:00:00Z"),
    // Quarters of an hour.
    ("Pacific/Chatham", "2026-04-04T14:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    // A day that never was.
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    // Three and two hours.
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Antarctica/Casey", "2010-03-04T15:00:00Z"),
    // Summer time that is less than winter time, and a month without it.
    ("Europe/Dublin", "2026-10-25T01:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00:00Z"),
];

/// What the clocks there show, minute by minute: asked of the crate that reads the file, not of our table.
fn clock(zone: &str, minutes: std::ops::Range<i64>) -> Vec<(i64, i64)> {
    let bytes = std::fs::read(format!("/usr/share/zoneinfo/{zone}")).expect("the package tzdata is installed");
    let file = tz::TimeZone::from_tz_data(&bytes).expect("a zone");
    let offset = |at: i64| i64::from(file.find_local_time_type(at * 60).expect("an offset").ut_offset());
    minutes.map(|at| (at, (at * 60 + offset(at)).div_euclid(60))).collect()
}

#[test]
fn around_every_change_of_clocks_lines_come_due_as_a_clock_watcher_would_say() {
    const DAY: i64 = 1_440;
    for seed in seeds("changes") {
        let mut dice = Dice(seed);
        for (zone, change) in CHANGES {
            let change = wall(change).0 / 60_000;
            let shown = clock(zone, change - 2 * DAY..change + 2 * DAY);
            let step = shown.windows(2).find(|pair| pair[1].1 != pair[0].1 + 1).map(|pair| pair[1].0);
            assert_eq!(step, Some(change), "{zone}: the clocks change then");
            let minutes: Vec<Minute> = (shown.iter().map(|(_, local)| *local).min().unwrap()
                ..=shown.iter().map(|(_, local)| *local).max().unwrap())
                .map(Minute::of)
                .collect();
            let first = shown.iter().map(|(_, local)| *local).min().unwrap();
            let at = |local: i64| &minutes[usize::try_from(local - first).unwrap()];
            let here = Zone::named(zone).expect(zone);
            for round in 0..12 {
                // Of three lines one has its hours near the change, so that something happens there.
                let mut fields: Vec<String> = line(&mut dice).split(' ').map(str::to_owned).collect();
                let hour = Minute::of(shown[usize::try_from(2 * DAY).unwrap() - 1].1).hour;
                match round % 3 {
                    0 => fields[1] = format!("{hour},{},{}", (hour + 1) % 24, (hour + 2) % 24),
                    1 => fields[2..].fill("*".into()),
                    _ => {}
                }
                let line = fields.join(" ");
                let Ok(schedule) = Schedule::parse(&line, here.clone()) else { continue };
                let matcher = Matcher::of(&line);
                assert_eq!(schedule.is_fixed(), matcher.fixed, "{line}");
                let mut latest = shown[0].1;
                let mut expected = Vec::new();
                for (minute, local) in &shown[1..] {
                    let new = latest + 1..=*local;
                    latest = latest.max(*local);
                    let due = match matcher.fixed {
                        // All that this minute is the first to show, or to be past.
                        true => new.into_iter().any(|local| matcher.matches(at(local))),
                        false => matcher.matches(at(*local)),
                    };
                    if due {
                        expected.push(*minute);
                    }
                }
                let next = |after: Wall| schedule.next(after).map(|at| at.0);
                // Each of those around the change from the one before it.
                let near = |minute: &&i64| (**minute - change).abs() < 200;
                let mut after = Wall((change - 200) * 60_000);
                for minute in expected.iter().filter(near) {
                    let found = next(after);
                    assert_eq!(found, Some(minute * 60_000), "seed {seed}: {line} in {zone} after {}", after.rfc3339());
                    after = Wall(minute * 60_000);
                }
                // And from any moment.
                for _ in 0..10 {
                    let after = (change - 2 * DAY + 1 + i64::try_from(dice.below(3 * 1_440)).unwrap()) * 60_000
                        + i64::try_from(dice.below(60_000)).unwrap();
                    let expected = expected.iter().map(|minute| minute * 60_000).find(|at| *at > after);
                    let found = next(Wall(after)).filter(|at| *at < (change + 2 * DAY) * 60_000);
                    assert_eq!(found, expected, "seed {seed}: {line} in {zone} after {}", Wall(after).rfc3339());
                }
            }
        }
    }
}
