//! Configuration (SPEC "Configuration"): one typed [`Config`] from a file, the environment and flags.
//!
//! ```text
//! file ──► yaml ──┐
//! environment ────┼──► build ──(the setters of keys::KEYS)──► Config + warnings, or every error at once
//! flags ──────────┘
//! ```
//!
//! [`keys::KEYS`] is the one table of keys: each has its path, type, default, meaning and setter. [`build`] is pure;
//! [`load`] reads the machine for it; [`absent`] looks for the files that a configuration names.

mod build;
pub mod doc;
mod key;
pub mod keys;
mod load;
pub mod near;
mod read;
mod types;
pub(crate) mod value;
mod yaml;

pub use build::{ConfigErrors, File, Host, Inputs, Loaded, build};
pub use load::{USUAL_FILE, absent, load};
pub use types::{
    Broker, Config, Control, HostPaths, Http, Log, LogFormat, LogLevel, Manifests, Metrics, Mqtt, OnEnd, Podman,
    Remote, Server, State, Workloads,
};
