//! "A hostile or broken client may hurt only itself": attacks on the built agent and the broker inside it.
//!
//! Every test starts an agent of its own. Through all of an attack a good client ([`good`]) publishes at a steady pace and
//! is subscribed to what it publishes: it must get every message, once and in order. The process's memory ([`memory`]) must
//! stay below a stated bound and come back, the agent must go on deciding, and what it refused must be counted
//! ([`arena`] does all of that). Latencies are measured and printed, never asserted.
//!
//! `HOSTILE_FULL=1` for the long forms; docs/hostile.md has the environment variables and a table of figures.
#![allow(clippy::print_stdout, reason = "figures are printed, not asserted")]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "../common/device.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/processes.rs"]
mod processes;

mod arena;
mod good;
mod memory;
mod mqtt;

mod connections;
mod floods;
mod ids;
mod mutated;
mod mutations;
mod outages;
mod slow;
mod subscriptions;
mod topics;
mod wills;
