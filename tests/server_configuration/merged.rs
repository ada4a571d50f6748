//! Manifests and server together.

use flotta_agent::model::desired::Desired;
use flotta_agent::model::workload::{Payload, SourceKind};
use flotta_agent::source::manifests::{self, Directory};
use flotta_agent::source::merge::merge;
use flotta_agent::spec_hash::DeviceKey;
use serde_json::json;

use super::said::{FULL, captured, id, outcome, problems};

const DEVICE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: lab-dev-1, labels: { app: x } }\nspec: { profiles: [ { name: perf, conditions: [ { name: low, expression: \"cpu < 1\" } ] }, { name: own, conditions: [ { name: a, expression: \"x == 1\" } ] } ] }\n";

fn manifests(texts: &[(&str, &str)]) -> Desired {
    let mut directory = Directory::default();
    for (name, text) in texts {
        directory.put("manifests", name, Ok(text));
    }
    let settings = manifests::Settings { device_id: None, fallback_id: "x".into(), key: DeviceKey::new([7; 32]) };
    directory.outcome(&settings).desired
}

fn workload(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n{rest}"
    )
}

#[test]
fn the_server_wins_a_name_clash_and_it_is_said_with_both_places() {
    let pod = "  pod: { spec: { containers: [ { name: c, image: i } ] } }\n";
    let (clashing, own) = (workload("wl-k8s", pod), workload("own", pod));
    let ours = manifests(&[("a.yaml", DEVICE), ("b.yaml", &clashing), ("c.yaml", &own)]);
    let theirs = outcome(&captured(FULL)).desired;
    let merged = merge(&ours, &theirs);
    assert_eq!(merged.workloads.len(), 4);
    assert_eq!(merged.workloads[&id("wl-k8s")].source, SourceKind::Flotta);
    assert_eq!(merged.workloads[&id("own")].source, SourceKind::Manifests);
    let names: Vec<&str> = merged.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["own", "perf", "net"]);
    assert_eq!(merged.profiles[1].conditions.len(), 2, "the server's");
    assert_eq!(merged.device_id.as_deref(), Some("lab-dev-1"));
    assert_eq!(merged.labels, ours.labels);
    let said: Vec<String> = merged.problems.iter().map(ToString::to_string).collect();
    let [workload, profile] = said.as_slice() else { panic!("{said:?}") };
    assert!(workload.starts_with("manifests/b.yaml:1: EdgeWorkload default/wl-k8s is on the server too"), "{workload}");
    assert!(profile.starts_with("manifests/a.yaml:1: profile perf is on the server too"), "{profile}");
}

#[test]
fn problems_of_both_are_there_and_neither_alone_changes_anything() {
    let ours = manifests(&[("a.yaml", DEVICE), ("b.yaml", "a: [")]);
    let theirs = outcome(&json!({ "configuration": { "heartbeat": 5 } }));
    let merged = merge(&ours, &theirs.desired);
    assert_eq!(merged.problems.len(), ours.problems.len() + theirs.desired.problems.len());
    assert_eq!(merge(&ours, &Desired::default()), ours);
    assert_eq!(merge(&Desired::default(), &theirs.desired).problems, theirs.desired.problems);
}

#[test]
fn neither_source_reads_the_others_secrets() {
    let of_server =
        "  pod: { spec: { containers: [ { name: c, image: i, envFrom: [ { secretRef: { name: db-secret } } ] } ] } }\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: own }\nstringData: { a: b }\n";
    let ours = manifests(&[("b.yaml", &workload("spy", of_server)), ("c.yaml", secret)]);
    let mut content = captured(FULL);
    content["workloads"][2]["specification"] =
        json!("containers: [{name: a, image: b, envFrom: [{secretRef: {name: own}}]}]\n");
    let theirs = outcome(&content);
    let merged = merge(&ours, &theirs.desired);
    for (name, says) in [("spy", "Secret default/db-secret"), ("wl-cron", "Secret default/own")] {
        let payload = &merged.workloads[&id(name)].payload;
        assert!(matches!(payload, Payload::Invalid(why) if why.contains(says)), "{name}: {payload:?}");
    }
}

#[test]
fn the_same_workload_has_the_same_version_by_manifest_and_by_server() {
    let spec = "containers:\n- name: web\n  image: quay.io/x/web:1\n  resources: {}\n  envFrom:\n  - configMapRef: { name: m }\n  - secretRef: { name: s }\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  creationTimestamp: null\n  name: m\ndata:\n  a: \"1\"\nbinaryData:\n  b: AAEC\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ndata: { p: cGFzcw== }\n";
    let below = spec.replace('\n', "\n      ");
    for kind in ["pod", "k8s"] {
        let text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: web, labels: {{ team: blue }}, annotations: {{ a: b }} }}\nspec:\n  type: {kind}\n  rootless: true\n  pod:\n    spec:\n      {below}"
        );
        let ours = manifests(&[("a.yaml", &text), ("m.yaml", map), ("s.yaml", secret)]);
        let with = |password: &str, auth: &str| {
            outcome(&json!({
                "configuration": {},
                "secrets": [{ "name": "s", "data": json!({ "p": password }).to_string() }],
                "workloads": [{
                    "name": "web", "namespace": "default", "kind": kind, "rootless": true, "specification": spec,
                    "labels": { "team": "blue" }, "annotations": { "a": "b" }, "configmaps": [map], "profiles": [],
                    "imageRegistries": { "authFile": json!({ "auths": { "quay.io": { "auth": auth } } }).to_string() },
                }],
            }))
        };
        let theirs = with("cGFzcw==", "dTpw");
        assert_eq!(problems(&theirs), "");
        let hash = |desired: &Desired| desired.workloads[&id("web")].hash.clone();
        assert_eq!(hash(&ours), hash(&theirs.desired), "{kind}");
        assert_eq!(hash(&with("cGFzcw==", "dTpx").desired), hash(&ours), "a registry's password restarts nothing");
        assert_ne!(hash(&with("bmV3", "dTpw").desired), hash(&ours), "a Secret of its own does");
    }
}
