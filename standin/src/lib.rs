//! A Flotta server for tests and benchmarks: what the real one does for devices, its certificate rules and its faults.
//!
//! [`Standin::start`] listens on a free port of the loopback. Comments cite the contract as "API §n" and the captured
//! exchanges of real servers as "[cap nn]"; the captures are in `captures/`, and `tests/captures.rs` replays them.
//!
//! ```text
//! serve ── TLS (tls, client) ── handle ── route, message ─┬─ join (enrolment, registration) ── issue, authority
//!                                 │                       ├─ heartbeat ── hardware
//!                      fault ─────┤                       └─ assemble ── pod
//!                   exchange ─────┘                                cluster, device: what is stored
//! ```
//! One task takes connections and owns theirs; nothing polls. [`Clock`] is the machine's clock with an offset.
#![forbid(unsafe_code)]

mod answer;
mod assemble;
mod authority;
mod client;
mod clock;
mod cluster;
mod connection;
mod control;
mod device;
mod exchange;
mod fault;
mod handle;
mod hardware;
mod heartbeat;
mod issue;
mod join;
mod message;
mod meter;
mod options;
mod pod;
mod random;
mod route;
mod serve;
mod shared;
mod standin;
mod tls;

pub use authority::{Authority, Identity, Leaf};
pub use client::Client;
pub use clock::Clock;
pub use connection::{ConnectionInfo, Counts};
pub use control::Control;
pub use device::{Device, SIGNED_REQUEST_LABEL};
pub use exchange::{End, Exchange, Missed, Watch};
pub use fault::{Fault, Gate, Operation};
pub use options::{Approval, Error, Options, Protocols};
pub use standin::Standin;
