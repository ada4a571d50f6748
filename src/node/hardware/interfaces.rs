//! Network interfaces.
//!
//! Which ones: those with a device behind them (a card, USB, virtio), and of those made by software the ones that belong to
//! the machine's own network: bonds and teams, VLANs, Wi-Fi, mobile broadband, WireGuard, PPP and tunnels of VPNs, and bridges with
//! a port that is not a container's. Not the loopback, and not what comes and goes with containers and virtual machines:
//! veth pairs, taps, bridges with such ports only or with none, dummies and traffic shapers.

use super::addresses::Address;
use super::text;
use super::tree::Tree;
use super::wire::Interface;
use std::net::IpAddr;

/// Interfaces of a machine that are looked at.
const MAX_SEEN: usize = 1024;
/// Interfaces that are told.
const MAX_INTERFACES: usize = 64;
/// Addresses of one interface, of each kind.
const MAX_ADDRESSES: usize = 32;
/// Bytes of a `uevent` file.
const MAX_UEVENT_BYTES: u64 = 4096;

/// Kinds of software interfaces that belong to the machine's own network, as `DEVTYPE` names them.
const OWN_KINDS: [&str; 7] = ["bond", "ppp", "team", "vlan", "wireguard", "wlan", "wwan"];
/// `IFF_TUN`: carries packets, as VPNs do; a tap carries frames, for a virtual machine.
const IFF_TUN: i64 = 1;

/// Flags by their bits, as the contract's examples write them.
const FLAGS: [(i64, &str); 5] =
    [(0x1, "up"), (0x2, "broadcast"), (0x8, "loopback"), (0x10, "pointtopoint"), (0x1000, "multicast")];

/// Reads all interfaces; their addresses were asked of the kernel by the caller.
pub(super) fn read(tree: &Tree, addresses: &[Address]) -> Vec<Interface> {
    let mut names = tree.names("sys/class/net");
    tree.keep(&mut names, MAX_SEEN);
    names.retain(|name| is_own(tree, name));
    tree.keep(&mut names, MAX_INTERFACES);
    names.into_iter().map(|name| interface(tree, name, addresses)).collect()
}

fn is_own(tree: &Tree, name: &str) -> bool {
    // The directory also holds files that are no interfaces (bonding_masters).
    if !tree.has(&format!("sys/class/net/{name}/ifindex")) {
        return false;
    }
    match kind(tree, name) {
        Kind::Own => true,
        Kind::Bridge => {
            let ports = tree.names(&format!("sys/class/net/{name}/brif"));
            ports.iter().take(MAX_SEEN).any(|port| matches!(kind(tree, port), Kind::Own))
        }
        Kind::Other => false,
    }
}

enum Kind {
    Own,
    Bridge,
    Other,
}

/// One file at most for each of the many interfaces that containers have; the loopback is of no kind that counts.
fn kind(tree: &Tree, name: &str) -> Kind {
    let at = |file: &str| format!("sys/class/net/{name}/{file}");
    if tree.has(&at("device")) {
        return Kind::Own;
    }
    let uevent = tree.lines(&at("uevent"), MAX_UEVENT_BYTES);
    let kind = uevent.iter().find_map(|line| line.strip_prefix("DEVTYPE="));
    if kind.is_some_and(|kind| OWN_KINDS.contains(&kind)) {
        return Kind::Own;
    }
    if kind == Some("bridge") {
        return Kind::Bridge;
    }
    let tunnels = |flags: String| hex_number(&flags).is_some_and(|flags| flags & IFF_TUN != 0);
    if tree.value(&at("tun_flags")).is_some_and(tunnels) {
        return Kind::Own;
    }
    Kind::Other
}

fn interface(tree: &Tree, name: String, addresses: &[Address]) -> Interface {
    let at = |file: &str| format!("sys/class/net/{name}/{file}");
    let bits = flags(tree, &name);
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for address in addresses.iter().filter(|address| address.interface == name) {
        match address.ip {
            IpAddr::V4(ip) => ipv4.push(format!("{ip}/{}", address.prefix)),
            // Each interface has a link-local address, made from its MAC address: it says nothing.
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {}
            IpAddr::V6(ip) => ipv6.push(format!("{ip}/{}", address.prefix)),
        }
    }
    for list in [&mut ipv4, &mut ipv6] {
        list.sort_unstable();
        list.dedup();
        tree.keep(list, MAX_ADDRESSES);
    }
    // A USB card has its numbers one level above.
    let id = |pci: &str, usb: &str| {
        let usb = || tree.value(&at(usb)).map(|id| format!("0x{id}"));
        tree.value(&at(pci)).or_else(usb).and_then(|id| text::clean_str(&id))
    };
    Interface {
        mac_address: tree.value(&at("address")).filter(|mac| is_mac(mac)),
        mtu: tree.number(&at("mtu")).filter(|mtu| *mtu > 0),
        has_carrier: tree.value(&at("carrier")).as_deref() == Some("1"),
        flags: FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()).collect(),
        ipv4_addresses: ipv4,
        ipv6_addresses: ipv6,
        // -1 where there is no cable or no such thing as a speed.
        speed_mbps: tree.number(&at("speed")).filter(|speed| (1..i64::from(u32::MAX)).contains(speed)),
        vendor: id("device/vendor", "device/../idVendor"),
        product: id("device/device", "device/../idProduct"),
        biosdevname: None,
        client_id: None,
        name: Some(name),
    }
}

fn flags(tree: &Tree, name: &str) -> i64 {
    tree.value(&format!("sys/class/net/{name}/flags")).and_then(|hex| hex_number(&hex)).unwrap_or(0)
}

fn hex_number(text: &str) -> Option<i64> {
    i64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Pairs of hex digits with colons, and not all of them zero. InfiniBand has 20 of them.
fn is_mac(text: &str) -> bool {
    let pairs: Vec<&str> = text.split(':').collect();
    let pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    (6..=20).contains(&pairs.len()) && pairs.iter().all(pair) && pairs.iter().any(|pair| *pair != "00")
}
