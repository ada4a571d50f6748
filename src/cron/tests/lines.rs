//! What is taken, what is refused and with which words, and what it was understood as.

use proptest::prelude::*;

use super::*;

fn refused(line: &str) -> String {
    Schedule::parse(line, Zone::utc()).expect_err(line)
}

#[test]
fn what_is_of_another_cron_or_no_time_is_refused_with_its_column_and_what_would_be_right() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("", "column 1: ", &["is empty", "30 3 * * *"]),
        ("5", "column 2: ", &["1 of five fields", "hour is missing"]),
        ("* * * *", "column 8: ", &["4 of five fields", "day of week is missing"]),
        ("0 0 3 * * *", "column 11: ", &["6 fields", "none for seconds"]),
        ("0 0 3 * * * 2027", "column 11: ", &["7 fields", "none for seconds or years"]),
        ("* * * * * root /bin/true now", "column 11: ", &["8 fields", "there are five"]),
        ("60 * * * *", "column 1: minute: ", &["\"60\" is out of range", "0 to 59"]),
        ("0  24 * * *", "column 4: hour: ", &["\"24\" is out of range", "0 to 23"]),
        ("0 0 0 * *", "column 5: day of month: ", &["\"0\" is out of range", "1 to 31"]),
        ("0 0 * 13 *", "column 7: month: ", &["\"13\" is out of range", "jan to dec"]),
        ("0 0 * * 8", "column 9: day of week: ", &["\"8\" is out of range", "0 and 7 are Sunday"]),
        ("0 0 * * 1,2,99999999999999999999", "column 13: day of week: ", &["is out of range"]),
        ("0 0 L * *", "column 5: day of month: ", &["L (the last)", "0 0 1 * *"]),
        ("0 0 * * 5L", "column 9: day of week: ", &["L (the last)"]),
        ("0 0 15W * *", "column 5: day of month: ", &["W (the nearest working day)", "1-5"]),
        ("0 0 * * 5#3", "column 9: day of week: ", &["# (the nth weekday of a month)"]),
        ("0 0 ? * 1", "column 5: day of month: ", &["? is of another cron; write *"]),
        ("0~30 * * * *", "column 1: minute: ", &["~ (a time drawn by chance)"]),
        ("5/15 * * * *", "column 2: minute: ", &["a step needs a range", "5-59/15"]),
        ("*/0 * * * *", "column 3: minute: ", &["a step of 0"]),
        ("*/x * * * *", "column 3: minute: ", &["\"x\" is no step", "*/5"]),
        ("*/ * * * *", "column 3: minute: ", &["is no step"]),
        ("** * * * *", "column 1: minute: ", &["* stands alone or with a step"]),
        ("1,,2 * * * *", "column 3: minute: ", &["a value is missing"]),
        ("1, * * * *", "column 3: minute: ", &["a value is missing"]),
        ("-5 * * * *", "column 1: minute: ", &["a value is missing"]),
        ("10- * * * *", "column 4: minute: ", &["a value is missing"]),
        ("0 22-4 * * *", "column 3: hour: ", &["22-4 goes backwards", "write 22-23,0-4"]),
        ("0 0 * * fri-mon", "column 9: day of week: ", &["goes backwards", "write 5-6,0-1"]),
        ("0 0 * * fri-sun", "column 9: day of week: ", &["goes backwards", "write 5-7"]),
        ("0 0 * * sat-sun", "column 9: day of week: ", &["goes backwards", "write 6,0"]),
        ("0 0 * * monday", "column 9: day of week: ", &["\"monday\" is not known; write mon or 1"]),
        ("0 0 * foo *", "column 7: month: ", &["\"foo\" is not known", "jan to dec"]),
        ("0 mon * * *", "column 3: hour: ", &["\"mon\" is not known", "0 to 23"]),
        ("0 0 30 2 *", "column 5: day of month: ", &["never comes", "a day up to 29"]),
        ("0 0 31 4,6,9,11 *", "column 5: day of month: ", &["never comes", "a day up to 30"]),
        ("0 0 30,31 feb */2", "column 5: day of month: ", &["never comes"]),
        ("@reboot", "column 1: ", &["@reboot is no time", "starts with the device"]),
        (" @every 5m", "column 2: ", &["@every is of another cron", "*/5 * * * *"]),
        ("@fortnightly", "column 1: ", &["\"@fortnightly\" is not known", "@weekly"]),
        ("CRON_TZ=Asia/Tokyo 0 0 * * *", "column 1: ", &["cronTimeZone"]),
        ("\u{663}0 0 * * *", "column 1: minute: ", &["is not known"]),
    ];
    for (line, column, says) in cases {
        let why = refused(line);
        assert!(why.starts_with(column), "{line:?}: {why}");
        assert!(says.iter().all(|says| why.contains(says)), "{line:?}: {why}");
        assert!(why.len() < 300, "{line:?}: {why}");
    }
    assert!(refused(&"1,".repeat(600)).contains("longer than 1000 bytes"));
}

#[test]
fn what_crontab_5_has_is_taken_and_said_in_plain_words() {
    for (line, understood) in [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("@hourly", "at minute 0 of every hour"),
        ("15,45 * * * *", "at minutes 15 and 45 of every hour"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("*/60 * * * *", "at minute 0 of every hour"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00, every day"),
        ("30 */2 * * *", "at minute 30 of every 2 hours, every day"),
        ("*/10 8-17 * * mon-fri", "every 10 minutes of hours 8 to 17, on Monday to Friday"),
        ("* 2 * * *", "every minute of hour 2, every day"),
        ("@daily", "at 00:00, every day"),
        ("@Midnight", "at 00:00, every day"),
        ("@weekly", "at 00:00, on Sunday"),
        ("0 0 * * 7", "at 00:00, on Sunday"),
        ("0 0 * * 5-7", "at 00:00, on Friday to Sunday"),
        ("@monthly", "at 00:00, on day 1 of the month"),
        ("@yearly", "at 00:00, on day 1 of the month, in January"),
        ("@annually", "at 00:00, on day 1 of the month, in January"),
        ("30 3 1,15 JAN-mar *", "at 03:30, on day 1 and 15 of the month, in January to March"),
        ("0 12 13 * fri", "at 12:00, on day 13 of the month, and on Friday"),
        (
            "0 12 */2 * fri",
            "at 12:00, on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month when it is Friday",
        ),
        ("0 12 1-31 * fri", "at 12:00, every day"),
        ("0 0 30 2 1", "at 00:00, on day 30 of the month, and on Monday, in February"),
        (" 0\t0 29 2 *\n", "at 00:00, on day 29 of the month, in February"),
    ] {
        let schedule = Schedule::parse(line, Zone::utc()).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(schedule.describe(), format!("{understood} (UTC)"), "{line}");
        assert_eq!(schedule.expression(), line);
    }
}

#[test]
fn days_are_joined_by_or_only_where_neither_field_has_a_star() {
    let after = "2026-11-01T00:00:00Z";
    assert_eq!(
        runs("0 0 13 * fri", "UTC", after, 4),
        ["2026-11-06T00:00Z", "2026-11-13T00:00Z", "2026-11-20T00:00Z", "2026-11-27T00:00Z"]
    );
    assert_eq!(runs("0 0 13 * */5", "UTC", after, 2), ["2026-11-13T00:00Z", "2026-12-13T00:00Z"]);
    assert_eq!(runs("0 0 */2 * fri", "UTC", after, 2), ["2026-11-13T00:00Z", "2026-11-27T00:00Z"]);
    assert_eq!(runs("0 0 1 * mon", "UTC", after, 3), ["2026-11-02T00:00Z", "2026-11-09T00:00Z", "2026-11-16T00:00Z"]);
}

#[test]
fn what_comes_seldom_is_found_and_after_the_year_2100_nothing_is() {
    assert_eq!(runs("0 0 29 2 */9", "Europe/Berlin", "2026-11-01T00:00:00Z", 1), ["2032-02-28T23:00Z"]);
    assert_eq!(runs("59 23 31 12 *", "UTC", "2099-12-31T23:58:59Z", 3), ["2099-12-31T23:59Z", "2100-12-31T23:59Z"]);
    let each_minute = schedule("* * * * *", "America/St_Johns");
    for (after, next) in [(i64::MIN, true), (-1, true), (0, true), (4_200_000_000_000, false), (i64::MAX, false)] {
        let found = each_minute.next(Wall(after));
        assert_eq!(found.is_some(), next, "{after}: {found:?}");
        assert!(found.is_none_or(|at| at.0 > after));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_text_is_too_strange(
        text in prop_oneof![any::<String>(), "[0-9*/,\\- LW#?@a-z]{0,40}", "([0-9*/,-]{1,6} ){4}[0-9*/,-]{1,6}"],
        after in any::<i64>(),
    ) {
        match Schedule::parse(&text, Zone::utc()) {
            Ok(schedule) => {
                prop_assert!(schedule.next(Wall(after)).is_none_or(|next| next.0 > after));
                prop_assert!(!schedule.describe().is_empty());
            }
            Err(why) => {
                let column = why.strip_prefix("column ").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
                prop_assert!(column.is_some_and(|column| column >= 1 && column <= text.chars().count() + 1), "{}", why);
            }
        }
    }
}
