//! The server's configuration: two answers, one after the other, separated by a NUL; up to what is stored of them.
#![no_main]

use flotta_agent::model::desired::Desired;
use flotta_agent::source::flotta::desired::{
    MAX_PERIOD, MAX_PROBLEMS, Outcome, Settings, StoredConfiguration, desired, same_content,
};
use flotta_agent::source::flotta::wire::configuration::{Configuration, MAX_WORKLOADS};
use flotta_agent::source::merge::merge;
use flotta_agent::spec_hash::DeviceKey;
use flotta_fuzz::{is_sentence, texts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let settings = Settings { device_id: "toto".into(), key: DeviceKey::new([7; 32]) };
    let mut before: Option<Outcome> = None;
    for text in texts(data).into_iter().take(3) {
        let Ok(content) = serde_json::from_str(text) else { continue };
        let configuration = match Configuration::read(&content) {
            Ok(configuration) => configuration,
            Err(why) => {
                is_sentence(&why);
                continue;
            }
        };
        assert!(same_content(&configuration, &configuration));
        let outcome = desired(&configuration, &settings, before.as_ref());
        assert!(outcome == desired(&configuration, &settings, before.as_ref()), "the same every time");
        is_sound(&outcome);

        let again = desired(&configuration, &settings, Some(&outcome));
        assert_eq!(again.desired, outcome.desired, "the same answer again changes nothing");
        let stored = serde_json::to_vec(&StoredConfiguration::of(&outcome)).expect("JSON");
        let stored: StoredConfiguration = serde_json::from_slice(&stored).expect("what was written");
        assert!(same_content(&stored.configuration().expect("one"), &configuration));
        let restarted = stored.outcome(&settings).expect("one");
        assert_eq!(restarted.desired.workloads, outcome.desired.workloads, "a restart changes nothing");
        assert_eq!(restarted.desired.profiles, outcome.desired.profiles, "a restart changes nothing");
        assert_eq!(merge(&Desired::default(), &outcome.desired).workloads, outcome.desired.workloads);
        before = Some(outcome);
    }
});

fn is_sound(outcome: &Outcome) {
    assert!(outcome.desired.workloads.len() <= MAX_WORKLOADS);
    assert!(outcome.desired.problems.len() <= MAX_PROBLEMS);
    assert!(!outcome.heartbeat.period.is_zero() && outcome.heartbeat.period <= MAX_PERIOD);
    for problem in outcome.desired.problems.iter().chain(&outcome.notes) {
        is_sentence(&problem.message);
        assert!(problem.place.starts_with("server"), "{problem}");
    }
    for (id, workload) in &outcome.desired.workloads {
        assert_eq!(*id, workload.id);
        assert_eq!(workload.origin, "server");
    }
}
