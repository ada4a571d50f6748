//! A device whose pods run on the podman under the tests; whatever becomes of the test, none of them stays.

use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::device::{Device, until_true};
use super::processes;
use super::service::{Podman, Service, both, image, podman, rootless, system, user};

/// A device with a podman, or with both.
pub struct Place {
    device: Device,
    /// Whose pods [`Place::pod`] makes.
    pub podman: Podman,
    /// The user's, beside root's.
    pub rootless: Option<Podman>,
}

impl Place {
    /// `None`: there is no podman to be had (said).
    pub fn new() -> Option<Place> {
        Some(Place::on(podman()?))
    }

    /// With the user's podman: the pods that it makes are `rootless: true`.
    pub fn rootless() -> Option<Place> {
        Some(Place::on(rootless()?))
    }

    /// Both of them, one after the other: for what has to hold on both.
    pub fn each() -> impl Iterator<Item = Place> {
        both().into_iter().map(Place::on)
    }

    /// With both podmans at once: pods are root's unless their head says `rootless: true`.
    pub fn both() -> Option<Place> {
        let mut place = Place::on(system()?);
        place.beside(rootless()?);
        Some(place)
    }

    /// The agent speaks to this user's podman too.
    pub fn beside(&mut self, rootless: Podman) {
        self.device.rootless.clone_from(&rootless.socket);
        self.rootless = Some(rootless);
    }

    /// With a service of its own, which runs.
    pub fn with_service() -> Option<(Place, Service)> {
        let mut service = podman()?.second();
        service.start();
        Some((Place::on(service.podman.clone()), service))
    }

    /// Whose agent speaks to this service.
    pub fn on(podman: Podman) -> Place {
        let mut device = Device::new();
        let socket = if podman.rootless { &mut device.rootless } else { &mut device.podman };
        socket.clone_from(&podman.socket);
        if podman.rootless {
            // What is mounted from here, that user has to reach.
            open(&device.path(""), 0o711);
        }
        let place = Place { device, podman, rootless: None };
        place.manifest("device.yaml", &place.device_yaml());
        place
    }

    /// The device's id; `tests/podman.sh stop` knows it by its beginning.
    pub fn id(&self) -> String {
        format!("test-{}", self.tag())
    }

    /// Its profile `load`: `on` while x is 1, `fifth` while y is 20, `half` while y is 50.
    fn device_yaml(&self) -> String {
        format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: {} }}\nspec:\n  profiles:\n    - name: load\n      conditions:\n        - {{ name: \"on\", expression: \"x == 1\" }}\n        - {{ name: fifth, expression: \"y == 20\" }}\n        - {{ name: half, expression: \"y == 50\" }}\n        - {{ name: any, expression: \"y == nil || y >= 0\" }}\n",
            self.id()
        )
    }

    /// A name that no other test uses.
    pub fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.tag())
    }

    /// A pod: `head` goes below the workload's spec, `spec` is the pod's, both in YAML's short form.
    pub fn pod(&self, name: &str, head: &str, spec: &str) {
        let whose = self.whose();
        let text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {} }}\nspec:\n  type: pod\n{whose}{head}  pod: {{ spec: {spec} }}\n",
            self.name(name)
        );
        self.manifest(&format!("{name}.yaml"), &text);
    }

    /// What a workload's spec says of its podman.
    pub fn whose(&self) -> &'static str {
        if self.podman.rootless { "  rootless: true\n" } else { "" }
    }

    /// A pod of one container that runs this script; TERM ends it at once.
    pub fn script(&self, name: &str, head: &str, script: &str) {
        let container = self.container("c", script);
        self.pod(name, head, &format!("{{ terminationGracePeriodSeconds: 5, containers: [ {container} ] }}"));
    }

    /// A container that runs this script.
    pub fn container(&self, name: &str, script: &str) -> String {
        format!(
            "{{ name: {name}, image: \"{}\", command: [ /bin/sh, -c, '{script}' ], env: [ {{ name: FLOTTA_TEST, value: \"{}\" }} ] }}",
            image(),
            self.tag()
        )
    }

    /// A directory of the test's that pods write to, as their user.
    pub fn shared(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).expect("made");
        if self.podman.rootless {
            super::service::user().own(&path);
        }
        path
    }

    /// The containers of a workload, without podman's own; by name.
    pub fn containers(&self, name: &str) -> Vec<Json> {
        let all = self.podman.containers(&format!("project-flotta.io/name={}", self.name(name)));
        let mut own: Vec<Json> = all.into_iter().filter(|container| container["IsInfra"] != true).collect();
        own.sort_by_key(|container| container["Names"][0].to_string());
        own
    }

    /// One container of a workload.
    pub fn one(&self, name: &str, container: &str) -> Json {
        let label = |c: &Json| c["Labels"]["project-flotta.io/container"] == container;
        let all = self.containers(name);
        all.iter().find(|c| label(c)).cloned().unwrap_or_else(|| panic!("no container {container} in {all:#?}"))
    }

    pub fn until_state(&self, name: &str, state: &str) -> Json {
        self.agent().until_state(&self.name(name), state)
    }

    pub fn until(&self, name: &str, what: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        self.agent().until(&self.name(name), what, wanted)
    }

    /// Nothing is left of what this device ran: no pod, container, volume, file or process.
    pub fn is_empty(&self) {
        self.until_gone(&self.tag());
        let read = |dir: &str| std::fs::read_dir(self.path("state").join(dir)).into_iter().flatten().flatten();
        until_true("no file is left", || {
            ["run/pods", "run/pods-rootless"].iter().flat_map(|dir| read(dir)).count() == 0
        });
        for podman in self.podmans() {
            until_true("no file is left in memory", || !self.files_of(podman).exists());
            until_true("no secret of podman's is left", || self.secrets_of(podman).is_empty());
        }
        let left = processes::with_env("FLOTTA_TEST", &self.tag());
        assert!(left.is_empty(), "{left:?}");
    }

    /// All that it speaks to.
    fn podmans(&self) -> impl Iterator<Item = &Podman> {
        [Some(&self.podman), self.rootless.as_ref()].into_iter().flatten()
    }

    /// What is said of a pod with Secrets on this machine, beside what else is.
    pub fn warns_of_disks(&self, said: &Json) -> bool {
        let base = if self.podman.rootless { user().runtime_dir.to_owned() } else { self.runtime_dir() };
        let nearest = base.ancestors().find(|path| path.exists()).expect("a directory");
        let kind = std::process::Command::new("stat").args(["-f", "-c", "%T"]).arg(nearest).output().expect("stat");
        let in_memory = String::from_utf8_lossy(&kind.stdout).trim() == "tmpfs";
        let all: Vec<&str> = said["warnings"].as_array().expect("warnings").iter().filter_map(Json::as_str).collect();
        match (in_memory, all.as_slice()) {
            (true, []) => true,
            (false, [one]) => one.starts_with("SecretsOnDisk: "),
            _ => false,
        }
    }

    /// The mark of its agent.
    pub fn owner(&self) -> String {
        std::fs::read_to_string(self.path("state/owner")).unwrap_or_default().trim().to_owned()
    }

    /// Where the files of its pods on this podman are.
    pub fn files_of(&self, podman: &Podman) -> PathBuf {
        let base = if podman.rootless { user().runtime_dir.join("flotta-agent") } else { self.runtime_dir() };
        base.join("pods").join(self.owner())
    }

    /// The names of podman's secrets that are its.
    pub fn secrets_of(&self, podman: &Podman) -> Vec<String> {
        let (_, all) = podman.call("GET", "secrets/json", None);
        let names = all.as_array().into_iter().flatten().filter_map(|one| one["Spec"]["Name"].as_str());
        names.filter(|name| name.starts_with(&format!("flotta-{}-", self.owner()))).map(str::to_owned).collect()
    }

    fn until_gone(&self, part: &str) {
        let mut left = Vec::new();
        until_true(&format!("nothing named *{part}* is left"), || {
            left = [Some(&self.podman), self.rootless.as_ref()]
                .into_iter()
                .flatten()
                .flat_map(|p| p.named(part))
                .collect();
            left.is_empty()
        });
    }

    fn clean(&self, podman: &Podman) {
        for pod in podman.pods(&format!("project-flotta.io/device={}", self.id())) {
            podman.remove_pod(pod["Id"].as_str().unwrap_or_default());
        }
        for volume in podman.named(&self.tag()).iter().filter_map(|name| name.strip_prefix("volumes: ")) {
            podman.call("DELETE", &format!("volumes/{volume}"), None);
        }
        for secret in self.secrets_of(podman) {
            podman.call("DELETE", &format!("secrets/{secret}"), None);
        }
        if !self.owner().is_empty() {
            let _ = std::fs::remove_dir_all(self.files_of(podman));
        }
    }
}

impl Deref for Place {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut Device {
        &mut self.device
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.device.kill();
        for podman in [Some(&self.podman), self.rootless.as_ref()].into_iter().flatten() {
            if podman.answers() {
                self.clean(podman);
            } else if let Some(shared) = if podman.rootless { rootless() } else { system() } {
                self.clean(&shared);
            }
        }
    }
}

fn open(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("opened");
}

/// Pids of the processes of a container of podman's list.
pub fn pid(container: &Json) -> i32 {
    i32::try_from(container["Pid"].as_i64().expect("a pid")).expect("a pid")
}

pub fn kill9(container: &Json) {
    let pid = rustix::process::Pid::from_raw(pid(container)).expect("it runs");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}
