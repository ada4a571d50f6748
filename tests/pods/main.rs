//! Pods of the built binary on a real podman.
//!
//! The service is the one `tests/podman.sh` starts, or the one that FLOTTA_PODMAN_SOCKET names (with its companions, as that
//! script prints them). Where neither can be had, each test says `skipped:` and why; as root, that is a failure.

#[path = "../common/device.rs"]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/processes.rs"]
mod processes;

mod cpu;
mod ends;
mod kill;
mod lifecycle;
mod place;
mod power;
mod service;
mod specs;
mod unreachable;
mod whole;
