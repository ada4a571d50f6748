//! The wait between starts: what is written of a growing one, and what holds where nothing is, or nothing that can be used.

use std::time::Duration;

use super::limits::RETRY_SECONDS;
use crate::model::workload::Exponential;

/// What holds of a growing wait where nothing is said: 1 s, 2 s, 4 s … 5 min, each up to a tenth longer or shorter.
pub(crate) const DEFAULT: Exponential =
    Exponential { initial: Duration::from_secs(1), multiplier: 2.0, randomization: 0.1, max: Duration::from_secs(300) };

/// A growing wait as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Growing {
    /// `initialIntervalSeconds`.
    pub initial: Option<f64>,
    /// `multiplier`.
    pub multiplier: Option<f64>,
    /// `randomizationFactor`.
    pub randomization: Option<f64>,
    /// `maxIntervalSeconds`.
    pub max: Option<f64>,
}

impl Growing {
    /// What is used. `wrong` gets the field and a sentence for each number that cannot be.
    pub fn used(&self, mut wrong: impl FnMut(&'static str, String)) -> Exponential {
        let (least, most) = RETRY_SECONDS;
        let mut seconds = |field: &'static str, written: f64, instead: Duration| {
            // Both are small whole numbers.
            let (from, to) = (Duration::from_secs(least.unsigned_abs()), Duration::from_secs(most.unsigned_abs()));
            let instead = match Duration::try_from_secs_f64(written) {
                Ok(found) if (from..=to).contains(&found) => return found,
                // Too long to be told is too long as well.
                _ if written > 0.0 && written >= to.as_secs_f64() => to,
                _ => instead,
            };
            let used = instead.as_secs();
            wrong(field, format!("must be seconds from {least} to {most}, not {written}: {used} is used"));
            instead
        };
        let initial =
            self.initial.map_or(DEFAULT.initial, |written| seconds("initialIntervalSeconds", written, DEFAULT.initial));
        // Where no cap is said, a first wait beyond the usual one is not cut.
        let usual = DEFAULT.max.max(initial);
        let max = self.max.map_or(usual, |written| seconds("maxIntervalSeconds", written, usual));
        if max < initial {
            let (max, initial) = (max.as_secs_f64(), initial.as_secs_f64());
            let message = format!("{max} is less than the first wait: {initial} is used, so each wait is the same");
            wrong("maxIntervalSeconds", message);
        }
        let mut number = |field, written: Option<f64>, right: &str, ok: fn(f64) -> bool, instead: f64| match written {
            Some(written) if !ok(written) => {
                wrong(field, format!("must be {right}, not {written}: {instead} is used"));
                instead
            }
            written => written.unwrap_or(instead),
        };
        let grows = |factor: f64| factor.is_finite() && factor >= 1.0;
        let share = |share: f64| (0.0..1.0).contains(&share);
        Exponential {
            initial,
            multiplier: number("multiplier", self.multiplier, "1 or more", grows, DEFAULT.multiplier),
            randomization: number(
                "randomizationFactor",
                self.randomization,
                "from 0 to below 1",
                share,
                DEFAULT.randomization,
            ),
            max: max.max(initial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_that_cannot_be_used_is_named_with_what_is_used_instead() {
        let none = |field: &str, why: String| panic!("{field}: {why}");
        assert_eq!(Growing::default().used(none), DEFAULT);
        let right = Growing { initial: Some(2.5), multiplier: Some(1.0), randomization: Some(0.0), max: Some(60.0) };
        let expected = Exponential {
            initial: Duration::from_millis(2_500),
            multiplier: 1.0,
            randomization: 0.0,
            max: Duration::from_secs(60),
        };
        assert_eq!(right.used(none), expected);
        let long = Growing { initial: Some(1_000.0), ..Growing::default() };
        assert_eq!(long.used(none).max, Duration::from_secs(1_000), "a cap that nobody wrote cuts nothing");

        let growing = Growing::default();
        let cases: &[(Growing, &str, &str, Exponential)] = &[
            (Growing { initial: Some(0.0), ..growing }, "initialIntervalSeconds", "not 0: 1 is used", DEFAULT),
            (Growing { initial: Some(-4.0), ..growing }, "initialIntervalSeconds", "not -4: 1 is used", DEFAULT),
            (Growing { multiplier: Some(0.5), ..growing }, "multiplier", "1 or more, not 0.5: 2 is used", DEFAULT),
            (Growing { randomization: Some(1.0), ..growing }, "randomizationFactor", "not 1: 0.1 is used", DEFAULT),
            (Growing { randomization: Some(-0.1), ..growing }, "randomizationFactor", "not -0.1: 0.1", DEFAULT),
            (Growing { max: Some(0.2), ..growing }, "maxIntervalSeconds", "not 0.2: 300 is used", DEFAULT),
            (
                Growing { max: Some(1e300), ..growing },
                "maxIntervalSeconds",
                "86400 is used",
                Exponential { max: Duration::from_secs(86_400), ..DEFAULT },
            ),
            (
                Growing { initial: Some(60.0), max: Some(10.0), ..growing },
                "maxIntervalSeconds",
                "10 is less than the first wait: 60 is used",
                Exponential { initial: Duration::from_secs(60), max: Duration::from_secs(60), ..DEFAULT },
            ),
        ];
        for (written, field, says, used) in cases {
            let mut said = Vec::new();
            assert_eq!(written.used(|field, why| said.push((field, why))), *used, "{written:?}");
            let [(at, why)] = said.as_slice() else { panic!("{written:?}: {said:?}") };
            assert!(at == field && why.contains(says), "{written:?}: {at}: {why}");
        }
    }
}
