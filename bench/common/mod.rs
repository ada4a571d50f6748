//! What the benchmarks of the whole process share.
#![allow(dead_code, reason = "not every benchmark needs all of it")]

pub mod agent;
pub mod cost;
pub mod figures;
pub mod mqtt;
pub mod table;
