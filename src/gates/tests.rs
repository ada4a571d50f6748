use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::profile::ConditionSpec;
use crate::model::time::Wall;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_700_000_000_000 + i64::try_from(ms).expect("small")) }
}

fn spec(expression: &str, hold_off: u64, hold: u64) -> Vec<ProfileSpec> {
    vec![ProfileSpec {
        name: "load".into(),
        conditions: vec![ConditionSpec {
            name: "low".into(),
            expression: expression.into(),
            hold_off: Duration::from_millis(hold_off),
            hold: Duration::from_millis(hold),
        }],
    }]
}

fn refs() -> Vec<ProfileRef> {
    vec![ProfileRef {
        name: "load".into(),
        conditions: vec![ConditionRef { name: "low".into(), cpu_quota_us: Some(20_000) }],
    }]
}

fn update(name: &str, value: Option<f64>) -> MetricUpdate {
    MetricUpdate { name: name.into(), value, unit: None, timestamp: None, ttl: None }
}

fn set(gates: &mut Gates, value: f64, now: Now) -> Changed {
    gates.apply(&[update("cpu", Some(value))], MetricSource::Http, now).expect("taken")
}

fn is_open(gates: &Gates) -> bool {
    matches!(gates.gate(&refs()), Gate::Open { .. })
}

#[test]
fn a_metric_opens_and_closes_the_gate_and_the_sentence_says_why() {
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&spec("cpu < 50", 0, 0), at(0));
    assert_eq!(gates.gate(&refs()), Gate::Closed { reason: Reason::ConditionFalse });
    assert!(gates.explain(&refs(), at(0)).contains("cpu is nil (it never arrived)"));
    assert!(set(&mut gates, 20.0, at(1)).truth);
    assert_eq!(gates.gate(&refs()), Gate::Open { cpu_quota_us: Some(20_000) });
    assert!(!set(&mut gates, 21.0, at(2)).truth);
    assert!(set(&mut gates, 90.0, at(3)).truth);
    let why = gates.explain(&refs(), at(4));
    assert!(why.contains("profile load: low (cpu < 50) is false: cpu is 90 (arrived "), "{why}");
    assert_eq!(gates.falls(&refs()), 1);
}

#[test]
fn what_the_device_does_not_have_is_never_true_and_said() {
    let mut gates = Gates::new(Settings::default());
    assert_eq!(gates.gate(&refs()), Gate::Closed { reason: Reason::UnknownProfile });
    assert!(gates.explain(&refs(), at(0)).contains("no profile \"load\""));
    gates.set_profiles(&spec("cpu < 50", 0, 0), at(0));
    let other = vec![ProfileRef {
        name: "load".into(),
        conditions: vec![ConditionRef { name: "high".into(), cpu_quota_us: None }],
    }];
    assert_eq!(gates.gate(&other), Gate::Closed { reason: Reason::UnknownProfile });
    assert!(gates.explain(&other, at(0)).contains("no condition \"high\""));
}

#[test]
fn for_counts_from_the_beginning_again_after_a_blip() {
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&spec("cpu < 50", 1000, 0), at(0));
    set(&mut gates, 1.0, at(0));
    assert_eq!(gates.next_deadline(), Some(Mono(1000)));
    set(&mut gates, 90.0, at(500));
    set(&mut gates, 1.0, at(501));
    assert!(!gates.advance(at(1000)).truth);
    assert!(gates.explain(&refs(), at(1000)).contains("is true and counts from"));
    assert!(gates.advance(at(1501)).truth && is_open(&gates));
}

#[test]
fn hold_keeps_it_true_and_a_value_that_comes_late_meets_what_was_due() {
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&spec("cpu < 50", 0, 1000), at(0));
    set(&mut gates, 1.0, at(0));
    set(&mut gates, 90.0, at(100));
    assert!(is_open(&gates));
    // The hold ended at 1100, before this value: it fell once.
    set(&mut gates, 1.0, at(2000));
    assert!(is_open(&gates));
    assert_eq!(gates.falls(&refs()), 1);
}

#[test]
fn a_time_to_live_ends_and_the_metric_is_nil() {
    let mut gates = Gates::new(Settings { default_ttl: Some(Duration::from_secs(1)), ..Settings::default() });
    gates.set_profiles(&spec("cpu < 50", 0, 0), at(0));
    set(&mut gates, 1.0, at(0));
    set(&mut gates, 1.0, at(900));
    assert!(!gates.advance(at(1000)).truth);
    assert_eq!(gates.next_deadline(), Some(Mono(1900)));
    assert!(gates.advance(at(1900)).truth && !is_open(&gates));
    assert!(gates.metrics(at(1900)).is_empty());
    assert!(gates.explain(&refs(), at(1900)).contains("its time to live ended"));
}

#[test]
fn after_a_restart_the_stored_truth_counts_until_metrics_or_the_grace() {
    let mut before = Gates::new(Settings::default());
    before.set_profiles(&spec("cpu < 50", 0, 0), at(0));
    set(&mut before, 1.0, at(0));
    let restarted = || {
        let mut gates = Gates::new(Settings::default());
        gates.restore(before.truths(), at(10_000));
        gates.set_profiles(&spec("cpu < 50", 0, 0), at(10_001));
        gates
    };
    let gates = restarted();
    assert!(is_open(&gates) && gates.profiles(at(10_002))[0].conditions[0].stale);
    let mut gates = restarted();
    assert!(set(&mut gates, 1.0, at(10_100)).truth, "staleness is over, which is news");
    assert!(is_open(&gates) && !gates.profiles(at(10_102))[0].conditions[0].stale);
    let mut gates = restarted();
    set(&mut gates, 90.0, at(10_100));
    assert!(!is_open(&gates));
    let mut gates = restarted();
    assert!(gates.advance(at(130_000)).truth && !is_open(&gates));
    // Another expression has no stored truth.
    let mut gates = Gates::new(Settings::default());
    gates.restore(before.truths(), at(10_000));
    gates.set_profiles(&spec("cpu < 51", 0, 0), at(10_001));
    assert!(!is_open(&gates));
}

#[test]
fn nothing_of_a_batch_is_taken_when_one_entry_is_refused() {
    let mut gates = Gates::new(Settings::default());
    let stamped = |value, ms| MetricUpdate { timestamp: Some(Wall(ms)), ..update("x", Some(value)) };
    gates.apply(&[stamped(1.0, 100)], MetricSource::Http, at(0)).expect("taken");
    let refused = gates.apply(&[update("y", Some(1.0)), stamped(2.0, 99)], MetricSource::Http, at(1));
    assert_eq!(refused.expect_err("older").kind, RefusedKind::Older);
    assert_eq!((gates.value("x"), gates.value("y")), (Some(1.0), None));
    let refused = gates.apply(&[update("z", Some(f64::NAN))], MetricSource::Http, at(1));
    assert_eq!(refused.expect_err("NaN").kind, RefusedKind::NotFinite);
}

#[test]
fn names_are_bounded_and_clearing_makes_room() {
    let mut gates = Gates::new(Settings::default());
    for n in 0..MAX_METRICS {
        gates.apply(&[update(&format!("m{n}"), Some(1.0))], MetricSource::Mqtt, at(0)).expect("room");
    }
    let full = gates.apply(&[update("more", Some(1.0))], MetricSource::Mqtt, at(0)).expect_err("full");
    assert_eq!(full.kind, RefusedKind::TooManyNames);
    gates.apply(&[update("m7", Some(2.0))], MetricSource::Mqtt, at(0)).expect("a known name always has room");
    gates.apply(&[update("m7", None)], MetricSource::Mqtt, at(0)).expect("cleared");
    gates.apply(&[update("more", Some(1.0))], MetricSource::Mqtt, at(0)).expect("room again");
}

#[test]
fn an_edited_profile_keeps_the_truth_of_what_stayed() {
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&spec("cpu < 50", 0, 0), at(0));
    set(&mut gates, 1.0, at(0));
    let mut more = spec("cpu < 50", 0, 0);
    more[0].conditions.push(ConditionSpec {
        name: "wrong".into(),
        expression: "cpu <".into(),
        hold_off: Duration::ZERO,
        hold: Duration::ZERO,
    });
    gates.set_profiles(&more, at(5));
    assert!(is_open(&gates));
    let profile = &gates.profiles(at(5))[0];
    assert!(profile.conditions[1].error.as_ref().is_some_and(|why| why.contains("column 6")), "{profile:?}");
    assert_eq!(profile.conditions[0].metrics, BTreeMap::from([("cpu".into(), Some(1.0))]));
}

/// The truth of `x < 5` with `for`, `hold` and a time to live, computed millisecond by millisecond.
fn naive(history: &[(u64, Option<f64>, Option<u64>)], hold_off: u64, hold: u64, until: u64) -> bool {
    let (mut truth, mut differs_since) = (false, None::<u64>);
    let mut held: Option<(f64, Option<u64>)> = None;
    for ms in 0..=until {
        let judge = |raw: bool, truth: &mut bool, differs_since: &mut Option<u64>| {
            if raw == *truth {
                *differs_since = None;
                return;
            }
            let since = *differs_since.get_or_insert(ms);
            if ms - since >= if raw { hold_off } else { hold } {
                *truth = raw;
                *differs_since = None;
            }
        };
        let raw = |held: &Option<(f64, Option<u64>)>| held.is_some_and(|(value, _)| value < 5.0);
        if held.is_some_and(|(_, expires)| expires == Some(ms)) {
            // Timers that were due by then go first.
            judge(raw(&held), &mut truth, &mut differs_since);
            held = None;
        }
        judge(raw(&held), &mut truth, &mut differs_since);
        for (_, value, ttl) in history.iter().filter(|(when, _, _)| *when == ms) {
            held = value.map(|value| (value, ttl.map(|ttl| ms + ttl)));
            judge(raw(&held), &mut truth, &mut differs_since);
        }
    }
    truth
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_clock_ticking_every_millisecond(
        mut history in prop::collection::vec((0u64..60, prop::option::of(0..10), prop::option::of(1u64..20)), 0..20),
        hold_off in 0u64..12, hold in 0u64..12,
    ) {
        history.sort_by_key(|(when, _, _)| *when);
        let history: Vec<_> = history.into_iter().map(|(w, v, t)| (w, v.map(f64::from), t)).collect();
        let mut gates = Gates::new(Settings::default());
        gates.set_profiles(&spec("x < 5", hold_off, hold), at(0));
        let mut next = history.iter().peekable();
        for ms in 0..80 {
            gates.advance(at(ms));
            prop_assert!(gates.next_deadline().is_none_or(|due| due > Mono(ms)));
            while let Some((_, value, ttl)) = next.next_if(|(when, _, _)| *when == ms) {
                let ttl = ttl.map(Duration::from_millis);
                let one = MetricUpdate { ttl, ..update("x", *value) };
                gates.apply(&[one], MetricSource::Mqtt, at(ms)).expect("taken");
            }
            prop_assert_eq!(is_open(&gates), naive(&history, hold_off, hold, ms), "at {} ms", ms);
        }
    }
}
