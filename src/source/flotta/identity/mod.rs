//! Who the device is towards the server: the registration certificate, which is the user's and never written, and the
//! device's own certificate with its key, which is never lost.
//!
//! ```text
//!  CERT, KEY ──► Pair::registration ──┐
//!  <state dir>/identity/a.json        ├──► tls::client_config, and a new client after each change
//!                       b.json ─► Store: current | candidate
//!                                    ▲ put, promote, discard
//!  Request::new (P-256) ──► server ──┘
//! ```
//! A new pair is written into the slot that is not in use and is the candidate until an exchange succeeded with it; a
//! refused one is dropped and the old one goes on. At every moment one slot holds a pair that works.

mod pair;
mod pem;
mod request;
mod roots;
mod salvage;
mod slot;
mod store;

pub use pair::{Certificate, Pair};
pub use request::Request;
pub use roots::Roots;
pub use salvage::salvage;
pub use store::{Issued, Store, Stored};

#[cfg(test)]
mod tests;
