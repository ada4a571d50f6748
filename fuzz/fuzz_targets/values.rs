//! Small texts: durations, quantities, numbers with units, times, names.
#![no_main]

use std::time::Duration;

use flotta_agent::condition::number;
use flotta_agent::fuzzing::{LONGEST_DURATION, config_duration, manifest_duration, quantity_milli};
use flotta_agent::model::id::{self, WorkloadId};
use flotta_agent::model::time::Wall;
use flotta_agent::mqtt::topics::encode;
use flotta_fuzz::{is_sentence, texts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for text in texts(data) {
        durations(text);
        match quantity_milli(text) {
            // Beyond, a thousandth is less than what a float tells apart.
            Ok(milli) if milli < 1 << 49 => assert_eq!(quantity_milli(&format!("{milli}m")), Ok(milli), "of {text:?}"),
            Ok(milli) => assert!(milli <= u64::MAX / 2),
            Err(why) => is_sentence(&why),
        }
        match number::read(text) {
            Ok(number) => {
                assert!(number.value.is_finite(), "{number:?}");
                let again = format!("{}", number.value);
                assert_eq!(number::read(&again).map(|number| number.value), Ok(number.value), "of {text:?}");
            }
            Err(why) => is_sentence(&why),
        }
        match Wall::parse_rfc3339(text) {
            Ok(at) => assert_eq!(Wall::parse_rfc3339(&at.rfc3339()), Ok(at), "of {text:?}"),
            Err(why) => is_sentence(&why),
        }
        match WorkloadId::parse(text) {
            Ok(id) => {
                assert_eq!(WorkloadId::parse(&id.to_string()), Ok(id.clone()));
                assert_eq!(id.to_string().split('/').count(), 2);
            }
            Err(why) => is_sentence(&why),
        }
        if id::device_id(text).is_ok() {
            assert_eq!(encode(text), text, "a device's id is a level as it is");
        }
        assert!(!encode(text).contains(['/', '+', '#']));
    }
});

fn durations(text: &str) {
    let (manifest, config) = (manifest_duration(text), config_duration(text));
    match &manifest {
        Ok(length) => {
            assert!(*length <= LONGEST_DURATION);
            assert_eq!(manifest_duration(&format!("{}ms", length.as_millis())), manifest);
            assert_eq!(config_duration(text.trim()), Some(*length), "of {text:?}: one language");
        }
        Err(why) => is_sentence(why),
    }
    if let Some(length) = config
        && length <= LONGEST_DURATION
    {
        assert_eq!(manifest, Ok(length), "of {text:?}: one language");
    }
    assert!(config.is_none_or(|length| length <= Duration::from_millis(u64::MAX).saturating_mul(1000)));
}
