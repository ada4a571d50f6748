//! Probes: whether a container has started, can be used, lives.
//!
//! - [`prober`]: when each is due and what results mean. Pure.
//! - [`http`], [`grpc`]: what is asked over a connection. [`door`]: a connection inside a pod's network.
//!
//! Who runs them, how many at a time, and what becomes of the results is the executor's: `executor/podman/probing`.

pub mod door;
pub mod grpc;
pub mod http;
pub mod prober;

use std::sync::atomic::AtomicU64;

/// What was tried, for `GET /metrics`.
#[derive(Debug, Default)]
pub struct Counts {
    /// Tries.
    pub tried: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
    /// Times that something was due and had to wait for its turn.
    pub late: AtomicU64,
}

/// Why a probe, or a hook, was no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// It is not the container's: the agent, or podman, could not ask. Nothing is ended for it.
    pub own: bool,
}

impl Failure {
    /// The container's.
    pub(crate) fn of(why: String) -> Failure {
        Failure { why, own: false }
    }

    /// The agent's or podman's.
    pub(crate) fn own(why: String) -> Failure {
        Failure { why, own: true }
    }
}

/// A failure without its number.
pub(crate) fn words(why: &std::io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_owned()
}
