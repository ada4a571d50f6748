//! Pods of the built binary on a real podman.
//!
//! The service is the one `tests/podman.sh` starts, or the one that FLOTTA_PODMAN_SOCKET names (with its companions, as that
//! script prints them). Where neither can be had, each test says `skipped:` and why; as root, that is a failure.

#[path = "../common/clients.rs"]
mod clients;
#[path = "../common/device.rs"]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/fleet.rs"]
mod fleet;
#[path = "../common/kills.rs"]
mod kills;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../common/small_disk.rs"]
mod small_disk;

mod cpu;
mod ends;
mod full_disk;
mod kill;
mod lifecycle;
mod place;
mod power;
mod probes;
mod rootless;
mod secrets;
mod service;
mod specs;
mod unreachable;
mod whole;
