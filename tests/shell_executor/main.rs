//! What the shell executor promises, with the real shim and real processes.
//!
//! Nothing here waits for a time to pass: every wait is for an event, with a deadline.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod agents;
mod device;
#[path = "../common/models.rs"]
mod models;
mod runs;
mod strangers;
