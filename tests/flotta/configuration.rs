//! What the server wants is in force once, for as long as it wants it, server or no server.

use flotta_standin::Operation;
use serde_json::{Value, json};

use super::site::{ID, Site, files, gated, pod, quick};

/// A pod whose environment comes from a ConfigMap and two Secrets.
fn rich(name: &str) -> Value {
    let from = |kind: &str, of: &str, key: &str| json!({ "valueFrom": { kind: { "name": of, "key": key } } });
    let mut all = Vec::new();
    for (n, mut one) in [
        from("configMapKeyRef", "texts", "a"),
        from("configMapKeyRef", "more", "a"),
        from("secretKeyRef", "keys", "k"),
        from("secretKeyRef", "locks", "k"),
    ]
    .into_iter()
    .enumerate()
    {
        one["name"] = json!(format!("V{n}"));
        all.push(one);
    }
    let mut pod = gated(name);
    pod["specification"]["containers"][0]["env"] = json!(all);
    pod
}

fn with_contents() -> Site {
    let mut site = Site::new();
    for name in ["texts", "more"] {
        site.server.set_config_map("default", name, Some(json!({ "data": { "a": name } })));
    }
    for name in ["keys", "locks"] {
        let keys = [("k".to_owned(), "s3cret-of-the-server".to_owned())];
        site.server.set_secret("default", name, Some(keys.into()));
    }
    let all: Vec<Value> = ["one", "two", "three", "four"].map(rich).into();
    site.join(quick(), json!(all));
    site
}

#[test]
fn a_configuration_is_applied_once_and_another_version_or_order_of_it_applies_nothing() {
    let site = with_contents();
    for name in ["one", "two", "three", "four"] {
        site.until_waits(name);
    }
    // The version that was applied is told, and the server's own moves on with each status that is told.
    site.until_says("a version", |says| says["version"].is_string());
    site.beats(3);
    let (before, said) = (site.device.agent().get("/api/v1/workloads"), site.says());
    let (writes, stored) = (site.counted("flotta_state_writes"), files(&site.file("state")));
    for _ in 0..2 {
        site.server.set_device(ID, |device| {
            device.labels.insert("touched".into(), "true".into());
        });
        site.gets(2);
    }
    assert_eq!(site.counted("flotta_server_configurations"), 1);
    assert_eq!(site.counted("flotta_state_writes"), writes);
    assert_eq!(files(&site.file("state")), stored);
    assert_eq!(site.says()["version"], said["version"]);
    let after = site.device.agent().get("/api/v1/workloads");
    for (before, after) in before.as_array().expect("some").iter().zip(after.as_array().expect("some")) {
        assert_eq!((&before["hash"], &before["since"]), (&after["hash"], &after["since"]), "{after}");
    }
}

#[test]
fn the_version_reported_is_that_of_the_content_applied_last_so_that_the_server_comes_to_rest() {
    let site = with_contents();
    site.beats(2);
    let version = site.server.device(ID).expect("there").version;
    // Newer versions that say the same are seen, and not told.
    let beats = site.beats(2);
    let told = beats[0].content()["version"].clone();
    assert!(told.is_string(), "{told}");
    assert_eq!(beats[1].content()["version"], told);
    assert_eq!(site.server.device(ID).expect("there").version, version, "heartbeats alone do not move it");
    // New content is told with its version, and then all is quiet again.
    site.server.set_workloads(ID, json!([gated("one"), gated("five")]));
    let applied = site.wait(Operation::Heartbeat, "another version", |beat| beat.content()["version"] != told);
    let applied = applied.content()["version"].as_str().expect("a version").to_owned();
    assert!(applied.parse::<u64>().expect("a number") > version, "{applied}");
    site.until_waits("five");
    site.beats(1);
    let version = site.server.device(ID).expect("there").version;
    site.beats(2);
    let device = site.server.device(ID).expect("there");
    assert_eq!((device.version, device.last_synced), (version, applied));
}

#[test]
fn the_server_wins_where_a_manifest_has_the_same_name_and_both_stand_otherwise() {
    let manifest = |name: &str| {
        format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: pod\n  profiles: [ {{ name: absent, conditions: [ none ] }} ]\n  pod: {{ spec: {{ containers: [ {{ name: c, image: \"localhost/none:1\" }} ] }} }}\n"
        )
    };
    let mut site = Site::new();
    site.device.manifest("both.yaml", &manifest("both"));
    site.device.manifest("ours.yaml", &manifest("ours"));
    site.join(quick(), json!([gated("both"), gated("theirs")]));
    let gated_by = |name: &str, profile: &str| {
        site.until_object(name, profile, |one| one["profiles"][0]["name"] == profile);
    };
    gated_by("both", "load");
    gated_by("ours", "absent");
    gated_by("theirs", "load");
    let problems = site.problems();
    assert!(problems.contains("EdgeWorkload default/both is on the server too, which wins"), "{problems}");
    assert!(problems.contains("both.yaml"), "{problems}");
    // The server is told about its own and no others.
    let told = site.beats(1)[0].content()["workloads"].clone();
    assert_eq!(told, json!([{ "name": "both", "status": "crashed" }, { "name": "theirs", "status": "crashed" }]));
    site.server.set_workloads(ID, json!([gated("theirs")]));
    gated_by("both", "absent");
}

#[test]
fn profiles_of_the_server_gate_its_workloads_by_metrics() {
    let site = Site::up(quick(), json!([gated("w")]));
    site.until_waits("w");
    site.device.agent().set("x", 1.0);
    site.until_open("w");
    site.device.agent().set("x", 0.0);
    site.until_waits("w");
    // Another expression of the same condition counts at once.
    let mut other = quick();
    other["profiles"][0]["conditions"][0]["expression"] = json!("x == 0");
    site.server.set_configuration(ID, other);
    site.until_open("w");
}

#[test]
fn a_broken_workload_is_an_error_that_says_why_and_the_others_stand() {
    let mut unknown = pod("unknown");
    unknown["kind"] = json!("weird");
    let broken = json!({ "name": "broken", "kind": "pod", "specification": "containers: [ { name: c, image: [" });
    let empty = json!({ "name": "empty", "kind": "pod", "specification": "containers: null\n" });
    let site = Site::up(quick(), json!([broken, unknown, empty, gated("good")]));
    let says = [("broken", "not valid YAML"), ("unknown", "weird"), ("empty", "containers")];
    for (name, words) in says {
        let one = site.until_workload(name, "error");
        assert_eq!(one["reason"], "InvalidSpec", "{one}");
        assert!(one["message"].as_str().is_some_and(|message| message.contains(words)), "{one}");
        assert!(site.problems().contains(&format!("workload {name}")), "{}", site.problems());
    }
    site.until_waits("good");
    let told = site.beats(1)[0].content().clone();
    assert_eq!(told["status"], "degraded");
    assert_eq!(told["workloads"].as_array().map(Vec::len), Some(4), "{told}");
    // Mended on the server, it is mended here.
    site.server.set_workloads(ID, json!([gated("broken"), gated("good")]));
    site.until_waits("broken");
    site.wait(Operation::Heartbeat, "two of them", |beat| {
        beat.content()["workloads"].as_array().is_some_and(|all| all.len() == 2)
    });
    assert!(!site.problems().contains("workload"), "{}", site.problems());
    // Nothing is crashed where nothing is assigned.
    site.server.set_workloads(ID, json!([]));
    site.wait(Operation::Heartbeat, "up", |beat| beat.content()["status"] == "up");
}

#[test]
fn what_remote_keys_refuse_is_an_error_that_names_the_field_and_the_key() {
    let mut host = gated("host");
    host["specification"]["volumes"] = json!([{ "name": "v", "hostPath": { "path": "/etc" } }]);
    let mut privileged = gated("privileged");
    privileged["specification"]["containers"][0]["securityContext"] = json!({ "privileged": true });
    let mut network = gated("network");
    network["specification"]["hostNetwork"] = json!(true);
    let mut site = Site::new();
    site.set("REMOTE_HOST_NETWORK", "false");
    site.join(quick(), json!([host, privileged, network, gated("good")]));
    let says = [
        ("host", "/etc", "remote.host_paths"),
        ("privileged", "securityContext.privileged", "remote.privileged"),
        ("network", "hostNetwork", "remote.host_network"),
    ];
    for (name, field, key) in says {
        let one = site.until_workload(name, "error");
        assert_eq!(one["reason"], "ForbiddenByPolicy", "{one}");
        let message = one["message"].as_str().unwrap_or_default();
        assert!(message.contains(field) && message.contains(key), "{message}");
    }
    site.until_waits("good");
    let told = site.beats(1)[0].content()["workloads"].clone();
    assert_eq!(told[1], json!({ "name": "host", "status": "crashed" }), "{told}");
}

#[test]
fn the_last_configuration_is_in_force_from_the_start_while_the_server_is_away() {
    let mut site = with_contents();
    site.until_waits("one");
    let before = site.until_says("a version", |says| says["version"].is_string());
    site.device.kill();
    site.block(site.server.stop());
    let asked = site.server.exchange_count();
    for (path, (.., mode)) in files(&site.file("state")) {
        // What tells clients where to ask is for everybody, and holds nothing.
        let open = path.ends_with("run/endpoints.json");
        assert!(open || mode & 0o077 == 0, "{}: {mode:o}", path.display());
        if path.ends_with("run/control.sock") {
            continue;
        }
        let secret = std::fs::read(&path).expect("read");
        let shows = secret.windows(20).any(|part| part == b"s3cret-of-the-server");
        assert!(!shows || mode == 0o600, "{}: {mode:o}", path.display());
    }
    site.start();
    for name in ["one", "two", "three", "four"] {
        site.until_waits(name);
    }
    let says = site.until_state("unreachable");
    assert_eq!(says["version"], before["version"], "{says}");
    assert_eq!(site.server.exchange_count(), asked, "the server has not been heard");
    site.device.agent().set("x", 1.0);
    site.until_open("one");
    site.block(site.server.restart()).expect("the same port");
    site.until_well();
    assert_eq!(site.counted("flotta_server_configurations"), 0, "nothing of it is new");
}
