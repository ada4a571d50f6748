//! The bytes that a client sends on one connection. What must hold is in broker/src/fuzzing.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flotta_broker::fuzzing::packets(data));
