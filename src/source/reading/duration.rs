//! Durations as people write them: `30s`, `5m`, `1h30m`, `500ms`, or whole seconds (SPEC "Sources of desired state").

use std::time::Duration;

/// What is right, for sentences.
pub(crate) const FORM: &str = "a duration like 30s, 5m, 1h30m or 500ms, or whole seconds";

/// Ten years: more is a typing error.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads a duration.
///
/// # Errors
/// A sentence that says what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{:?} is not {FORM}", super::tree::short(text));
    let all = text.trim();
    // `parse` would take `+5`.
    if let Some(seconds) = all.parse::<u64>().ok().filter(|_| !all.starts_with('+')) {
        return Some(Duration::from_secs(seconds)).filter(|length| *length <= LONGEST).ok_or_else(wrong);
    }
    let mut rest = all;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit_ms, used) = match rest.as_bytes() {
            [b'm', b's', ..] => (1, 2),
            [b's', ..] => (1_000, 1),
            [b'm', ..] => (60_000, 1),
            [b'h', ..] => (3_600_000, 1),
            [b'd', ..] => (86_400_000, 1),
            _ => return Err(wrong()),
        };
        rest = &rest[used..];
        let part = Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(wrong)?);
        sum = sum.checked_add(part).ok_or_else(wrong)?;
    }
    if all.is_empty() || sum > LONGEST { Err(wrong()) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in
            [("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("500ms", 500), ("20", 20_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-5s", "+5", "1.5s", "5 s", "5x", "99999999999999999999s", "9999999999h", "1h30"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
