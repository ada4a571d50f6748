//! Connections: who, how, how many bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::meter::Meter;

/// Connections that are remembered after their end.
const REMEMBERED: usize = 10_000;

/// A connection whose handshake succeeded.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) client: Arc<Client>,
    pub(crate) protocol: &'static str,
    pub(crate) resumed: bool,
    pub(crate) wire: Arc<Meter>,
    pub(crate) plain: Arc<Meter>,
    pub(crate) open: AtomicBool,
    exchanges: AtomicU64,
}

impl Connection {
    pub(crate) fn exchanged(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Its number, from 0, in the order of handshakes.
    pub number: u64,
    /// The certificate.
    pub client: Arc<Client>,
    /// `h2` or `http/1.1`.
    pub protocol: &'static str,
    /// The handshake took up an earlier TLS session.
    pub resumed: bool,
    /// It is still open.
    pub open: bool,
    /// Requests on it.
    pub exchanges: u64,
    /// Bytes from the client as TCP carries them, and as the server reads them behind TLS.
    pub received: (u64, u64),
    /// Bytes to the client as TCP carries them, and as the server wrote them before TLS.
    pub sent: (u64, u64),
}

/// Sums over all connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections taken.
    pub accepted: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// Of these, those that resumed a session.
    pub resumed: u64,
    /// TLS handshakes that failed.
    pub failed: u64,
}

/// All connections, the oldest ones forgotten.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    kept: Mutex<VecDeque<Arc<Connection>>>,
    pub(crate) accepted: AtomicU64,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    failures: Mutex<VecDeque<String>>,
    failed: AtomicU64,
}

impl Connections {
    pub(crate) fn open(
        &self,
        client: Client,
        protocol: &'static str,
        resumed: bool,
        (wire, plain): (Arc<Meter>, Arc<Meter>),
    ) -> Arc<Connection> {
        let number = self.handshakes.fetch_add(1, Ordering::Relaxed);
        self.resumed.fetch_add(u64::from(resumed), Ordering::Relaxed);
        let (client, open, exchanges) = (Arc::new(client), AtomicBool::new(true), AtomicU64::new(0));
        let one = Arc::new(Connection { number, client, protocol, resumed, wire, plain, open, exchanges });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REMEMBERED {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&one));
        one
    }

    pub(crate) fn refused(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED {
            failures.pop_front();
        }
        failures.push_back(why);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            accepted: of(&self.accepted),
            handshakes: of(&self.handshakes),
            resumed: of(&self.resumed),
            failed: of(&self.failed),
        }
    }

    pub(crate) fn all(&self) -> Vec<ConnectionInfo> {
        let info = |one: &Arc<Connection>| ConnectionInfo {
            number: one.number,
            client: Arc::clone(&one.client),
            protocol: one.protocol,
            resumed: one.resumed,
            open: one.open.load(Ordering::Relaxed),
            exchanges: one.exchanges.load(Ordering::Relaxed),
            received: (one.wire.read(), one.plain.read()),
            sent: (one.wire.written(), one.plain.written()),
        };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().map(info).collect()
    }
}
