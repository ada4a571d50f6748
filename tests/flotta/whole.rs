//! A pod of the server's on a real podman, from its first start to its removal.

use flotta_standin::{Operation, Options};
use serde_json::{Value, json};

use super::device::{lines, until_true};
use super::service::{Podman, image, podman};
use super::site::{ID, Site, quick};

/// What this test left on the podman goes with it, however it ends.
struct Traces {
    podman: Podman,
    id: String,
    image: String,
}

impl Drop for Traces {
    fn drop(&mut self) {
        for pod in self.podman.pods(&format!("project-flotta.io/device={}", self.id)) {
            self.podman.remove_pod(pod["Id"].as_str().unwrap_or_default());
        }
        // Without a name, podman takes all of them from the image: that of the other tests too.
        let (repo, tag) = self.image.rsplit_once(':').expect("a name and a tag");
        let path = format!("images/{}/untag?repo={}&tag={tag}", encoded(&self.image), encoded(repo));
        let _ = self.podman.call("POST", &path, None);
    }
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn web(name: &str, image: &str, host: &str) -> Value {
    let from = |name: &str, kind: &str, of: &str, key: &str| json!({ "name": name, "valueFrom": { kind: { "name": of, "key": key } } });
    json!({
        "name": name,
        "kind": "pod",
        "labels": { "team": "edge" },
        "specification": {
            "terminationGracePeriodSeconds": 5,
            "volumes": [{ "name": "host", "hostPath": { "path": host } }],
            "containers": [{
                "name": "c",
                "image": image,
                "command": ["/bin/sh", "-c", "echo \"$GREETING|$PASS\" >> /host/out; trap 'exit 0' TERM; sleep 100000 & wait"],
                "env": [
                    from("FLOTTA_TEST", "configMapKeyRef", "texts", "tag"),
                    from("GREETING", "configMapKeyRef", "texts", "greeting"),
                    from("PASS", "secretKeyRef", "keys", "pass"),
                ],
                "volumeMounts": [{ "name": "host", "mountPath": "/host" }],
            }],
        },
    })
}

#[test]
fn a_pod_of_the_servers_runs_with_its_contents_is_replaced_and_goes_with_the_device() {
    let Some(podman) = podman() else { return };
    let Some(mut site) = Site::with_podman(Options::default()) else { return };
    let (tag, out) = (site.device.tag(), site.file("host/out"));
    let name = format!("web-{tag}");
    let second = format!("localhost/flotta-test/{tag}:2");
    let _traces = Traces { podman: podman.clone(), id: ID.into(), image: second.clone() };
    let (code, answer) =
        podman.call("POST", &format!("images/{}/tag?repo=localhost/flotta-test/{tag}&tag=2", encoded(image())), None);
    assert_eq!(code, 201, "{answer}");
    std::fs::create_dir(site.file("host")).expect("made");
    let host = site.file("host").display().to_string();
    let texts = |greeting: &str| Some(json!({ "data": { "greeting": greeting, "tag": tag } }));
    site.server.set_config_map("default", "texts", texts("hello"));
    let keys = [("pass".to_owned(), "s3cret".to_owned())];
    site.server.set_secret("default", "keys", Some(keys.into()));
    site.join(quick(), json!([web(&name, image(), &host)]));

    let running = site.until_workload(&name, "running");
    site.wait(Operation::Heartbeat, "running", |beat| {
        beat.content()["workloads"] == json!([{ "name": name, "status": "running" }])
    });
    until_true("it said what it saw", || lines(&out).len() == 1);
    assert_eq!(lines(&out), ["hello|s3cret"]);
    let owned = format!("project-flotta.io/name={name}");
    let pods = podman.pods(&owned);
    assert_eq!((pods.len(), &pods[0]["Labels"]["team"]), (1, &json!("edge")), "{pods:#?}");

    // Killed and started again, it finds what runs.
    site.device.kill();
    site.start();
    let adopted = site.device.agent().until(&name, "adopted", |one| one["state"] == "running");
    assert_eq!((&adopted["reason"], &adopted["hash"]), (&json!("Adopted"), &running["hash"]));
    assert_eq!(podman.pods(&owned)[0]["Id"], pods[0]["Id"]);

    // A ConfigMap's content is part of the version; no version of the device moves with it.
    site.server.set_config_map("default", "texts", texts("goodbye"));
    let changed = site
        .device
        .agent()
        .until(&name, "the new content", |one| one["state"] == "running" && one["hash"] != running["hash"]);
    until_true("it said what it saw", || lines(&out).len() == 2);
    assert_eq!(lines(&out)[1], "goodbye|s3cret");
    site.server.set_workloads(ID, json!([web(&name, &second, &host)]));
    let replaced = site
        .device
        .agent()
        .until(&name, "the new image", |one| one["state"] == "running" && one["hash"] != changed["hash"]);
    assert_ne!(replaced["hash"], running["hash"]);
    until_true("the old ones are gone", || podman.pods(&owned).len() == 1);
    assert_ne!(podman.pods(&owned)[0]["Id"], pods[0]["Id"]);

    // The server deletes the device: what it wanted goes.
    assert!(site.server.delete(ID));
    site.until_state("removed");
    until_true("nothing of it is left", || podman.named(&tag).is_empty());
    until_true("nor in its status", || site.workloads().is_empty());
}
