//! The Flotta server: enrolled with once, asked for the configuration, told what runs (SPEC "Sources of desired state").
//!
//! ```text
//!  session (pure: what next, what does an answer mean) ◄── meaning ◄─┐
//!     │ exchanges                                                    │ answers
//!     ▼                                                              │
//!  driver ──► identity (key and certificate), tls, trusted_time ──► client ──► the server
//!     │ ▲
//!     │ └── heartbeat (what is observed, in the server's words; events not heard of yet)
//!     └──── configured: desired (configuration ─► desired state) ──► Update
//! ```
//! No I/O: `session`, `meaning`, `renewal`, `trusted_time`, `heartbeat`, `desired`, `wire`. Only `client` touches the network,
//! only `identity` its files.

pub mod client;
mod configured;
pub mod desired;
mod driver;
pub mod heartbeat;
pub mod identity;
pub mod meaning;
pub mod renewal;
pub mod session;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trusted_time;
pub mod wire;

use crate::model::desired::Desired;

pub use configured::{Configured, Taken};
pub use driver::{Counts, Files, Ports, Setting, run};

use desired::StoredConfiguration;

/// Desired state of the server's, and what must be stored of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// All of it.
    pub desired: Desired,
    /// What it came from; `None`: the server wants nothing of this device any more.
    pub stored: Option<StoredConfiguration>,
    /// The configuration's version.
    pub version: Option<String>,
}
