//! A metric over MQTT: topic and payload, separated by a NUL; a second pair may follow.
#![no_main]

use std::sync::Arc;

use flotta_agent::condition::payload::{self, MAX_PAYLOAD, MAX_UNIT, check_name, metric_name};
use flotta_agent::gates::{Gates, Settings};
use flotta_agent::intake::Intake;
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::mqtt::metrics::Metrics;
use flotta_agent::mqtt::topics::{Topics, encode};
use flotta_fuzz::is_sentence;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let intake = Arc::new(Intake::new(Gates::new(Settings::default())));
    let topics = Arc::new(Topics::new("flotta", "toto"));
    let metrics = Metrics::new(topics.clone(), intake.clone());
    let parts: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    for pair in parts.chunks_exact(2) {
        let [topic, bytes] = pair else { continue };
        let Ok(topic) = std::str::from_utf8(topic) else { continue };
        let levels = topics.metric(topic).unwrap_or(topic);
        match metric_name(levels) {
            Ok(name) => {
                assert_eq!(check_name(&name), Ok(()));
                assert_eq!(metric_name(&encode(&name)), Ok(name), "of {levels:?}");
            }
            Err(why) => is_sentence(&why),
        }
        match payload::read(bytes) {
            Ok(read) => {
                assert!(bytes.len() <= MAX_PAYLOAD);
                assert!(read.value.is_none_or(f64::is_finite), "{read:?}");
                assert!(read.unit.is_none_or(|unit| unit.len() <= MAX_UNIT));
            }
            Err(why) => is_sentence(&why),
        }
        let before = intake.gates().metrics(now()).len();
        metrics.take(topic, bytes, "fuzz");
        let after = intake.gates().metrics(now());
        assert!(after.len() <= before + 1 && after.iter().all(|metric| metric.value.is_finite()), "{after:?}");
        assert!(metrics.wants(topic) || after.len() == before, "{topic:?} is none of ours");
    }
});

fn now() -> Now {
    Now { mono: Mono(1_000), wall: Wall(1_800_000_000_000) }
}
