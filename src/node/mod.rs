//! The machine itself.

pub mod hardware;
