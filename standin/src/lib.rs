//! A Flotta server for tests and benchmarks: what the real one does for devices, its certificate rules and its faults.
#![forbid(unsafe_code)]
