//! How the device itself finds names: what a pod's own DNS settings are added to.

use std::net::IpAddr;

use crate::model::pod::{Dns, DnsPolicy};

/// More servers no resolver asks.
const SERVERS_MAX: usize = 3;
/// The device's own, and that of systemd's resolver, whose servers a pod can ask.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What stands in a `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Whom to ask; none on loopback, where a pod has another one.
    pub servers: Vec<IpAddr>,
    /// Put behind names without a dot.
    pub searches: Vec<String>,
    /// `ndots:2`.
    pub options: Vec<String>,
}

impl Resolver {
    /// From the text of a `resolv.conf`.
    #[must_use]
    pub fn parse(text: &str) -> Resolver {
        let mut found = Resolver::default();
        for line in text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            let owned = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    found.servers.extend(server.filter(|ip| !ip.is_loopback()));
                }
                // The last one counts.
                Some("search" | "domain") => found.searches = owned(words),
                Some("options") => found.options.extend(owned(words)),
                _ => {}
            }
        }
        found
    }

    /// Of this device.
    pub(super) fn of_device() -> Resolver {
        let read = |file: &str| Resolver::parse(&std::fs::read_to_string(file).unwrap_or_default());
        let all = FILES.map(read);
        all.iter().find(|one| !one.servers.is_empty()).unwrap_or(&all[0]).clone()
    }

    /// What a pod gets that asks for something of its own, as in Kubernetes: the device's first, unless its policy is `None`.
    #[must_use]
    pub fn with(&self, dns: &Dns) -> Resolver {
        let nothing = Resolver::default();
        let base = if dns.policy == DnsPolicy::None { &nothing } else { self };
        let mut servers = both(&base.servers, &dns.servers);
        servers.truncate(SERVERS_MAX);
        let name = |option: &str| option.split(':').next().unwrap_or_default().to_owned();
        let own: Vec<String> = dns.options.iter().map(|option| name(option)).collect();
        let kept: Vec<String> = base.options.iter().filter(|option| !own.contains(&name(option))).cloned().collect();
        Resolver { servers, searches: both(&base.searches, &dns.searches), options: both(&kept, &dns.options) }
    }
}

/// Each once, in order.
fn both<T: Clone + PartialEq>(first: &[T], then: &[T]) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for one in first.iter().chain(then) {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "# made by hand\nnameserver 10.0.0.1 # the router\nnameserver 127.0.0.53\nsearch old\nsearch home.example lan\noptions ndots:1 edns0\nnameserver fd00::1\nnonsense\nnameserver\n";

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().expect("an address")).collect()
    }

    #[test]
    fn the_devices_own_file_is_read_without_what_is_only_its_own() {
        let device = Resolver::parse(DEVICE);
        assert_eq!(device.servers, ips(&["10.0.0.1", "fd00::1"]));
        assert_eq!((device.searches, device.options), (texts(&["home.example", "lan"]), texts(&["ndots:1", "edns0"])));
        assert_eq!(Resolver::parse(""), Resolver::default());
    }

    #[test]
    fn a_pods_own_settings_are_added_to_the_devices_and_with_policy_none_they_are_all() {
        let mut dns = Dns {
            policy: DnsPolicy::Default,
            servers: ips(&["10.0.0.1", "9.9.9.9", "1.1.1.1"]),
            searches: texts(&["lan", "shop.example"]),
            options: texts(&["ndots:5"]),
        };
        let both = Resolver::parse(DEVICE).with(&dns);
        assert_eq!(both.servers, ips(&["10.0.0.1", "fd00::1", "9.9.9.9"]), "three, as the C library asks");
        assert_eq!(both.searches, texts(&["home.example", "lan", "shop.example"]));
        assert_eq!(both.options, texts(&["edns0", "ndots:5"]));
        dns.policy = DnsPolicy::None;
        let own = Resolver::parse(DEVICE).with(&dns);
        assert_eq!((own.servers, own.searches, own.options), (dns.servers, dns.searches, dns.options));
    }
}
