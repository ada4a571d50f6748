//! stub
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod executor;
pub mod model;
