//! The objects of the state directory: the envelope as it comes, and any content in a sound envelope.
#![no_main]

use std::fmt::Debug;

use flotta_agent::fuzzing::{seal, unseal};
use flotta_agent::gates::{Gates, Settings, StoredTruths};
use flotta_agent::model::time::Now;
use flotta_agent::source::manifests::{self, Directory, StoredManifests};
use flotta_agent::spec_hash::DeviceKey;
use flotta_fuzz::is_sentence;
use serde::Serialize;
use serde::de::DeserializeOwned;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(truths) = object::<StoredTruths>(data) {
        let mut gates = Gates::new(Settings::default());
        gates.restore(truths, Now::default());
        gates.set_profiles(&[], Now::default());
        assert_eq!(gates.truths(), StoredTruths::default(), "no profile, no truth");
    }
    if let Some(stored) = object::<StoredManifests>(data) {
        let settings =
            manifests::Settings { device_id: None, fallback_id: "toto".into(), key: DeviceKey::new([7; 32]) };
        let mut directory = Directory::restored("manifests", &stored);
        directory.outcome(&settings);
        let again = directory.stored();
        assert!(again.files.iter().all(|(name, text)| stored.files.get(name) == Some(text)), "nothing is made up");
    }
});

fn object<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let read = match unseal::<T>(data) {
        Ok(read) => Some(read),
        Err(why) => {
            is_sentence(&why);
            serde_json::from_slice(data).ok()
        }
    }?;
    let sealed = seal(&read).expect("it can be written");
    assert_eq!(unseal::<T>(&sealed).expect("it can be read"), read);
    Some(read)
}
