//! stub
#![forbid(unsafe_code)]

pub mod clock;
pub mod condition;
pub mod executor;
pub mod gates;
pub mod model;
pub mod scheduler;
