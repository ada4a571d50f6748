//! stub
#![forbid(unsafe_code)]

pub mod executor;
pub mod model;
