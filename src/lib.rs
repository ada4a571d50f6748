//! stub
#![forbid(unsafe_code)]

pub mod config;
pub mod executor;
pub mod model;
