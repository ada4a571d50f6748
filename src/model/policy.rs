//! What a server may ask of this device (SPEC "Configuration", `remote.*`). Manifests on the device itself may ask for all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::id::WorkloadId;
use super::pod::{NETWORK, PodSpec, Volume};
use super::workload::{Kind, Payload, SharedWorkload, SourceKind, Workload};

/// Which paths of the device a remote workload may mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPaths {
    /// All but those that are always refused.
    Allow,
    /// None.
    #[default]
    Deny,
    /// Those at or below one of these absolute paths.
    Prefixes(Vec<PathBuf>),
}

/// What a server may ask for. By default: nothing of the device's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `remote.host_paths`.
    pub host_paths: HostPaths,
    /// `remote.privileged`.
    pub privileged: bool,
    /// `remote.host_network`.
    pub host_network: bool,
    /// `remote.shell`.
    pub shell: bool,
    /// `remote.ansible`.
    pub ansible: bool,
    /// `remote.mounts`.
    pub mounts: bool,
    /// Refused whatever `host_paths` says, beside [`NEVER`]: the agent's state, the container engines' sockets.
    pub ours: Vec<PathBuf>,
}

/// Paths that no remote workload gets, nor what is below them: settings, what root runs, what root is spoken to by, and what
/// the containers of others are made of.
pub const NEVER: [&str; 20] = [
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/root",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/run/dbus",
    "/run/systemd",
    "/run/udev",
    "/run/user",
    "/var/spool",
    "/var/lib/containers",
    "/var/lib/docker",
];
/// Where beside [`NEVER`] nothing is mounted for a server: what root or a login obeys may be put there.
const NO_MOUNT_POINT: [&str; 4] = ["/run", "/var/run", "/var/spool", "/tmp"];
/// Where container engines listen: whoever reaches one is root.
const SOCKETS: [&str; 6] =
    ["/run/podman", "/run/docker.sock", "/run/containerd", "/run/crio", "/var/run/docker.sock", "/var/run/podman"];
/// What a container may add without being privileged: Kubernetes' baseline, but for `MKNOD`: what one container makes another
/// one would be given as a device.
const HARMLESS: [&str; 12] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

impl Policy {
    /// Forbids, of what a server asks for, what this device does not allow; manifests stay as they are.
    pub fn apply(&self, workloads: &mut BTreeMap<WorkloadId, SharedWorkload>) {
        for workload in workloads.values_mut().filter(|workload| workload.source == SourceKind::Flotta) {
            if let Err(why) = self.check(workload) {
                Arc::make_mut(workload).payload = Payload::Forbidden(why);
            }
        }
    }

    /// Whether a workload from a server is carried out; the error names the field and the key that decides.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, workload: &Workload) -> Result<(), String> {
        match (workload.kind, &workload.payload) {
            (Kind::Shell, _) if !self.shell => Err(no("spec.type: shell", "remote.shell: true")),
            (Kind::Ansible, _) if !self.ansible => Err(no("spec.type: ansible", "remote.ansible: true")),
            (_, Payload::Pod(job)) => self.pod(&job.spec),
            _ => Ok(()),
        }
    }

    fn pod(&self, spec: &PodSpec) -> Result<(), String> {
        if spec.host_network && !self.host_network {
            let what = format!("spec.pod.spec.hostNetwork (or the annotation {NETWORK}: host)");
            return Err(no(&what, "remote.host_network: true"));
        }
        for (field, wanted) in [("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)] {
            if wanted && !self.privileged {
                return Err(no(&format!("spec.pod.spec.{field}"), "remote.privileged: true"));
            }
        }
        for container in spec.init_containers.iter().chain(&spec.containers) {
            let of = &container.security;
            let field = |what: &str| format!("container {}: securityContext.{what}", container.name);
            if self.privileged {
                continue;
            }
            if of.privileged {
                return Err(no(&field("privileged"), "remote.privileged: true"));
            }
            for (what, wanted) in
                [("seccompProfile.type: Unconfined", of.seccomp_unconfined), ("procMount: Unmasked", of.unmasked)]
            {
                if wanted {
                    return Err(no(&field(what), "remote.privileged: true"));
                }
            }
            if let Some(cap) = of.cap_add.iter().find(|cap| !HARMLESS.contains(&cap.as_str())) {
                return Err(no(&field(&format!("capabilities.add {cap}")), "remote.privileged: true"));
            }
            if let Some(mount) = container.mounts.iter().find(|mount| mount.propagation == "rshared") {
                let what = format!(
                    "container {}: volumeMounts {} mountPropagation: Bidirectional",
                    container.name, mount.path
                );
                return Err(no(&what, "remote.privileged: true"));
            }
        }
        for volume in spec.volumes.values() {
            if let Volume::HostPath { path, .. } = volume {
                self.host_path(Path::new(path))?;
            }
        }
        Ok(())
    }

    /// With what those paths lead to that are links on this device (`/var/lib/containers` on another disk): a workload's
    /// path is looked at without links.
    #[must_use]
    pub fn resolved(mut self, real: impl Fn(&Path) -> Option<PathBuf>) -> Policy {
        let leads_elsewhere = |path: &Path| real(path).filter(|to| to != path && to.parent().is_some());
        let named: Vec<PathBuf> = NEVER.iter().chain(&SOCKETS).map(PathBuf::from).chain(self.ours.clone()).collect();
        self.ours.extend(named.iter().filter_map(|path| leads_elsewhere(path)));
        if let HostPaths::Prefixes(prefixes) = &mut self.host_paths {
            let more: Vec<PathBuf> = prefixes.iter().filter_map(|path| leads_elsewhere(path)).collect();
            prefixes.extend(more);
        }
        self
    }

    /// Whether something may be mounted on a directory of the device for a server; symbolic links are the caller's to resolve.
    ///
    /// # Errors
    /// A sentence.
    pub fn mount_point(&self, directory: &Path) -> Result<(), String> {
        let never = NEVER.iter().chain(&SOCKETS).chain(&NO_MOUNT_POINT).map(Path::new);
        match never_at(directory, never.chain(self.ours.iter().map(PathBuf::as_path))) {
            Some(at) => Err(format!(
                "nothing is mounted on {} for a server, nor on anything that hides {}",
                directory.display(),
                at.display()
            )),
            None => Ok(()),
        }
    }

    /// Whether a path of the device may be mounted; symbolic links are the caller's to resolve.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn host_path(&self, path: &Path) -> Result<(), String> {
        let what = format!("hostPath {}", path.display());
        let never = NEVER.iter().chain(&SOCKETS).map(Path::new).chain(self.ours.iter().map(PathBuf::as_path));
        if let Some(at) = never_at(path, never) {
            return Err(format!(
                "{what} is refused: no workload of a server gets {} (whatever remote.host_paths says)",
                at.display()
            ));
        }
        match &self.host_paths {
            HostPaths::Allow => Ok(()),
            HostPaths::Deny => Err(no(&what, "remote.host_paths: allow, or a list of prefixes")),
            HostPaths::Prefixes(prefixes) if prefixes.iter().any(|prefix| path.starts_with(prefix)) => Ok(()),
            HostPaths::Prefixes(prefixes) => {
                let list: Vec<String> = prefixes.iter().map(|prefix| prefix.display().to_string()).collect();
                Err(format!("{what} is refused: remote.host_paths allows {} only", list.join(", ")))
            }
        }
    }
}

/// A path that is always refused at, above or below this one.
fn never_at<'a>(path: &Path, all: impl Iterator<Item = &'a Path>) -> Option<&'a Path> {
    // Above it: then it would be inside.
    let mut all = all;
    all.find(|never| path.starts_with(never) || never.starts_with(path))
}

fn no(field: &str, key: &str) -> String {
    format!("{field} is refused for workloads of a server; to allow it, set {key} on the device")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(host_paths: HostPaths) -> Policy {
        Policy {
            host_paths,
            mounts: true,
            ours: vec!["/var/lib/flotta-agent".into(), "/run/user/1000/podman/podman.sock".into()],
            ..Policy::default()
        }
    }

    #[test]
    fn no_server_gets_the_devices_own_paths_whatever_is_allowed() {
        let allowed = policy(HostPaths::Allow);
        for path in [
            "/",
            "/etc",
            "/etc/passwd",
            "/proc/1",
            "/dev/sda",
            "/root/.ssh",
            "/var/lib/flotta-agent/device.key",
            "/var/lib",
            "/var",
            "/run",
            "/run/podman/podman.sock",
            "/run/user/1000",
            "/var/run/docker.sock",
            "/usr/bin",
            "/usr",
            "/lib/modules",
            "/bin",
            "/sbin/init",
            "/lib64",
            "/run/dbus/system_bus_socket",
            "/run/systemd/private",
            "/var/lib/containers/storage",
        ] {
            let refused = allowed.host_path(Path::new(path));
            assert!(refused.is_err_and(|why| why.contains(path) && why.contains("remote.host_paths")), "{path}");
        }
        for path in ["/srv/data", "/etcetera", "/home/x", "/var/lib/other", "/library", "/run/media", "/tmp/x"] {
            assert_eq!(allowed.host_path(Path::new(path)), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_where_it_leads_to_as_well() {
        let leads = |path: &Path| match path.to_str() {
            Some("/var/lib/containers") => Some(PathBuf::from("/data/containers")),
            Some("/var/lib/flotta-agent") => Some(PathBuf::from("/data/flotta")),
            Some("/srv") => Some(PathBuf::from("/data/srv")),
            Some("/root") => Some(PathBuf::from("/")),
            _ => None,
        };
        let allowed = policy(HostPaths::Allow).resolved(leads);
        for path in ["/data/containers/storage", "/data/flotta", "/data"] {
            assert!(allowed.host_path(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(allowed.host_path(Path::new("/data/srv")), Ok(()));
        let below = policy(HostPaths::Prefixes(vec!["/srv".into()])).resolved(leads);
        assert_eq!(below.host_path(Path::new("/data/srv/x")), Ok(()));
        assert!(below.host_path(Path::new("/data/other")).is_err());
    }

    #[test]
    fn nothing_is_mounted_for_a_server_over_what_the_device_lives_by() {
        let policy = policy(HostPaths::Deny);
        for path in
            ["/", "/etc", "/usr/local", "/run/media", "/var", "/var/lib", "/var/lib/flotta-agent", "/tmp", "/dev/shm"]
        {
            assert!(policy.mount_point(Path::new(path)).is_err_and(|why| why.contains(path)), "{path}");
        }
        for path in ["/mnt/data", "/srv", "/media/usb", "/data", "/var/lib/other", "/home/user/data"] {
            assert_eq!(policy.mount_point(Path::new(path)), Ok(()), "{path}");
        }
    }

    #[test]
    fn prefixes_allow_what_is_below_them_and_deny_denies_all() {
        let some = policy(HostPaths::Prefixes(vec!["/srv/data".into()]));
        assert!(some.host_path(Path::new("/srv/data/x")).is_ok() && some.host_path(Path::new("/srv/data")).is_ok());
        assert!(some.host_path(Path::new("/srv/database")).is_err_and(|why| why.contains("/srv/data only")));
        assert!(policy(HostPaths::Deny).host_path(Path::new("/srv")).is_err());
    }

    #[test]
    fn what_a_server_may_not_ask_for_is_forbidden_and_a_manifest_may() {
        let workload = |name: &str, source| {
            let spec = PodSpec { host_network: true, ..PodSpec::default() };
            Arc::new(Workload { source, ..Workload::pod("default", name, spec) })
        };
        let (theirs, ours) = (workload("theirs", SourceKind::Flotta), workload("ours", SourceKind::Manifests));
        let mut all = BTreeMap::from([(theirs.id.clone(), theirs), (ours.id.clone(), ours.clone())]);
        policy(HostPaths::Allow).apply(&mut all);
        assert_eq!(all.get(&ours.id), Some(&ours));
        let forbidden = all.into_values().find(|workload| workload.id != ours.id).expect("there");
        assert!(matches!(&forbidden.payload, Payload::Forbidden(why) if why.contains("remote.host_network")));
    }

    #[test]
    fn a_refusal_names_the_field_and_the_key() {
        use crate::model::pod::{Container, Security};
        let container = |security| Container { name: "c".into(), security, ..Container::default() };
        let pod = |spec: PodSpec| policy(HostPaths::Allow).pod(&spec);
        let one = |security| PodSpec { containers: vec![container(security)], ..PodSpec::default() };
        let privileged = container(Security { privileged: true, ..Security::default() });
        let why = pod(PodSpec { containers: vec![privileged], ..PodSpec::default() }).expect_err("refused");
        assert!(
            why.contains("container c: securityContext.privileged") && why.contains("remote.privileged: true"),
            "{why}"
        );
        let admin = container(Security { cap_add: vec!["SYS_ADMIN".into()], ..Security::default() });
        assert!(pod(PodSpec { init_containers: vec![admin], ..PodSpec::default() }).is_err());
        let net = pod(PodSpec { host_network: true, ..PodSpec::default() }).expect_err("refused");
        assert!(net.contains("hostNetwork") && net.contains("remote.host_network: true"), "{net}");
        for (field, spec) in [
            ("hostPID", PodSpec { host_pid: true, ..PodSpec::default() }),
            ("hostIPC", PodSpec { host_ipc: true, ..PodSpec::default() }),
            ("seccompProfile", one(Security { seccomp_unconfined: true, ..Security::default() })),
            ("procMount", one(Security { unmasked: true, ..Security::default() })),
        ] {
            let why = pod(spec).expect_err("refused");
            assert!(why.contains(field) && why.contains("remote.privileged: true"), "{why}");
        }
        let plain = container(Security { cap_add: vec!["CHOWN".into()], ..Security::default() });
        assert_eq!(pod(PodSpec { containers: vec![plain], ..PodSpec::default() }), Ok(()));
    }
}
