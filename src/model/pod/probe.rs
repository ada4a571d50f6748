//! What the agent asks containers, and what it does around their start and end.

use std::time::Duration;

/// A container's probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Until it succeeds, the others wait; if it fails, the container is started again.
    pub startup: Option<Probe>,
    /// While it fails, the container is not ready.
    pub readiness: Option<Probe>,
    /// If it fails, the container is started again.
    pub liveness: Option<Probe>,
}

impl Probes {
    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.startup.is_none() && self.readiness.is_none() && self.liveness.is_none()
    }
}

/// A question that is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is done.
    pub action: ProbeAction,
    /// After the container's start.
    pub initial_delay: Duration,
    /// From one to the next; at least 1 s.
    pub period: Duration,
    /// One that takes longer has failed; at least 1 s.
    pub timeout: Duration,
    /// So many in a row turn it good again; 1 of liveness and startup.
    pub success_threshold: u32,
    /// So many failures in a row turn it bad; at least 1.
    pub failure_threshold: u32,
    /// The grace period of the container where the probe ends it; `None`: the pod's.
    pub grace: Option<Duration>,
}

/// How a container is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// A command in it: exit code 0 is good.
    Exec(Vec<String>),
    /// A request: 200 to 399 is good.
    Http(HttpAction),
    /// A connection.
    Tcp {
        /// `None`: the pod.
        host: Option<String>,
        /// Which port.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check`: SERVING is good.
    Grpc {
        /// Which port of the pod.
        port: u16,
        /// The service that is asked for; empty: all of it.
        service: String,
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAction {
    /// Over TLS; the certificate is not looked at.
    pub tls: bool,
    /// `None`: the pod.
    pub host: Option<String>,
    /// Which port.
    pub port: u16,
    /// With the query, if there is one.
    pub path: String,
    /// Sent along.
    pub headers: Vec<Header>,
}

/// A header of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value; may be secret, so it is not shown.
    pub value: String,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// What is done around a container's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// Right after its start; if it fails, the container ends.
    pub post_start: Option<Hook>,
    /// Before it is asked to end, within its grace period.
    pub pre_stop: Option<Hook>,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A command in the container.
    Exec(Vec<String>),
    /// A request.
    Http(HttpAction),
    /// Nothing, for so long.
    Sleep(Duration),
}
