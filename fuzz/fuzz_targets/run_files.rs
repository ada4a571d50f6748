//! The files of a shell run's directory, which the agent and the shim write for each other, and a line of /proc.
#![no_main]

use std::fmt::Debug;

use flotta_agent::executor::shell::run::{Exit, RunSpec, Started, TAIL_MAX, signal_name};
use flotta_agent::fuzzing::{is_run_handle, output_tail, process_stat};
use serde::Serialize;
use serde::de::DeserializeOwned;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(spec) = same::<RunSpec>(data) {
        assert_eq!(spec.grace().as_millis(), u128::from(spec.grace_ms));
    }
    same::<Started>(data);
    if let Some(exit) = same::<Exit>(data) {
        assert!(signal_name(exit.code.unwrap_or_default().saturating_sub(128)).len() < 32);
    }
    if let Some(stat) = process_stat(data) {
        assert_eq!(process_stat(data), Some(stat));
    }
    if let Ok(name) = std::str::from_utf8(data)
        && is_run_handle(name)
    {
        assert!(!name.contains(['/', '\0']) && name != "." && name != "..", "{name:?}");
    }
    for whole in [true, false] {
        let tail = output_tail(data, whole);
        assert!(tail.len() <= TAIL_MAX, "{} bytes", tail.len());
        let text = String::from_utf8_lossy(data);
        assert!(text.trim_end_matches(['\n', '\r']).ends_with(&tail));
    }
});

/// What is read is written as it was read.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_vec(&read).expect("it can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("it can be read"), read);
    Some(read)
}
