//! State on disk: the only place that writes what has to survive the agent.
//!
//! ```text
//!  <state dir>/lock            flock, with the pid of who holds it
//!              owner           uuid: what is labelled with it is ours
//!              device.key      32 random bytes: secrets enter a workload's public hash by HMAC with it
//!              <object>.json   one object each, checksummed; <object>.json.1 is the generation before
//!              identity/       the device's certificates towards a Flotta server: a.json and b.json, one object each
//!              identity/       the device's certificates and keys towards the server, two slots
//!              run/            endpoints, and what the shell executor keeps of its runs
//! ```
//! Directories are 0700 and files 0600. An object is written beside, fsynced, renamed into place and the directory
//! fsynced, so at every moment one complete generation is there. Nothing here is in the way of a decision: [`Saver`] has a
//! thread of its own, which writes an object at most once a second and never when nothing changed.

mod dir;
mod disk;
mod envelope;
mod format;
mod kept;
pub mod numbers;
pub(crate) mod object;
mod saver;
mod saving;
#[cfg(test)]
mod tests;

pub use dir::{OpenError, StateDir};
pub use disk::{Disk, MAX_FILE, RealDisk};
pub use format::{Format, Upgrade};
pub use kept::{Kept, keep};
pub use object::{Stored, Write, load, load_as, load_on, sealed, store, store_as, store_on, tidy};
pub use saver::{OnReport, Saver, Saves};
pub use saving::{Counts, FIRST_RETRY, LAST_RETRY, Next, Report, SPACING, Saving, Ticket};
