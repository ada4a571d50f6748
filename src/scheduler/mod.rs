//! Deciding: from what should be, what is and which gates are open, to what is done next and what is said about it.
//!
//! ```text
//!  desired ──┐
//!  gates ────┼─► decide (one workload) ─► plan (all of them, within limits) ─► steps + wake-up
//!  observed ─┤        ▲                                                          │
//!  books ────┘        └────────── Reconciler: the loop's state ◄─────────────────┘ outcomes, executor events
//! ```
//!
//! - [`decide`] holds the rules: the line that decides a workload is there, in one function.
//! - [`plan`] asks it for every workload and keeps the number of operations at once within [`Limits`].
//! - [`book`] is what is remembered of a workload between two plans: its operation under way, its retry; [`times`]: its
//!   schedule; [`memory`]: what of it survives the agent.
//! - [`reconciler`] takes inputs in, hands steps and statuses out. No I/O, no clock: the agent's loop and the simulator
//!   in `tests/` drive the same code.
//!
//! Invariants: at most one operation per workload; the same input gives the same plan; after the steps are done the next
//! plan is empty; nothing is stopped or started before its executor was asked what is there.

pub mod book;
pub mod decide;
pub mod memory;
mod message;
pub mod plan;
pub mod reconciler;
pub mod times;

pub use decide::{Action, Situation, Verdict, decide};
pub use plan::{Limits, Plan, Step, plan};
pub use reconciler::{Input, Output, Reconciler};
