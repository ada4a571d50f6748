//! One wrong thing costs that thing, and is said with its path.

use std::time::Duration;

use flotta_agent::model::workload::{Payload, Retry};
use flotta_agent::source::flotta::desired::{MAX_PROBLEMS, Outcome};
use flotta_agent::source::flotta::wire::configuration::{Configuration, MAX_WORKLOADS};
use serde_json::{Value as Json, json};

use super::said::{FULL, captured, invalid, outcome, problems, with, workload};

/// That nothing else changed: all workloads but these are as they were.
fn others_stay(outcome: &Outcome, but: &str) {
    let whole = super::said::outcome(&captured(FULL));
    for (id, before) in whole.desired.workloads.iter().filter(|(id, _)| id.name() != but) {
        assert_eq!(outcome.desired.workloads.get(id), Some(before), "{id}");
    }
}

#[test]
fn a_wrong_field_of_a_workload_is_that_workloads_fault_alone_and_named_with_its_path() {
    let cases: &[(&str, Json, &str)] = &[
        ("/workloads/2/cron", json!(5), "server: workloads[2].cron: must be text, not the number 5 (workload wl-cron)"),
        ("/workloads/2/rootless", json!("yes"), "workloads[2].rootless: must be true or false, not the text \"yes\""),
        ("/workloads/2/kind", json!([]), "workloads[2].kind: must be text, not a list"),
        (
            "/workloads/2/kind",
            json!("weird"),
            "workload wl-cron: spec.type: must be pod, k8s or microshift, not \"weird\"",
        ),
        ("/workloads/2/kind", json!("shell"), "the server sends pods; it has no way to send what shell needs"),
        ("/workloads/2/labels", json!({"podman/a": 1}), "workloads[2].labels.podman/a: must be text"),
        ("/workloads/2/annotations", json!("a"), "workloads[2].annotations: must be an object"),
        ("/workloads/2/configmaps", json!([7]), "workloads[2].configmaps[0]: must be text"),
        ("/workloads/2/configmaps", json!(["data: {}"]), "configmaps[0]:1:1: metadata.name: is missing"),
        ("/workloads/2/configmaps", json!(["a: [\n"]), "server: workload wl-cron, configmaps[0]:"),
        (
            "/workloads/2/retry",
            json!({"periodSeconds": "5"}),
            "workloads[2].retry.periodSeconds: must be a whole number",
        ),
        ("/workloads/2/profiles", json!([{"conditions": []}]), "workloads[2].profiles[0].name: is missing"),
        (
            "/workloads/2/profiles",
            json!([{"name": "perf", "conditions": [{"name": "low", "cpu": {"cpu": 5}}]}]),
            "workloads[2].profiles[0].conditions[0].cpu: must be µs per 100 ms from 1000",
        ),
        ("/workloads/2/specification", json!(7), "workloads[2].specification: must be text"),
        ("/workloads/2/specification", json!(""), "workload wl-cron, specification:1:1: is empty"),
        ("/workloads/2/specification", json!("containers: null\n"), "spec.pod.spec.containers: is missing"),
        ("/workloads/2/specification", json!("containers: []\n---\ncontainers: []\n"), "one document; there are more"),
        ("/workloads/2/specification", json!(format!("a: {}", "x".repeat(1 << 20))), "is larger than 1 MiB"),
        ("/workloads/2/specification", json!("containers:\n- name: a\n\timage: b\n"), "wl-cron, specification:3:1: "),
        (
            "/workloads/2/specification",
            json!("containers:\n- name: a\n  image: b\n  ports:\n  - containerPort: x\n"),
            "server: workload wl-cron, specification:5:20: spec.pod.spec.containers[0].ports[0].containerPort",
        ),
        (
            "/workloads/2/specification",
            json!("containers: [{name: a, image: b, envFrom: [{configMapRef: {name: gone}}]}]\n"),
            "ConfigMap default/gone is referred to and not there",
        ),
        (
            "/workloads/2/specification",
            json!("containers: [{name: a, image: b}]\nvolumes: [{name: v, secret: {secretName: app-tls}}]\n"),
            "the server sends the Secrets that env and envFrom name, not those of volumes",
        ),
    ];
    for (pointer, value, says) in cases {
        let outcome = outcome(&with(pointer, value.clone()));
        let why = invalid(&outcome, "wl-cron").unwrap_or_else(|| panic!("{pointer} {value}: it is carried out"));
        assert!(problems(&outcome).contains(says), "{pointer} {says:?} is not said: {}", problems(&outcome));
        assert!(problems(&outcome).contains(why), "{pointer}: the status says {why:?}");
        others_stay(&outcome, "wl-cron");
    }
}

#[test]
fn a_secret_that_cannot_be_read_costs_those_that_refer_to_it_and_is_not_shown() {
    for (value, says) in [
        (json!("hunter2"), "secrets[0].data: Secret app-secret: is not a JSON object"),
        (json!({"hunter2": "hunter2"}), "secrets[0].data: Secret app-secret: must be text"),
        (json!("{\"username\":\"hunter2!\"}"), "the value of \"username\" is not base64"),
        (json!("{\"username\":7}"), "the value of \"username\" is not base64"),
        (json!("{}"), "Secret default/app-secret has no key \"username\""),
    ] {
        let outcome = outcome(&with("/secrets/0/data", value.clone()));
        assert!(invalid(&outcome, "wl-pod").is_some(), "{value}");
        let said = problems(&outcome);
        assert!(said.contains(says) && !said.contains("hunter2"), "{value}: {said}");
        others_stay(&outcome, "wl-pod");
    }
}

#[test]
fn null_and_absent_are_the_zero_value() {
    let mut content = captured(FULL);
    for workload in content["workloads"].as_array_mut().expect("a list") {
        for field in
            ["labels", "annotations", "imageRegistries", "retry", "metrics", "data", "log_collection", "future"]
        {
            workload[field] = Json::Null;
        }
    }
    for field in ["kind", "profiles", "rootless", "cron", "configmaps"] {
        content["workloads"][2][field] = Json::Null;
    }
    content["configuration"] = json!({ "heartbeat": null, "future": { "x": 1 } });
    let outcome = outcome(&content);
    assert_eq!(problems(&outcome), "");
    let plain = workload(&outcome, "wl-cron");
    assert!(matches!(plain.payload, Payload::Pod(_)) && plain.cron.is_none() && !plain.rootless, "{plain:?}");
    assert_eq!(plain.retry, Retry::DEFAULT);
}

#[test]
fn a_wrong_heartbeat_falls_back_and_is_said() {
    let cases: &[(Json, u64, &str)] = &[
        (json!(null), 60, ""),
        (json!({}), 60, ""),
        (json!({"period_seconds": 0}), 60, ""),
        (json!({"period_seconds": -3}), 60, ""),
        (json!({"period_seconds": 7, "hardware_profile": null}), 7, ""),
        (json!(5), 60, "server: configuration.heartbeat: must be an object, not the number 5"),
        (json!({"period_seconds": "5"}), 60, "configuration.heartbeat.period_seconds: must be a whole number"),
        (json!({"period_seconds": 1e300}), 60, "configuration.heartbeat.period_seconds: must be a whole number"),
        (json!({"period_seconds": 9_999_999_999_u64}), 86_400, "at most 86400 s"),
        (
            json!({"period_seconds": 5, "hardware_profile": {"include": 1}}),
            5,
            "hardware_profile.include: must be true or",
        ),
        (json!({"period_seconds": 5, "hardware_profile": {"scope": "some"}}), 5, "must be full or delta, not \"some\""),
    ];
    for (value, seconds, says) in cases {
        let outcome = outcome(&with("/configuration/heartbeat", value.clone()));
        assert_eq!(outcome.heartbeat.period, Duration::from_secs(*seconds), "{value}");
        assert_eq!(says.is_empty(), problems(&outcome).is_empty(), "{value}: {}", problems(&outcome));
        assert!(problems(&outcome).contains(says), "{value}: {}", problems(&outcome));
        others_stay(&outcome, "");
    }
}

#[test]
fn a_wrong_profile_or_expression_is_said_and_the_others_stand() {
    let profiles = json!([
        { "name": "perf", "conditions": [
            { "name": "low", "expression": "cpu <" }, { "name": "medium", "expression": "cpu > 5" },
            { "name": "none" }, { "expression": "x == 1" }, "cpu > 5",
        ] },
        7,
        { "name": "perf" },
        { "name": "net", "conditions": null },
    ]);
    let outcome = outcome(&with("/configuration/profiles", profiles));
    let names: Vec<(&str, usize)> =
        outcome.desired.profiles.iter().map(|profile| (profile.name.as_str(), profile.conditions.len())).collect();
    assert_eq!(names, [("perf", 3), ("net", 0)]);
    let said = problems(&outcome);
    for says in [
        "profile perf, condition low (cpu <)",
        "profile perf, condition none ()",
        "configuration.profiles[0].conditions[3].name: is missing",
        "configuration.profiles[0].conditions[4]: must be an object",
        "configuration.profiles[1]: must be an object, not the number 7",
        "configuration.profiles[2].name: there are two profiles \"perf\"",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    assert!(!said.contains("condition medium"), "{said}");
    others_stay(&outcome, "");
}

#[test]
fn credentials_that_cannot_be_read_keep_nothing_from_running() {
    for value in [json!(7), json!({"authFile": ["hunter2"]}), json!({"authFile": "hunter2"})] {
        let outcome = outcome(&with("/workloads/0/imageRegistries", value.clone()));
        let pod = workload(&outcome, "wl-pod");
        assert!(matches!(pod.payload, Payload::Pod(_)), "{value}: {pod:?}");
        let warned = pod.warnings.join("\n");
        assert!(warned.contains("imageRegistries") && !warned.contains("hunter2"), "{value}: {warned}");
        assert_eq!(problems(&outcome).lines().count(), 1, "{value}: {}", problems(&outcome));
        assert_eq!(pod.hash, workload(&super::said::outcome(&captured(FULL)), "wl-pod").hash);
    }
}

#[test]
fn cpu_without_a_number_or_with_0_is_no_limit() {
    let conditions = json!([
        { "name": "low", "cpu": {} }, { "name": "medium", "cpu": { "cpu": 0 } }, { "name": "x", "cpu": null },
        { "name": "y", "cpu": 3000 },
    ]);
    let outcome = outcome(&with("/workloads/2/profiles", json!([{ "name": "perf", "conditions": conditions }])));
    let quotas: Vec<Option<u32>> =
        workload(&outcome, "wl-cron").gates[0].conditions.iter().map(|condition| condition.cpu_quota_us).collect();
    assert_eq!(quotas, [None, None, None, Some(3000)]);
}

#[test]
fn labels_are_the_same_with_and_without_their_prefix() {
    let with = outcome(&with("/workloads/0/labels", json!({ "podman/team": "blue" })));
    let without = outcome(&captured(FULL));
    assert_eq!(workload(&with, "wl-pod"), workload(&without, "wl-pod"));
}

#[test]
fn what_is_no_configuration_is_refused_as_a_whole() {
    for content in [json!(null), json!("x"), json!([]), json!({}), json!({ "code": 500, "message": "no" })] {
        assert!(Configuration::read(&content).is_err(), "{content}");
    }
}

#[test]
fn a_name_that_is_there_twice_counts_once_and_a_limit_is_said() {
    let mut content = captured(FULL);
    let twice = content["workloads"][1].clone();
    content["workloads"].as_array_mut().expect("a list").push(twice);
    let doubled = outcome(&content);
    assert!(
        problems(&doubled).contains("server: workloads[3]: default/wl-k8s is there twice"),
        "{}",
        problems(&doubled)
    );
    others_stay(&doubled, "");

    let broken = |n: usize| json!({ "name": format!("w{n:04}"), "specification": "", "cron": 1, "kind": "weird" });
    let many = json!({ "workloads": (0..MAX_WORKLOADS + 3).map(broken).collect::<Vec<_>>() });
    let many = outcome(&many);
    assert_eq!(many.desired.workloads.len(), MAX_WORKLOADS);
    assert!(problems(&many).contains("server: workloads: more than 1000: the last 3 by name are not carried out"));
    assert_eq!(many.desired.problems.len(), MAX_PROBLEMS);
}

#[test]
fn a_configuration_for_another_device_is_said() {
    let other = outcome(&with("/device_id", json!("lab-dev-2")));
    assert!(problems(&other).contains("server: device_id: is \"lab-dev-2\", and this device is \"lab-dev-1\""));
    assert_eq!(problems(&outcome(&with("/device_id", json!("LAB-dev-1")))), "");
}
