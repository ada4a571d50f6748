//! The built agent in a container, with the podman outside of it.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::super::device::until_true;
use super::super::place::Place;
use super::super::service::{Podman, image};

/// A container of podman's; gone with this.
struct Container<'a> {
    podman: &'a Podman,
    id: String,
}

impl<'a> Container<'a> {
    /// With an agent whose directories are the device's. The image has no libraries: they are the machine's.
    fn with_agent(place: &'a Place, name: &str, more: &[&Path]) -> Container<'a> {
        let socket = place.podman.socket.parent().expect("a directory");
        let state = place.path(name);
        let manifests = place.path("manifests");
        let bind = |path: &Path| json!({ "type": "bind", "source": path, "destination": path, "options": ["rbind"] });
        let libraries = ["/usr", "/lib", "/lib64"].map(Path::new).into_iter().filter(|path| path.exists());
        let binary = Path::new(env!("CARGO_BIN_EXE_flotta-agent"));
        std::fs::create_dir_all(&state).expect("made");
        let mounts: Vec<Json> =
            libraries.chain([binary, socket, &state, &manifests]).chain(more.iter().copied()).map(bind).collect();
        let body = json!({
            "name": format!("{name}-{}", place.tag()),
            "labels": { "flotta-test": "1" },
            "image": image(),
            "entrypoint": [binary, "run"],
            "netns": { "nsmode": "host" },
            "stop_timeout": 5,
            "mounts": mounts,
            "env": {
                "EDGE_DEVICE_STATE_DIR": state,
                "EDGE_DEVICE_MANIFESTS_DIR": manifests,
                "EDGE_DEVICE_HTTP_LISTEN": "127.0.0.1:0",
                "EDGE_DEVICE_MQTT_LISTEN": "127.0.0.1:0",
                "EDGE_DEVICE_PODMAN_SOCKET": place.podman.socket,
                "EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET": "/no/socket",
                "EDGE_DEVICE_PODMAN_RUNTIME_DIR": place.runtime_dir(),
                "EDGE_DEVICE_WORKLOADS_ON_EXIT": "stop",
            },
        });
        let (code, made) = place.podman.call("POST", "containers/create", Some(&body));
        assert_eq!(code, 201, "{made}");
        let id = made["Id"].as_str().expect("an id").to_owned();
        let (code, said) = place.podman.call("POST", &format!("containers/{id}/start"), None);
        assert_eq!(code, 204, "{said}");
        Container { podman: &place.podman, id }
    }

    /// What the agent in it says of its device.
    fn get(&self, place: &Place, name: &str, path: &str) -> Json {
        let endpoints = place.path(name).join("run/endpoints.json");
        let mut found = Json::Null;
        until_true("the agent in the container answers", || {
            let text = std::fs::read_to_string(&endpoints).unwrap_or_default();
            let at: Json = serde_json::from_str(&text).unwrap_or_default();
            let output = std::process::Command::new("curl")
                .args(["-s", "-m", "5", &format!("http://{}{path}", at["http"].as_str().unwrap_or("127.0.0.1:1"))])
                .output()
                .expect("curl is there: tests/podman.sh installs it");
            found = serde_json::from_slice(&output.stdout).unwrap_or_default();
            !found.is_null()
        });
        found
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.podman.call("DELETE", &format!("containers/{}?force=true", self.id), None);
    }
}

fn problem(device: &Json) -> Option<String> {
    let all = device["problems"].as_array().expect("problems");
    let found = all.iter().find(|one| one["where"] == "podman");
    found.map(|one| one["message"].as_str().expect("a sentence").to_owned())
}

#[test]
fn an_agent_in_a_container_says_which_directory_podman_has_to_see_and_with_it_pods_get_their_secrets() {
    let Some(place) = Place::new() else { return };
    if place.podman.rootless {
        // A user's podman runs no agent that is root outside.
        return;
    }
    place.shared("host");
    super::secret(&place, "keys", &super::value(&place));
    let dir = place.runtime_dir();
    {
        let alone = Container::with_agent(&place, "alone", &[]);
        let why = problem(&alone.get(&place, "alone", "/api/v1/device")).expect("said");
        assert!(why.contains(&format!("-v {0}:{0}", dir.display())), "{why}");
    }
    std::fs::create_dir_all(&dir).expect("made");
    let host = place.path("host");
    let whole = Container::with_agent(&place, "whole", &[&dir, &host]);
    assert_eq!(problem(&whole.get(&place, "whole", "/api/v1/device")), None);
    place.pod("web", "", &super::user_of_secrets(&place, ""));
    until_true("the pod has its secrets", || super::lines(&host.join("said")) == [super::RIGHT, super::RIGHT]);
    place.delete("web.yaml");
    until_true("nothing of the pod is left", || {
        place.podman.pods(&format!("project-flotta.io/name={}", place.name("web"))).is_empty()
            && std::fs::read_dir(&dir).is_ok_and(|left| left.count() == 0)
    });
}
