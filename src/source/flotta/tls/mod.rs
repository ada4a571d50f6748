//! TLS towards the server: 1.3 only, the given CA only, with a client certificate.
//!
//! One [`client_config`] for one identity: after each change of the certificate the caller builds a new client, so that no
//! connection lives on with the old one (the server looks at the certificate of the connection, per request). Nothing is
//! resumed for the same reason.

mod explain;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

pub use explain::{About, Explained, Fault, explain};

use super::identity::{Pair, Roots};
use super::trusted_time::{TrustedTime, http_date};
use crate::model::time::{Now, Wall};

/// The one [`TrustedTime`], shared between the session and TLS. Cheap to clone.
#[derive(Clone)]
pub struct Time {
    time: Arc<Mutex<TrustedTime>>,
    clock: fn() -> Now,
}

impl Time {
    /// With the clock to read: [`crate::clock::now`].
    #[must_use]
    pub fn new(time: TrustedTime, clock: fn() -> Now) -> Time {
        Time { time: Arc::new(Mutex::new(time)), clock }
    }

    /// The time, to ask or to tell. Not to be held across an await.
    pub fn lock(&self) -> MutexGuard<'_, TrustedTime> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the header `Date` of an authenticated answer, whatever its status. Gives the Date if it is believed, for
    /// [`Receipt::new`](super::renewal::Receipt::new).
    pub fn heard(&self, header: &str) -> Option<Wall> {
        let now = self.clocks();
        http_date(header).filter(|date| self.lock().heard(*date, now))
    }

    /// Both clocks, as they are.
    #[must_use]
    pub fn clocks(&self) -> Now {
        (self.clock)()
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(to)
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let at = self.lock().now(self.clocks());
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(at.0).unwrap_or(0))))
    }
}

/// How to speak TLS to the server as `identity`.
///
/// # Errors
/// A sentence; with roots and a pair that were read, none is known.
pub fn client_config(roots: &Roots, identity: &Pair, time: &Time) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier::Verifier::new(roots, &provider, time.clone())?;
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(time.clone()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|why| format!("TLS 1.3 cannot be spoken: {why}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
