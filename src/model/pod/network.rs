//! A pod's network.

/// How a pod's containers find names (`dnsPolicy`, `dnsConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Where the rest comes from.
    pub policy: DnsPolicy,
    /// Asked first, in order.
    pub servers: Vec<std::net::IpAddr>,
    /// Put behind names without a dot.
    pub searches: Vec<String>,
    /// As in `resolv.conf`: `ndots:2`.
    pub options: Vec<String>,
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
