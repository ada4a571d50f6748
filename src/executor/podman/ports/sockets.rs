//! Who listens on a port of the device: the kernel's tables, and whose files they name. Pure but for [`holder`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::HostPort;

/// A listening socket, or a bound one of UDP, of `/proc/net/{tcp,tcp6,udp,udp6}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Where.
    pub at: HostPort,
    /// Whose: a user's id.
    pub user: u32,
    /// The kernel's number for it.
    pub inode: u64,
}

/// Who was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// A program.
    Process {
        /// Its name.
        name: String,
        /// Its id.
        pid: u32,
        /// The podman container it runs in.
        container: Option<String>,
    },
    /// A program of this user, which cannot be looked at.
    Hidden(u32),
    /// Nobody.
    #[default]
    Nobody,
}

/// The sockets that others cannot bind beside, from one of the kernel's tables.
#[must_use]
pub fn bound(table: &str, protocol: &str) -> Vec<Socket> {
    // LISTEN; of UDP, which has no such state, "closed": not connected.
    let state = if protocol == "tcp" { "0A" } else { "07" };
    let line = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, found) = (fields.next()?, fields.next()?, fields.next()?);
        let mut rest = fields.skip(3);
        let (user, inode) = (rest.next()?.parse().ok()?, rest.nth(1)?.parse().ok()?);
        let (ip, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let ip = Some(address(ip)?).filter(|ip| !ip.is_unspecified());
        (found == state).then(|| Socket { at: HostPort { ip, port, protocol: protocol.to_owned() }, user, inode })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// Words of four bytes, each in the machine's own order, in hexadecimal digits.
fn address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match digits.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words: Vec<u8> = (0..4).map(word).collect::<Option<Vec<_>>>()?.concat();
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)))
        }
        _ => None,
    }
}

/// The podman container of a process, from its `/proc/<pid>/cgroup`.
#[must_use]
pub fn container(cgroup: &str) -> Option<String> {
    let is_id = |id: &&str| id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    cgroup.split("libpod-").skip(1).filter_map(|rest| rest.get(..64)).find(is_id).map(str::to_owned)
}

/// Asks this machine. `surely`: whom podman could not bind beside; a socket of IPv6 may leave IPv4 free, and does not say so.
pub(super) fn holder(wanted: &HostPort, surely: bool) -> Found {
    let mut sockets = Vec::new();
    let other_family = |table: &str| surely && table.ends_with('6') != wanted.ip.is_some_and(|ip| ip.is_ipv6());
    for (table, protocol) in [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")] {
        if protocol == wanted.protocol && !other_family(table) {
            let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            sockets.extend(bound(&text, protocol));
        }
    }
    let Some(socket) = sockets.into_iter().find(|socket| socket.at.overlaps(wanted)) else { return Found::Nobody };
    let link = format!("socket:[{}]", socket.inode);
    let has_it = |pid: u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str()))
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let Some(pid) = pids.find(|pid| has_it(*pid)) else { return Found::Hidden(socket.user) };
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    Found::Process { name: read("comm").trim().to_owned(), pid, container: container(&read("cgroup")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:AB5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 70311 1 0000 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 70312 1 0000 100 0 0 10 0
   2: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 70313 1 0000 20 4 30 10 -1
   3: broken
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8123 1 0000 100 0 0 10 0
";
    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  12: 00000000:AB60 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 555 2 0000 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_say_who_is_bound_where() {
        let socket =
            |ip: &str, port, protocol: &str, user, inode| Socket { at: HostPort::new(ip, port, protocol), user, inode };
        assert_eq!(
            bound(TCP, "tcp"),
            [socket("127.0.0.1", 43871, "tcp", 1000, 70311), socket("", 8080, "tcp", 0, 70312)]
        );
        assert_eq!(bound(TCP6, "tcp"), [socket("::1", 22, "tcp", 0, 8123)]);
        assert_eq!(bound(UDP, "udp"), [socket("", 43872, "udp", 101, 555)]);
        for nonsense in ["", "\n", "head\n0: x:y", "head\n0: 0100007F:ZZZZ a 0A b c d 0 0 1", "head\n0: é:1 a 0A"] {
            assert_eq!(bound(nonsense, "tcp"), [], "{nonsense}");
        }
    }

    #[test]
    fn the_container_of_a_process_is_in_its_cgroups() {
        let id = "a".repeat(64);
        assert_eq!(container(&format!("4:cpu:/libpod_parent/x/libpod-{id}\n0::/\n")), Some(id.clone()));
        let of_systemd = format!("0::/machine.slice/libpod-conmon-x.scope/libpod-{id}.scope/container");
        assert_eq!(container(&of_systemd), Some(id));
        assert_eq!(container("0::/user.slice/libpod-short"), None);
    }

    #[test]
    fn a_socket_of_this_process_is_found_as_such() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let found = holder(&HostPort::new("127.0.0.1", port, "tcp"), true);
        assert!(matches!(&found, Found::Process { pid, .. } if *pid == std::process::id()), "{found:?}");
        drop(listener);
        assert_eq!(holder(&HostPort::new("127.0.0.1", port, "tcp"), false), Found::Nobody);
    }
}
