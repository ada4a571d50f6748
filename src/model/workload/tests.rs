//! The wait between starts.

use proptest::prelude::*;

use super::*;

fn exponential(initial: u64, multiplier: f64, randomization: f64, max: u64) -> Retry {
    let (initial, max) = (Duration::from_secs(initial), Duration::from_secs(max));
    Retry::Exponential(Exponential { initial, multiplier, randomization, max })
}

#[test]
fn a_growing_wait_doubles_up_to_its_cap_and_stays_there_after_any_number_of_failures() {
    let retry = exponential(1, 2.0, 0.0, 300);
    let waits: Vec<u64> = (1..=11).map(|failures| retry.interval(failures, 7).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    // 62 failures are where others fall back to nothing.
    for failures in [62, 63, 64, 65, 1_000, 1_100, i32::MAX.unsigned_abs(), u32::MAX] {
        assert_eq!(retry.interval(failures, 0), Duration::from_secs(300), "{failures}");
    }
    // Before any failure it is the first wait.
    assert_eq!(retry.interval(0, 0), Duration::from_secs(1));
}

#[test]
fn a_constant_wait_is_the_same_each_time() {
    for failures in [0, 1, 62, u32::MAX] {
        assert_eq!(Retry::DEFAULT.interval(failures, u64::MAX), Duration::from_secs(20));
        assert_eq!(Retry::Constant(Duration::ZERO).interval(failures, 0), Retry::LEAST);
    }
}

proptest! {
    #[test]
    fn no_wait_is_below_a_second_or_above_its_share_of_the_cap(
        initial in 1u64..=86_400,
        multiplier in 1.0f64..=1e9,
        randomization in 0.0f64..1.0,
        max in 1u64..=86_400,
        failures in any::<u32>(),
        roll in any::<u64>(),
    ) {
        let wait = exponential(initial, multiplier, randomization, max).interval(failures, roll);
        prop_assert!(wait >= Retry::LEAST);
        prop_assert!(wait.as_secs_f64() <= max.max(initial) as f64 * (1.0 + randomization) + 1e-3);
    }

    #[test]
    fn without_chance_no_wait_is_shorter_than_the_one_before(
        initial in 1u64..=3_600, multiplier in 1.0f64..=100.0, max in 1u64..=86_400, failures in 0u32..u32::MAX,
    ) {
        let retry = exponential(initial, multiplier, 0.0, max);
        prop_assert!(retry.interval(failures, 0) <= retry.interval(failures + 1, u64::MAX));
        prop_assert!(retry.interval(failures, 0) >= Duration::from_secs(initial.min(max)));
    }

    #[test]
    fn chance_draws_a_wait_from_its_share_and_its_ends_are_reached(
        initial in 100u64..=3_600, randomization in 0.0f64..0.9, roll in any::<u64>(), failures in 1u32..1_000,
    ) {
        let retry = exponential(initial, 1.0, randomization, initial);
        let (mid, share) = (initial as f64, initial as f64 * randomization);
        let wait = retry.interval(failures, roll).as_secs_f64();
        prop_assert!((mid - share - 1e-3..=mid + share + 1e-3).contains(&wait), "{}", wait);
        prop_assert!((retry.interval(failures, 0).as_secs_f64() - (mid - share)).abs() < 1e-3);
        prop_assert!((retry.interval(failures, u64::MAX).as_secs_f64() - (mid + share)).abs() < 1e-3);
    }

    #[test]
    fn whatever_the_numbers_are_a_wait_is_a_wait(
        initial in any::<u64>(), multiplier in any::<f64>(), randomization in any::<f64>(), max in any::<u64>(),
        failures in any::<u32>(), roll in any::<u64>(),
    ) {
        prop_assert!(exponential(initial, multiplier, randomization, max).interval(failures, roll) >= Retry::LEAST);
    }
}
