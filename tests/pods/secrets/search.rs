//! A search of the machine for a value: files, processes, what podman and the agent say.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::super::place::Place;
use super::super::processes;
use super::super::service::{Podman, user};

/// A value as bytes may have it: plain, and in base64 wherever it begins in what is encoded.
pub struct Needle(Vec<Vec<u8>>);

impl Needle {
    pub fn new(value: &str) -> Needle {
        let encoded = |shift: usize| {
            let text = STANDARD.encode([vec![b'x'; shift], value.as_bytes().to_vec()].concat());
            // Digits that are of the value alone.
            let (from, to) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
            text.as_bytes()[from..to].to_vec()
        };
        Needle(std::iter::once(value.as_bytes().to_vec()).chain((0..3).map(encoded)).collect())
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| {
            let first = form[0];
            let mut rest = bytes;
            while let Some(at) = rest.iter().position(|byte| *byte == first) {
                if rest[at..].starts_with(form) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        })
    }
}

/// A file that has it.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    pub mode: u32,
    pub uid: u32,
    /// Nobody but its owner comes to it: its own mode, or that of a directory above.
    pub private: bool,
}

/// Files below these directories, written since then (seconds since 1970), that have it.
pub fn files(needle: &Needle, roots: &[PathBuf], since: u64) -> Vec<Found> {
    let mut found = BTreeMap::new();
    let mut left: Vec<PathBuf> = roots.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(path) = left.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if !seen.insert((meta.dev(), meta.ino())) && meta.is_dir() {
            continue;
        }
        if meta.is_dir() {
            left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if meta.is_file() && u64::try_from(meta.ctime()).unwrap_or(0) + 2 >= since {
            // One that went meanwhile has nothing.
            if std::fs::read(&path).is_ok_and(|bytes| needle.is_in(&bytes)) {
                let closed = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 == 0);
                let private = path.ancestors().any(closed);
                found.insert(path.clone(), Found { mode: meta.mode() & 0o7777, uid: meta.uid(), private, path });
            }
        }
    }
    found.into_values().collect()
}

/// Where podmans and the agent of this device keep anything.
pub fn roots(place: &Place) -> Vec<PathBuf> {
    let mut roots = vec![place.path("state"), place.path("host"), "/dev/shm".into()];
    roots.extend(["/run/containers", "/run/libpod", "/run/runc", "/run/crun", "/run/lock"].map(PathBuf::from));
    roots.extend(
        ["/var/lib/flotta-agent-test", "/run/flotta-agent-test", "/var/log", "/var/lib/cni"].map(PathBuf::from),
    );
    if place.podman.rootless {
        roots.push(user().runtime_dir.into());
    }
    let (_, info) = place.podman.call("GET", "info", None);
    let store = |name: &str| info["store"][name].as_str().expect("a directory").into();
    roots.extend(["graphRoot", "runRoot", "volumePath"].map(store));
    roots
}

/// Processes that have it in their command line, and those that have it in their environment.
pub fn processes(needle: &Needle) -> (Vec<i32>, BTreeSet<i32>) {
    let (mut lines, mut environments) = (Vec::new(), BTreeSet::new());
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let has = |name: &str| std::fs::read(entry.path().join(name)).is_ok_and(|bytes| needle.is_in(&bytes));
        if has("cmdline") {
            lines.push(pid);
        }
        if has("environ") {
            environments.insert(pid);
        }
    }
    (lines, environments)
}

/// The processes of the device's containers.
pub fn containers(place: &Place) -> BTreeSet<i32> {
    processes::with_env("FLOTTA_TEST", &place.tag()).into_keys().collect()
}

/// All that podman says of a workload, by what it was asked.
pub fn said_by_podman(place: &Place, podman: &Podman, name: &str) -> Vec<(String, String)> {
    let label = format!("project-flotta.io/name={}", place.name(name));
    let mut asked = vec![
        "pods/json".to_owned(),
        "containers/json?all=true".into(),
        "volumes/json".into(),
        "secrets/json".into(),
        "events?stream=false".into(),
    ];
    let id = |one: &Json| one["Id"].as_str().expect("an id").to_owned();
    asked.extend(podman.pods(&label).iter().map(|pod| format!("pods/{}/json", id(pod))));
    for container in podman.containers(&label) {
        let id = id(&container);
        asked.push(format!("containers/{id}/json"));
        asked.push(format!("containers/{id}/logs?stdout=true&stderr=true"));
        asked.push(format!("containers/{id}/top?stream=false"));
    }
    asked.extend(place.secrets_of(podman).iter().map(|name| format!("secrets/{name}/json")));
    let answer = |path: String| {
        let (_, said) = podman.call("GET", &path, None);
        (format!("podman: {path}"), said.to_string())
    };
    asked.into_iter().map(answer).collect()
}

/// All that the agent says, by where.
pub fn said_by_agent(place: &Place, name: &str) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = [
        "api/v1/device",
        "api/v1/workloads",
        "api/v1/profiles",
        "api/v1/metrics",
        "api/v1/events",
        "metrics",
        "healthz",
        "readyz",
    ]
    .iter()
    .map(|path| (format!("GET /{path}"), place.agent().request("GET", &format!("/{path}"), &[], b"").1))
    .collect();
    let url = format!("http://{}", place.agent().http);
    let name = place.name(name);
    for arguments in [vec!["why", &name], vec!["status", "-o", "json"], vec!["check"]] {
        let more = if arguments == ["check"] { Vec::new() } else { vec!["--url", &url] };
        said.push((arguments.join(" "), place.client(&[arguments, more].concat()).1));
    }
    let (host, port) =
        place.agent().mqtt.rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("host:port");
    let topics = Command::new("mosquitto_sub")
        .args(["-h", &host, "-p", &port, "-v", "-t", "#", "--retained-only", "-W", "1"])
        .output()
        .expect("mosquitto_sub is there: make test installs it");
    let topics = String::from_utf8_lossy(&topics.stdout).into_owned();
    assert!(topics.contains(&name), "the retained topics are seen: {topics}");
    said.push(("MQTT".into(), topics));
    let log = place.agent().log();
    assert!(log.contains("DEBUG") && log.contains(&name), "everything is logged: {log}");
    said.push(("the log".into(), log));
    said
}
