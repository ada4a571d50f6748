//! A pod's network.

use std::net::IpAddr;

/// The annotation of a workload that says which network its pod has.
pub const NETWORK: &str = "project-flotta.io/network";

/// Which network a pod has that has not the device's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The one that podman gives to whoever asks for none.
    #[default]
    Default,
    /// None but loopback.
    None,
    /// These of podman's, which are there.
    Named(Vec<Joined>),
}

/// A network of podman's that a pod joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// As `podman network ls` shows it.
    pub name: String,
    /// Its addresses there; none: podman chooses.
    pub ips: Vec<IpAddr>,
    /// Its hardware address there.
    pub mac: Option<String>,
    /// Names that others find it by there, beside its workload's and its own.
    pub aliases: Vec<String>,
}

/// How a pod's containers find names (`dnsPolicy`, `dnsConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// What the rest is added to.
    pub policy: DnsPolicy,
    /// Whom to ask, in order.
    pub servers: Vec<IpAddr>,
    /// Put behind names without a dot.
    pub searches: Vec<String>,
    /// As in `resolv.conf`: `ndots:2`.
    pub options: Vec<String>,
}

impl Dns {
    /// Whether it says anything that podman would not do by itself.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.servers.is_empty() && self.searches.is_empty() && self.options.is_empty()
    }
}

/// What a pod's own settings are added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsPolicy {
    /// What podman gives it: the device's own, and the names of its network.
    #[default]
    Default,
    /// Nothing.
    None,
}
