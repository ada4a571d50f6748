//! Addresses of network interfaces. No file tells them (for IPv4 only a routing trie), so the kernel is asked.

use if_addrs::IfAddr;
use std::net::IpAddr;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
}

/// All addresses in this process's network; none if the kernel does not say.
pub(super) fn of_this_machine() -> Vec<Address> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let address = |interface: if_addrs::Interface| {
        let prefix = match &interface.addr {
            IfAddr::V4(v4) => v4.prefixlen,
            IfAddr::V6(v6) => v6.prefixlen,
        };
        Address { ip: interface.ip(), prefix, interface: interface.name }
    };
    interfaces.into_iter().map(address).collect()
}
