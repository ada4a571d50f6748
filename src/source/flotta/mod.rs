//! The Flotta server: enrolled with once, asked for the configuration, told what runs (SPEC "Sources of desired state").

pub mod desired;
pub mod identity;
pub mod renewal;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trusted_time;
pub mod wire;
