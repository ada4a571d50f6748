//! The built binary and a Flotta server: the device's whole life with it, and every fault that the server has.
//!
//! The server is the stand-in of `standin/`, which is held to the captured exchanges of real servers.

#[path = "../common/device.rs"]
mod device;
#[path = "../common/processes.rs"]
mod processes;
mod site;

mod life;
mod opening;
