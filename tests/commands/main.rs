//! Commands from a person at the device: over the unix socket, from the built binary, and what they do to workloads.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "../common/device.rs"]
mod device;
#[path = "../common/processes.rs"]
mod processes;

mod access;
mod desk;
mod said;
mod spoken;
