//! The machine itself.

pub mod hardware;
pub mod mounts;
