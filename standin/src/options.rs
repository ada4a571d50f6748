//! How a stand-in is started, and what can go wrong with that.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How signed requests of new devices are approved (API §3.1, §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The EdgeDevice exists as soon as the enrolment is answered.
    Automatic,
    /// Somebody approves: `Standin::approve`.
    Manual,
    /// The race of §3.2: so many registrations are answered 404 before the EdgeDevice appears.
    Racing(u32),
}

/// What the server offers by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// `h2` and `http/1.1`, like the real one.
    Both,
    /// `http/1.1` only: answers can be cut at a known byte.
    Http1,
    /// `h2` only.
    Http2,
}

/// How a stand-in is started. `Options::default()` is the real server with automatic approval, on a free port.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How new devices are approved.
    pub approval: Approval,
    /// How far the server's clock is ahead of the machine's when its certificates are made; negative: behind.
    pub clock_offset_ms: i64,
    /// How long a device certificate lives from its issue; it begins a day earlier (API §1).
    pub certificate_lifetime: Duration,
    /// What is offered by ALPN.
    pub protocols: Protocols,
    /// The namespaces of the cluster; a device that enrols into another one never appears.
    pub namespaces: Vec<String>,
    /// Of the random orders in configurations (API §4): the same seed gives the same orders.
    pub seed: u64,
    /// How many exchanges the log keeps; older ones go, and are counted.
    pub log_limit: usize,
    /// Keep the requests' bodies in the log. A benchmark has no use for them.
    pub keep_bodies: bool,
    /// How long `wait_for` and `Watch::next` wait.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            approval: Approval::Automatic,
            clock_offset_ms: 0,
            certificate_lifetime: Duration::from_secs(30 * 86_400),
            protocols: Protocols::Both,
            namespaces: vec!["default".to_owned()],
            seed: 1,
            log_limit: 10_000,
            keep_bodies: true,
            deadline: Duration::from_secs(30),
        }
    }
}

/// Why the stand-in could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not of this machine.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A key could not be written as SEC1.
    #[error("cannot write a key: {0}")]
    Key(&'static str),
    /// rustls refused the certificate or the versions.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
