//! The built binary and a Flotta server: the device's whole life with it, and every fault that the server has.
//!
//! The server is the stand-in of `standin/`, which is held to the captured exchanges of real servers.

#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../common/device.rs"]
mod device;
#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../common/dice.rs"]
mod dice;
#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../common/processes.rs"]
mod processes;
#[allow(dead_code, reason = "the tests of pods use all of it")]
#[path = "../pods/service.rs"]
mod service;
mod site;
mod tools;
mod wanted;

mod authority;
mod cold;
mod configuration;
mod cuts;
mod faults;
mod heartbeat;
mod identity;
mod idle;
mod life;
mod mounts;
mod old_keys;
mod opening;
mod removal;
mod review;
mod whole;
