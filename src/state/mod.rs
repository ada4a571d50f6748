//! State on disk: the only place that writes what has to survive the agent.
//!
//! ```text
//!  <state dir>/lock            flock, with the pid of who holds it
//!              owner           uuid: what is labelled with it is ours                             } each with a copy
//!              device.key      32 random bytes: secrets enter a workload's public hash by HMAC    } beside it: .1
//!              <object>.json   one object each, checksummed; <object>.json.1 is the generation before
//!                    .json.damaged, .json.from-format-N   what could not be used, for a person to look at
//!              identity/       the device's certificates and keys towards the server, two slots
//!              run/            endpoints, and what the shell executor keeps of its runs
//! ```
//! Directories are 0700 and files 0600. An object is written beside, fsynced, renamed into place and the directory
//! fsynced, so at every moment one complete generation is there. Every such call goes through [`Disk`]: the tests take the
//! power away, or the room, at each of them.
//!
//! | object | holds | when it is written |
//! |---|---|---|
//! | `truths` | the last truth of each condition | a truth changes |
//! | `desired-manifests`, `desired-flotta` | the last good desired state of each source | it changes |
//! | `server-events`, `server-time` | what the server has not heard; the time it told | events come and go; once a day at most |
//! | `events` | what an external broker has not got | it has waited for a second |
//! | `event-numbers` | which numbers of events may have been used | at a start and an end ([`numbers`]) |
//!
//! Nothing here is in the way of a decision: [`Saving`] says when which object is written (at most once a second each, never
//! when nothing changed, again with growing waits when the disk refuses), and [`Saver`] has a thread that does what it says.
//! Who must know that something is stored asks for it: [`Saver::save_and_tell`]. How objects of earlier versions are read:
//! [`Format`].

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
