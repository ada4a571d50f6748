//! The body of `POST /metrics`.
#![no_main]

use flotta_agent::condition::payload::{MAX_BATCH, MAX_UNIT, check_name, read_request};
use flotta_agent::gates::{Gates, Settings};
use flotta_agent::model::metric::MetricSource;
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_fuzz::is_sentence;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let updates = match read_request(data) {
        Ok(updates) => updates,
        Err(why) => return is_sentence(&why),
    };
    assert!(updates.len() <= MAX_BATCH);
    let said: serde_json::Value = serde_json::from_slice(data).expect("what was taken is JSON");
    let entries: Vec<&serde_json::Value> = said.as_array().map_or_else(|| vec![&said], |all| all.iter().collect());
    assert_eq!(updates.len(), entries.len());
    for (update, entry) in updates.iter().zip(entries) {
        assert_eq!(check_name(&update.name), Ok(()));
        assert!(update.value.is_none_or(f64::is_finite), "{update:?}");
        assert!(update.unit.as_ref().is_none_or(|unit| unit.len() <= MAX_UNIT), "{update:?}");
        // Nothing that was said is lost on the way.
        let says = |field: &str| entry.get(field).is_some_and(|value| !value.is_null());
        assert_eq!(update.value.is_some(), says("value"), "{update:?}");
        assert_eq!(update.ttl.is_some(), says("ttl_seconds"), "{update:?}");
        assert_eq!(update.timestamp.is_some(), says("timestamp"), "{update:?}");
    }
    let mut gates = Gates::new(Settings::default());
    let now = Now { mono: Mono(1_000), wall: Wall(1_800_000_000_000) };
    match gates.apply(&updates, MetricSource::Http, now) {
        Ok(_) => {
            let last = |name: &str| updates.iter().rev().find(|update| update.name == name).and_then(|one| one.value);
            for update in &updates {
                assert_eq!(gates.value(&update.name), last(&update.name), "{}", update.name);
            }
            let shown = serde_json::to_string(&gates.metrics(now)).expect("it can be shown");
            assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
            // Deadlines pass, in order, and then there is none left.
            let mut at = now;
            for _ in 0..=updates.len() {
                let Some(deadline) = gates.next_deadline() else { break };
                assert!(deadline >= at.mono);
                at.mono = deadline;
                gates.advance(at);
            }
            assert_eq!(gates.next_deadline(), None);
        }
        Err(why) => {
            is_sentence(&why.message);
            assert!(gates.metrics(now).is_empty(), "all of it is taken, or nothing");
        }
    }
});
