//! The Flotta server: enrolled with once, asked for the configuration, told what runs (SPEC "Sources of desired state").

pub mod client;
pub mod desired;
mod driver;
pub mod heartbeat;
pub mod identity;
pub mod meaning;
pub mod renewal;
pub mod session;
pub mod tls;
pub mod trusted_time;
pub mod wire;
