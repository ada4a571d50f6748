//! Small words: ages, values, and text of others made safe for a terminal.

use crate::model::time::Wall;

/// `45s`, `12m`, `7h`, `3d`: the age of `then` at `now`; nothing is younger than 0 s.
pub(super) fn age(then: Wall, now: Wall) -> String {
    let seconds = now.0.saturating_sub(then.0).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Ages of metrics are short, so tenths count: `1.2s`.
pub(super) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "0s".into();
    }
    if seconds < 10.0 { format!("{seconds:.1}s") } else { age(Wall(0), Wall((seconds * 1000.0) as i64)) }
}

/// One line without control characters: what an agent at some URL answers never moves a terminal's cursor.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As [`line`], but line breaks stay.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// `1 workload`, `2 workloads`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::{Wall, age, line, seconds};

    #[test]
    fn ages_are_short_and_never_negative() {
        let aged = |ms: i64| age(Wall(0), Wall(ms));
        assert_eq!([aged(-5), aged(119_999), aged(120_000)], ["0s", "119s", "2m"]);
        assert_eq!([aged(7_200_000), aged(172_800_000)], ["2h", "2d"]);
        assert_eq!(age(Wall(i64::MIN), Wall(i64::MAX)), "106751991167d");
        assert_eq!([seconds(1.23), seconds(42.0), seconds(f64::NAN), seconds(1e300)].len(), 4);
        assert_eq!(line("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
