//! A file of retained messages. What must hold is in broker/src/fuzzing.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flotta_broker::fuzzing::retained_file(data));
