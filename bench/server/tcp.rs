//! What the kernel counts of the connections to a port, as `ss -ti` says it (TCP_INFO).

use std::collections::BTreeMap;
use std::process::Command;

/// IPv4 (20 bytes) and TCP (20) with the time stamps (12) that Linux uses.
pub const HEADERS: u64 = 52;

/// The client's ends of all connections that are open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    pub connections: u64,
    /// Bytes in both directions: TLS records.
    pub bytes: u64,
    /// Segments in both directions, those without data too.
    pub segments: u64,
    pub with_data: u64,
}

impl Tcp {
    pub fn to(port: u16) -> Tcp {
        let filter = format!("dport = :{port}");
        let listed = Command::new("ss").args(["-tinHO", "state", "established", &filter]).output();
        let listed = listed.expect("ss, of iproute2, is needed");
        let mut sum = Tcp::default();
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let pairs = line.split_whitespace().filter_map(|word| word.split_once(':'));
            let of: BTreeMap<&str, u64> = pairs.filter_map(|(name, count)| Some((name, count.parse().ok()?))).collect();
            let get = |name: &str| of.get(name).copied().unwrap_or(0);
            sum.connections += 1;
            sum.bytes += get("bytes_sent") + get("bytes_received");
            sum.segments += get("segs_out") + get("segs_in");
            sum.with_data += get("data_segs_out") + get("data_segs_in");
        }
        sum
    }
}
