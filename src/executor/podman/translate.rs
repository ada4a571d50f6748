//! From a pod as it is desired to what podman's API is asked to make. Pure.
//!
//! `play kube` is not used: it ignores cgroup parents, restarts without backoff, mangles secrets, shares emptyDirs between
//! pods, publishes every port on all addresses, and leaves half pods behind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{cpu, labels};
use crate::model::pod::{
    Container, Content, Contents, EnvValue, Field, FileVolume, HostPathType, Mount, PodJob, Port, PullPolicy, Volume,
};
use crate::model::workload::{SourceKind, Workload};

/// Output of a container on disk; the driver turns it over where it keeps files.
const LOG_MAX_BYTES: u64 = 10 << 20;
/// The period of all quotas.
const PERIOD_US: u32 = cpu::PERIOD_US;

/// Whose pods these are, and what the machine can do.
#[derive(Clone, Debug)]
pub struct Place {
    /// The agent's own mark.
    pub owner: String,
    /// The device's id.
    pub device: String,
    /// CPU limits are kept here.
    pub cpu: bool,
    /// Memory limits are kept here.
    pub memory: bool,
    /// Where the pod's files from ConfigMaps and Secrets will be, absolute.
    pub files: String,
}

/// Everything that is made for a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// The pod's name.
    pub name: String,
    /// The body of `pods/create`.
    pub pod: Json,
    /// Volumes of its own, removed with it.
    pub volumes: Vec<NewVolume>,
    /// Files below [`Place::files`].
    pub files: Vec<NewFile>,
    /// Paths of the device that must be there, or are made.
    pub host_paths: Vec<(String, HostPathType)>,
    /// In the order in which they are started; init containers first.
    pub containers: Vec<NewContainer>,
    /// What the machine does not enforce.
    pub warnings: Vec<String>,
}

/// A volume that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVolume {
    /// Its name.
    pub name: String,
    /// The body of `volumes/create`.
    pub body: Json,
}

/// A file that is written.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Relative.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// Content; may be secret.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:o}, {} bytes)", self.path, self.mode, self.bytes.len())
    }
}

/// A container that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewContainer {
    /// Its name in the pod.
    pub name: String,
    /// It runs to its end before the next one starts.
    pub init: bool,
    /// Its image.
    pub image: String,
    /// When that is fetched.
    pub pull: PullPolicy,
    /// It is refused when its image would run it as root.
    pub non_root: bool,
    /// Its group, where the user is the image's.
    pub group: Option<u32>,
    /// The body of `containers/create`.
    pub body: Json,
}

/// The pod's name: `<name>-<first 12 hex>`.
#[must_use]
pub fn pod_name(workload: &Workload) -> String {
    format!("{}-{}", workload.id.name(), workload.hash.short())
}

/// Translates; `cpu_quota_us` is a condition's quota that holds from the first moment.
#[must_use]
pub fn translate(workload: &Workload, job: &PodJob, place: &Place, cpu_quota_us: Option<u32>) -> Blueprint {
    let name = pod_name(workload);
    let spec = &job.spec;
    let volume_name = |volume: &str| format!("{name}-{volume}");
    let identity = identity(workload, place);
    let mut warnings = Vec::new();

    let mut volumes = Vec::new();
    let mut host_paths = Vec::new();
    let mut files = Vec::new();
    for (volume, what) in &spec.volumes {
        match what {
            Volume::Empty { memory, size_limit } => {
                let size = size_limit.map_or_else(String::new, |bytes| format!(",size={bytes}"));
                let options = if *memory {
                    json!({ "type": "tmpfs", "device": "tmpfs", "o": format!("mode=1777{size}") })
                } else {
                    json!({})
                };
                let label = json!({ labels::OWNER: place.owner, labels::POD: name });
                let name = volume_name(volume);
                let body =
                    json!({ "Name": name, "Driver": "local", "Options": options, "Label": label, "Labels": label });
                volumes.push(NewVolume { name, body });
            }
            Volume::HostPath { path, kind } => host_paths.push((path.clone(), *kind)),
            Volume::Files(wanted) => {
                let content = job.contents.get(wanted.of, &wanted.name);
                files.extend(files_of(volume, wanted, content));
            }
        }
    }

    let all = spec.init_containers.iter().map(|c| (true, c)).chain(spec.containers.iter().map(|c| (false, c)));
    let own: Vec<Option<u32>> = spec.containers.iter().map(|container| container.resources.cpu_limit_us).collect();
    let shared = cpu_quota_us.map(|quota| cpu::shares(quota, &own));
    let mut containers = Vec::new();
    for (at, (init, container)) in all.enumerate() {
        let place_in_list = at.saturating_sub(if init { 0 } else { spec.init_containers.len() });
        let quota = match (init, cpu_quota_us) {
            // An init container runs alone: all of the quota is its.
            (true, Some(quota)) => Some(container.resources.cpu_limit_us.map_or(quota, |own| own.min(quota))),
            (false, Some(_)) => shared.as_ref().and_then(|parts| parts.get(place_in_list)).copied(),
            (_, None) => container.resources.cpu_limit_us,
        };
        let mut labels = identity.clone();
        labels.insert(labels::CONTAINER.into(), container.name.clone());
        labels.insert(labels::ROLE.into(), format!("{}.{place_in_list}", if init { "init" } else { "main" }));
        if let Some(limit) = container.resources.cpu_limit_us {
            labels.insert(labels::CPU.into(), limit.to_string());
        }
        let body = container_body(&name, container, workload, job, place, quota, &labels, &mut warnings);
        let body = mounted(body, container, &spec.volumes, place, &volume_name);
        containers.push(NewContainer {
            name: container.name.clone(),
            init,
            image: container.image.clone(),
            pull: container.pull,
            non_root: container.security.non_root && container.security.user.is_none(),
            group: container.security.group.filter(|_| container.security.user.is_none()),
            body,
        });
    }

    let mut labels = identity;
    labels.insert(labels::CONTAINERS.into(), containers.len().to_string());
    labels.insert(labels::GRACE.into(), spec.grace.as_secs().to_string());
    if !volumes.is_empty() {
        let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        labels.insert(labels::VOLUMES.into(), names.join(","));
    }
    for (key, value) in workload.labels.iter().filter(|(key, _)| !key.starts_with(labels::PREFIX)) {
        labels.insert(key.clone(), value.clone());
    }
    let pod = pod_body(&name, workload, job, &labels);
    let mut blueprint = Blueprint { name, pod, volumes, files, host_paths, containers, warnings: Vec::new() };
    blueprint.warn(&warnings);
    blueprint
}

impl Blueprint {
    /// Adds warnings; they stand on the pod, for the agents after this one.
    pub fn warn(&mut self, more: &[String]) {
        self.warnings.extend(more.iter().map(|warning| warning.replace('\n', " ")));
        self.warnings.sort();
        self.warnings.dedup();
        if !self.warnings.is_empty() {
            self.pod["labels"][labels::WARNINGS] = json!(self.warnings.join("\n"));
        }
    }
}

fn identity(workload: &Workload, place: &Place) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::VERSION.into(), workload.hash.short().into()),
        (labels::DEVICE.into(), place.device.clone()),
        (labels::OWNER.into(), place.owner.clone()),
        (labels::NAMESPACE.into(), workload.id.namespace().into()),
        (labels::NAME.into(), workload.id.name().into()),
        (labels::HASH.into(), workload.hash.0.clone()),
    ])
}

fn pod_body(name: &str, workload: &Workload, job: &PodJob, labels: &BTreeMap<String, String>) -> Json {
    let spec = &job.spec;
    let mut body = json!({
        "name": name,
        "labels": labels,
        // When all containers have ended the pod stays, so that they can be started again in place.
        "exit_policy": "continue",
    });
    if spec.host_network {
        body["netns"] = json!({ "nsmode": "host" });
    } else {
        body["hostname"] = json!(spec.hostname.as_deref().unwrap_or(host_name(workload.id.name())));
        let published = |port: &Port| {
            port.host.map(|host| {
                json!({
                    "container_port": port.container,
                    "host_port": host,
                    "host_ip": port.host_ip.as_deref().unwrap_or(""),
                    "protocol": port.protocol,
                })
            })
        };
        let ports: Vec<Json> = spec.containers.iter().flat_map(|c| &c.ports).filter_map(published).collect();
        if !ports.is_empty() {
            body["portmappings"] = json!(ports);
        }
    }
    if spec.share_processes {
        body["shared_namespaces"] = json!(["ipc", "net", "uts", "pid"]);
    }
    if !spec.host_aliases.is_empty() {
        let lines: Vec<String> = spec.host_aliases.iter().map(|(name, ip)| format!("{name}:{ip}")).collect();
        body["hostadd"] = json!(lines);
    }
    body
}

/// The kernel takes at most 64 characters; a name may have more.
fn host_name(name: &str) -> &str {
    name.get(..63).map_or(name, |short| short.trim_end_matches(['-', '.']))
}

#[expect(clippy::too_many_arguments, reason = "each is a different thing, and it is called once")]
fn container_body(
    pod: &str,
    container: &Container,
    workload: &Workload,
    job: &PodJob,
    place: &Place,
    quota_us: Option<u32>,
    labels: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> Json {
    let env = environment(container, workload, &job.contents, place);
    let expanded = |texts: &[String]| -> Vec<String> { texts.iter().map(|text| expand(text, &env)).collect() };
    let mut body = json!({
        "name": format!("{pod}-{}", container.name),
        "pod": pod,
        "image": container.image,
        "image_pull_policy": "never",
        "restart_policy": "no",
        "stop_timeout": grace_seconds(job.spec.grace),
        "labels": labels,
        "env": env,
        "log_configuration": { "size": LOG_MAX_BYTES },
    });
    // The runtimes obey some of them (hooks that run as root): a server does not get that far.
    if !workload.annotations.is_empty() && workload.source == SourceKind::Manifests {
        body["annotations"] = json!(workload.annotations);
    }
    if !container.command.is_empty() {
        body["entrypoint"] = json!(expanded(&container.command));
    }
    if !container.args.is_empty() {
        body["command"] = json!(expanded(&container.args));
    }
    if let Some(dir) = &container.working_dir {
        body["work_dir"] = json!(dir);
    }
    if container.tty {
        body["terminal"] = json!(true);
    }
    if container.stdin {
        body["stdin"] = json!(true);
    }
    security(&mut body, container);
    limits(&mut body, container, place, quota_us, warnings);
    body
}

fn grace_seconds(grace: Duration) -> u64 {
    // Podman waits whole seconds; less than one is one, so that TERM is heard.
    grace.as_secs().max(u64::from(!grace.is_zero()))
}

fn security(body: &mut Json, container: &Container) {
    let of = &container.security;
    if let Some(user) = of.user {
        body["user"] = json!(of.group.map_or_else(|| user.to_string(), |group| format!("{user}:{group}")));
    }
    if !of.groups.is_empty() {
        body["groups"] = json!(of.groups.iter().map(u32::to_string).collect::<Vec<_>>());
    }
    let names = |caps: &[String]| -> Vec<String> {
        caps.iter().map(|cap| if cap == "ALL" { cap.clone() } else { format!("CAP_{cap}") }).collect()
    };
    if of.privileged {
        body["privileged"] = json!(true);
    }
    if !of.cap_add.is_empty() {
        body["cap_add"] = json!(names(&of.cap_add));
    }
    if !of.cap_drop.is_empty() {
        body["cap_drop"] = json!(names(&of.cap_drop));
    }
    if of.escalation == Some(false) {
        body["no_new_privileges"] = json!(true);
    }
    if of.read_only_root {
        body["read_only_filesystem"] = json!(true);
    }
}

fn limits(body: &mut Json, container: &Container, place: &Place, quota_us: Option<u32>, warnings: &mut Vec<String>) {
    let of = &container.resources;
    let mut not_enforced = |what: &str| {
        warnings.push(format!(
            "LimitNotEnforced: podman cannot limit {what} on this machine (container {}): its cgroup controller is not there",
            container.name
        ));
    };
    let mut found = json!({});
    if place.cpu {
        if let Some(quota) = quota_us {
            found["cpu"] = json!({ "quota": quota, "period": PERIOD_US });
        }
        if let Some(milli) = of.cpu_request_milli {
            // As Kubernetes does it: 1024 for a whole core, at least 2.
            found["cpu"]["shares"] = json!((u64::from(milli) * 1024 / 1000).max(2));
        }
    } else if of.cpu_limit_us.is_some() {
        not_enforced("CPU");
    }
    if place.memory {
        if let Some(bytes) = of.memory_limit {
            found["memory"]["limit"] = json!(bytes);
        }
        if let Some(bytes) = of.memory_request {
            found["memory"]["reservation"] = json!(bytes);
        }
    } else if of.memory_limit.is_some() {
        not_enforced("memory");
    }
    if found.as_object().is_some_and(|limits| !limits.is_empty()) {
        body["resource_limits"] = found;
    }
}

/// The environment, which is also what `$(NAME)` may stand for.
fn environment(
    container: &Container,
    workload: &Workload,
    contents: &Contents,
    place: &Place,
) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut env = BTreeMap::from([("DEVICE_ID".to_owned(), place.device.clone())]);
    for from in &container.env_from {
        for (key, bytes) in contents.get(from.of, &from.name).into_iter().flatten() {
            env.insert(format!("{}{key}", from.prefix), text(bytes));
        }
    }
    for variable in &container.env {
        let value = match &variable.value {
            EnvValue::Literal(value) => Some(expand(value, &env)),
            EnvValue::Key(key) => contents.get(key.of, &key.name).and_then(|all| all.get(&key.key)).map(|b| text(b)),
            EnvValue::Field(field) => Some(match field {
                Field::Name => workload.id.name().to_owned(),
                Field::Namespace => workload.id.namespace().to_owned(),
                Field::NodeName => place.device.clone(),
                Field::Label(key) => workload.labels.get(key).cloned().unwrap_or_default(),
                Field::Annotation(key) => workload.annotations.get(key).cloned().unwrap_or_default(),
            }),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    env
}

/// `$(NAME)` as Kubernetes reads it: an unknown one stays as it is, `$$` is a `$`.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(next), _) => {
                out.push('$');
                rest = next;
            }
            (None, Some((name, next))) => {
                match env.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&rest[at..rest.len() - next.len()]),
                }
                rest = next;
            }
            (None, None) => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn mounted(
    mut body: Json,
    container: &Container,
    volumes: &BTreeMap<String, Volume>,
    place: &Place,
    volume_name: &dyn Fn(&str) -> String,
) -> Json {
    let (mut binds, mut named) = (Vec::new(), Vec::new());
    for mount in &container.mounts {
        match volumes.get(&mount.volume) {
            Some(Volume::Empty { .. }) => {
                // nocopy: an emptyDir begins empty, whatever the image has there.
                let access = if mount.read_only { "ro" } else { "rw" };
                named.push(
                    json!({ "Name": volume_name(&mount.volume), "Dest": mount.path, "Options": ["nocopy", access] }),
                );
            }
            Some(Volume::HostPath { path, .. }) => {
                binds.push(bind(path, mount, &[if mount.read_only { "ro" } else { "rw" }]));
            }
            // z: where there is SELinux, containers may read them.
            Some(Volume::Files(_)) => {
                binds.push(bind(&format!("{}/{}", place.files, mount.volume), mount, &["ro", "z"]));
            }
            None => {}
        }
    }
    if !binds.is_empty() {
        body["mounts"] = json!(binds);
    }
    if !named.is_empty() {
        body["volumes"] = json!(named);
    }
    body
}

/// A mount of a path of the device.
fn bind(source: &str, mount: &Mount, more: &[&str]) -> Json {
    let options = [&["rbind", mount.propagation], more].concat();
    let separator = if mount.sub_path.is_empty() { "" } else { "/" };
    json!({
        "destination": mount.path,
        "source": format!("{source}{separator}{}", mount.sub_path),
        "type": "bind",
        "options": options,
    })
}

fn files_of(volume: &str, wanted: &FileVolume, content: Option<&Content>) -> Vec<NewFile> {
    let Some(content) = content else { return Vec::new() };
    let file =
        |path: &str, mode: u32, bytes: &[u8]| NewFile { path: format!("{volume}/{path}"), mode, bytes: bytes.to_vec() };
    if wanted.items.is_empty() {
        // Keys are names of files; what would lead elsewhere is none.
        let is_name = |key: &str| !key.is_empty() && !key.contains(['/', '\0']) && key != "." && key != "..";
        let keys = content.iter().filter(|(key, _)| is_name(key));
        return keys.map(|(key, bytes)| file(key, wanted.mode, bytes)).collect();
    }
    let item = |item: &crate::model::pod::FileItem| {
        content.get(&item.key).map(|bytes| file(&item.path, item.mode.unwrap_or(wanted.mode), bytes))
    };
    wanted.items.iter().filter_map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_read_as_kubernetes_reads_them() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$A $ $( $", "$A $ $( $"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
