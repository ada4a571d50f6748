//! What all connections share.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;

use crate::authority::{Authority, Identity};
use crate::client::Client;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::connection::Connections;
use crate::exchange::Log;
use crate::fault::{Fault, Faults, Operation};
use crate::options::{Error, Options, Protocols};
use crate::tls;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Log>,
    pub(crate) connections: Connections,
    pub(crate) registration: Identity,
    cluster: Mutex<Cluster>,
    faults: Mutex<Faults>,
    lifetime: AtomicI64,
    authorities: RwLock<Vec<Arc<Authority>>>,
    tls: RwLock<Tls>,
}

/// What new connections get.
struct Tls {
    protocols: Protocols,
    /// The second from which the server's certificate is good.
    from: i64,
    config: Arc<ServerConfig>,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let clock = Clock::default();
        clock.set_offset_ms(options.clock_offset_ms);
        let authority = Authority::new(clock.now())?;
        let registration = authority.registration()?;
        let authority_made = authority.made();
        let config = tls::config(&authority, authority.made(), options.protocols)?;
        let shared = Self {
            clock,
            log: Arc::new(Log::new(options.log_limit)),
            connections: Connections::default(),
            registration,
            cluster: Mutex::new(Cluster::new(&options)),
            faults: Mutex::default(),
            lifetime: AtomicI64::new(0),
            authorities: RwLock::new(vec![Arc::new(authority)]),
            tls: RwLock::new(Tls { protocols: options.protocols, from: authority_made, config }),
            options,
        };
        shared.set_lifetime(shared.options.certificate_lifetime);
        Ok(shared)
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault_of(&self, operation: Operation, device: &str) -> Option<Fault> {
        self.faults().take(operation, device)
    }

    /// Seconds that a certificate lives from its issue.
    pub(crate) fn lifetime(&self) -> i64 {
        self.lifetime.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.lifetime.store(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The authorities that clients are accepted from; the last one signs.
    pub(crate) fn authorities(&self) -> Vec<Arc<Authority>> {
        self.authorities.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The authority that signs.
    pub(crate) fn authority(&self) -> Arc<Authority> {
        let authorities = self.authorities.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&authorities[authorities.len() - 1])
    }

    pub(crate) fn read(&self, chain: &[rustls::pki_types::CertificateDer<'_>]) -> Client {
        let authorities = self.authorities();
        Client::read(chain, &authorities.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Another server certificate of the authority that signs; sessions from before are not resumed. What is not given
    /// stays: the real server does not renew its certificate by itself.
    pub(crate) fn renew_tls(&self, protocols: Option<Protocols>, from: Option<i64>) -> Result<(), Error> {
        let authority = self.authority();
        let mut tls = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        let (protocols, from) = (protocols.unwrap_or(tls.protocols), from.unwrap_or(tls.from));
        let config = tls::config(&authority, from, protocols)?;
        *tls = Tls { protocols, from, config };
        Ok(())
    }

    /// A second authority, which signs from now on.
    pub(crate) fn rotate(&self) -> Result<(), Error> {
        let authority = Arc::new(Authority::new(self.clock.now())?);
        self.authorities.write().unwrap_or_else(PoisonError::into_inner).push(authority);
        self.renew_tls(None, Some(self.clock.now()))
    }

    /// All authorities but the last are forgotten.
    pub(crate) fn forget(&self) {
        let mut authorities = self.authorities.write().unwrap_or_else(PoisonError::into_inner);
        let old = authorities.len().saturating_sub(1);
        authorities.drain(..old);
    }
}
