//! What the agent tells of the machine: true on the machines we know, acceptable to the server on all others.
#![allow(clippy::print_stdout, reason = "tools that are not there are named")]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod accepted;
mod fixture;
mod hostile;
mod machines;
mod real;
mod shape;
