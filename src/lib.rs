//! `flotta-agent`: decides, the moment something changes, which workloads run on this device and with how much of it.
//!
//! The reconcile loop ([`agent`]) is one task. It owns the [`scheduler::Reconciler`] and waits for "anything changed, or the
//! next wake-up". What it reads and writes:
//!
//! ```text
//!  source/  manifests, flotta ── desired ───┐                            ┌─► executor/  one call per workload at a time
//!  mqtt/, http/ ─► intake ─► gates ─────────┼─► scheduler: plan ─► steps ┘        │ outcomes, events, lists
//!  executor/ ───── observed ────────────────┘        └─► statuses ─► board ─► http/, mqtt/ (retained), state/
//! ```
//!
//! - No I/O and no clock: [`model`], [`condition`], [`gates`], [`scheduler`]. The line that decides a workload is in
//!   [`scheduler::decide`].
//! - Thin shells: [`source`] (files and a server in; what an answer of the server means, [`source::flotta::session`], is
//!   pure), [`executor`] (processes), [`mqtt`], [`http`], [`state`] (the only place that writes state), [`clock`] (the only
//!   place that asks for the time), [`node`] (what the machine is made of).
//! - [`agent`] puts them together; [`cli`] and [`config`] are how people meet it.
#![forbid(unsafe_code)]

pub mod agent;
pub mod board;
pub mod check;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod condition;
pub mod config;
pub mod cron;
pub mod executor;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gates;
pub mod http;
pub mod intake;
pub mod model;
pub mod mqtt;
mod named;
mod names;
pub mod node;
mod outbound;
mod path_watch;
pub mod probes;
mod readiness;
mod released;
pub mod scheduler;
pub mod source;
pub mod spec_hash;
pub mod state;
