//! Published ports: which are asked for, and who has one that is taken. Decisions here, the machine's tables in [`sockets`].

pub mod sockets;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Inner;
use super::client::ApiError;
use super::labels;
use super::wire::Listed;
use crate::model::id::WorkloadId;
use crate::model::pod::PodSpec;

/// A port of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `None`: every address.
    pub ip: Option<IpAddr>,
    /// Its number.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

impl HostPort {
    /// As podman and Kubernetes write it; an unspecified address is every address.
    #[must_use]
    pub fn new(ip: &str, port: u16, protocol: &str) -> HostPort {
        let ip = ip.trim_matches(['[', ']']).parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
        HostPort { ip, port, protocol: protocol.to_owned() }
    }

    /// Whether not both can be had.
    #[must_use]
    pub fn overlaps(&self, other: &HostPort) -> bool {
        let same = |a: IpAddr, b: IpAddr| a.to_canonical() == b.to_canonical();
        let meet = self.ip.zip(other.ip).is_none_or(|(a, b)| same(a, b));
        (self.port, &self.protocol) == (other.port, &other.protocol) && meet
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => write!(f, "{}/{}", std::net::SocketAddr::new(ip, self.port), self.protocol),
            None => write!(f, "port {}/{} (on every address)", self.port, self.protocol),
        }
    }
}

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Another workload of ours.
    Workload(String),
    /// A pod or container of podman's that is not ours.
    Podman(&'static str, String),
    /// The agent itself.
    Agent,
    /// A program.
    Process(String, u32),
    /// A program of this user that cannot be looked at.
    Hidden(u32),
    /// Nobody any more, or somebody who cannot be seen from here.
    Unseen,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Workload(id) => write!(f, "is taken by workload {id}: give one of the two another hostPort"),
            Holder::Podman(what, name) => {
                write!(
                    f,
                    "is taken by podman's {what} {name}, which is not this agent's: end it, or use another hostPort"
                )
            }
            Holder::Agent => {
                write!(f, "is taken by this agent itself: use another hostPort, or change http.listen or mqtt.listen")
            }
            Holder::Process(name, pid) => {
                write!(f, "is taken by the process {name} (pid {pid}): end it, or use another hostPort")
            }
            Holder::Hidden(user) => write!(
                f,
                "is taken by a process of the user with the id {user}, which this agent may not look at: end it, or use another hostPort"
            ),
            Holder::Unseen => write!(f, "was taken, and who had it cannot be seen from here any more"),
        }
    }
}

/// What a pod publishes.
#[must_use]
pub fn wanted(spec: &PodSpec) -> Vec<HostPort> {
    if spec.host_network {
        return Vec::new();
    }
    let ports = spec.containers.iter().flat_map(|container| &container.ports);
    ports
        .filter_map(|port| Some(HostPort::new(port.host_ip.as_deref().unwrap_or(""), port.host?, port.protocol)))
        .collect()
}

/// What a container of podman's list publishes.
fn published(listed: &Listed) -> impl Iterator<Item = HostPort> + '_ {
    listed.ports.iter().flatten().flat_map(|port| {
        let ports = port.host_port..=port.host_port.saturating_add(port.range.saturating_sub(1));
        let protocols = port.protocol.split(',');
        protocols.flat_map(move |protocol| ports.clone().map(|number| HostPort::new(&port.host_ip, number, protocol)))
    })
}

fn holds(listed: &Listed, wanted: &HostPort) -> bool {
    listed.runs() && published(listed).any(|port| port.overlaps(wanted))
}

/// Before a start: a port that a pod of another workload of ours has.
pub(super) fn conflict(inner: &Inner, id: &WorkloadId, spec: &PodSpec) -> Option<String> {
    let wanted = wanted(spec);
    let state = inner.table.lock();
    let others = || state.pods.values().map(|entry| &entry.pod).filter(|pod| pod.id != *id);
    wanted.iter().find_map(|port| {
        let other = others().find(|pod| pod.infra.as_ref().is_some_and(|infra| holds(infra, port)))?;
        Some(format!("{port} {}", Holder::Workload(other.id.to_string())))
    })
}

/// Programs that hold ports for containers of podman's: what they hold is podman's to say, and may be free in a moment.
const OF_PODMAN: [&str; 2] = ["conmon", "rootlessport"];

/// Before a start: a port that a program has. Podman turns a port to the pod before it finds that somebody has it: who
/// talks to that program would be cut off, at each try.
pub(super) async fn taken(inner: &Arc<Inner>, spec: &PodSpec) -> Option<String> {
    for port in wanted(spec) {
        let asked = port.clone();
        let found = tokio::task::spawn_blocking(move || sockets::holder(&asked, true)).await.unwrap_or_default();
        let others = match &found {
            sockets::Found::Nobody => continue,
            sockets::Found::Process { name, .. } if OF_PODMAN.contains(&name.as_str()) => continue,
            sockets::Found::Process { container: Some(_), .. } => inner.client.list(&[]).await.unwrap_or_default(),
            sockets::Found::Process { .. } | sockets::Found::Hidden(_) => Vec::new(),
        };
        return Some(format!("{port} {}", of_process(found, &others, &inner.setting.owner)));
    }
    None
}

/// After a start that failed: where it was for a port that is taken, who has it.
pub(super) async fn explain(inner: &Arc<Inner>, pod: &str, why: ApiError) -> ApiError {
    let ApiError::Refused(status, words) = &why else { return why };
    let Some(port) = refused(words) else { return why };
    let all = inner.client.list(&[]).await.unwrap_or_default();
    let others: Vec<Listed> = all.into_iter().filter(|listed| listed.pod != pod && listed.runs()).collect();
    let holder = match others.iter().find(|listed| (listed.is_infra || listed.pod.is_empty()) && holds(listed, &port)) {
        Some(listed) => of_podman(listed, &inner.setting.owner),
        None => {
            let asked = port.clone();
            let found = tokio::task::spawn_blocking(move || sockets::holder(&asked, false)).await;
            of_process(found.unwrap_or_default(), &others, &inner.setting.owner)
        }
    };
    ApiError::Refused(*status, format!("{port} {holder} (podman: address already in use)"))
}

fn of_podman(listed: &Listed, owner: &str) -> Holder {
    let label = |name| listed.label(name).unwrap_or_default();
    match (label(labels::OWNER) == owner, listed.pod.is_empty()) {
        (true, _) => Holder::Workload(format!("{}/{}", label(labels::NAMESPACE), label(labels::NAME))),
        (false, false) => Holder::Podman("pod", listed.pod_name.clone()),
        (false, true) => Holder::Podman("container", listed.names.iter().flatten().next().cloned().unwrap_or_default()),
    }
}

fn of_process(found: sockets::Found, running: &[Listed], owner: &str) -> Holder {
    match found {
        sockets::Found::Process { pid, .. } if pid == std::process::id() => Holder::Agent,
        // A pod with the device's own network.
        sockets::Found::Process { name, pid, container } => running
            .iter()
            .find(|listed| container.as_ref() == Some(&listed.id))
            .map_or(Holder::Process(name, pid), |listed| of_podman(listed, owner)),
        sockets::Found::Hidden(user) => Holder::Hidden(user),
        sockets::Found::Nobody => Holder::Unseen,
    }
}

/// The port of which podman says that it is taken: `… listen tcp4 127.0.0.1:80: bind: address already in use`.
fn refused(words: &str) -> Option<HostPort> {
    words.to_ascii_lowercase().contains("address already in use").then_some(())?;
    let rest = words.split("listen ").find(|rest| rest.starts_with("tcp") || rest.starts_with("udp"))?;
    let (protocol, rest) = rest.split_once(' ')?;
    let address = rest.split(": ").next()?;
    let (ip, port) = address.rsplit_once(':')?;
    Some(HostPort::new(ip, port.parse().ok()?, protocol.get(..3)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::podman::wire::ListedPort;
    use std::collections::BTreeMap;

    fn at(text: &str) -> HostPort {
        let (address, protocol) = text.split_once('/').expect("a protocol");
        let (ip, port) = address.rsplit_once(':').expect("a port");
        HostPort::new(ip, port.parse().expect("a number"), protocol)
    }

    #[test]
    fn podmans_words_are_understood_as_far_as_they_name_a_port() {
        for (words, expected) in [
            (
                "cannot listen on the TCP port: listen tcp4 127.0.0.1:43871: bind: address already in use",
                Some("127.0.0.1:43871/tcp"),
            ),
            ("cannot listen on the UDP port: listen udp4 :43872: bind: address already in use", Some(":43872/udp")),
            ("cannot listen on the TCP port: listen tcp6 [::]:80: bind: address already in use", Some(":80/tcp")),
            ("cannot listen on the TCP port: listen tcp6 [::1]:80: bind: address already in use", Some("::1:80/tcp")),
            ("rootlessport listen tcp 0.0.0.0:8080: bind: address already in use", Some(":8080/tcp")),
            ("listen tcp4 10.9.9.9:80: bind: cannot assign requested address", None),
            ("address already in use", None),
            ("listen tcp4 : bind: address already in use", None),
            ("listen tcp4 a:b:c: address already in use", None),
        ] {
            assert_eq!(refused(words), expected.map(at), "{words}");
        }
    }

    #[test]
    fn two_ports_meet_where_both_cannot_be_had() {
        for (a, b, meet) in [
            (":80/tcp", "127.0.0.1:80/tcp", true),
            ("127.0.0.1:80/tcp", "127.0.0.1:80/tcp", true),
            ("127.0.0.1:80/tcp", "127.0.0.2:80/tcp", false),
            ("0.0.0.0:80/tcp", "127.0.0.2:80/tcp", true),
            ("::ffff:127.0.0.1:80/tcp", "127.0.0.1:80/tcp", true),
            (":80/tcp", ":80/udp", false),
            (":80/tcp", ":81/tcp", false),
        ] {
            assert_eq!((at(a).overlaps(&at(b)), at(b).overlaps(&at(a))), (meet, meet), "{a} {b}");
        }
    }

    #[test]
    fn who_has_a_port_is_named_and_what_to_do() {
        let labels = [(labels::OWNER, "us"), (labels::NAMESPACE, "shop"), (labels::NAME, "web")];
        let port = ListedPort { host_ip: String::new(), host_port: 80, range: 3, protocol: "tcp".into() };
        let mut infra = Listed {
            id: "i".into(),
            pod: "p".into(),
            pod_name: "web-1".into(),
            state: "running".into(),
            is_infra: true,
            names: Some(vec!["n".into()]),
            ports: Some(vec![port]),
            labels: Some(BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned())))),
            ..Listed::default()
        };
        assert!(holds(&infra, &at("127.0.0.1:82/tcp")) && !holds(&infra, &at(":83/tcp")));
        assert_eq!(of_podman(&infra, "us"), Holder::Workload("shop/web".into()));
        assert_eq!(of_podman(&infra, "them"), Holder::Podman("pod", "web-1".into()));
        let process = |pid, container: Option<&str>| sockets::Found::Process {
            name: "nginx".into(),
            pid,
            container: container.map(str::to_owned),
        };
        let all = std::slice::from_ref(&infra);
        assert_eq!(of_process(process(7, Some("i")), all, "us"), Holder::Workload("shop/web".into()));
        assert_eq!(of_process(process(7, Some("x")), all, "us"), Holder::Process("nginx".into(), 7));
        assert_eq!(of_process(process(std::process::id(), None), all, "us"), Holder::Agent);
        infra.pod.clear();
        assert_eq!(of_podman(&infra, "them"), Holder::Podman("container", "n".into()));
        infra.state = "exited".into();
        assert!(!holds(&infra, &at(":80/tcp")));
        let said = format!("{} {}", at("[::1]:80/tcp"), Holder::Process("nginx".into(), 7));
        assert_eq!(said, "[::1]:80/tcp is taken by the process nginx (pid 7): end it, or use another hostPort");
        assert_eq!(at(":80/udp").to_string(), "port 80/udp (on every address)");
    }
}
