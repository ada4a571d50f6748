//! The words of the project as types. Knows nobody else, does no I/O, asks no clock.
//!
//! Times come in as arguments ([`time::Now`]); what a user sees is in [`status`], and every reason that a status can give
//! is one variant of [`status::Reason`].

pub mod command;
pub mod desired;
pub mod hidden;
pub mod id;
pub mod metric;
pub mod mount;
pub mod pod;
pub mod policy;
pub mod problem;
pub mod profile;
pub mod registry;
pub mod status;
pub mod time;
pub mod workload;
