//! What the captured configurations want of the device.

use std::collections::BTreeMap;
use std::time::Duration;

use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::pod::{EnvValue, PodJob, Referred};
use flotta_agent::model::registry::Chosen;
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, Workload};
use flotta_agent::source::flotta::desired::{Outcome, Scope, Settings, desired};
use flotta_agent::source::flotta::meaning::{Content, meaning};
use flotta_agent::source::flotta::session::Exchange;
use flotta_agent::source::flotta::wire::configuration::Configuration;
use flotta_agent::source::flotta::{Configured, Taken};
use flotta_agent::spec_hash::DeviceKey;
use serde_json::Value;

use super::capture::{self, device, got};
use super::table::TABLE;

fn settings(device: &str) -> Settings {
    Settings { device_id: device.to_owned(), key: DeviceKey::new([7; 32]) }
}

fn outcome(device: &str, content: &Value) -> Outcome {
    let configuration = Configuration::read(content).expect("a configuration");
    desired(&configuration, &settings(device), None)
}

/// Every captured answer to a GET with a configuration: where it is from, the device, and the content.
fn all() -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for capture::Capture { number, json } in capture::all() {
        let several = json["exchanges"].as_array().cloned().unwrap_or_default();
        for (at, one) in std::iter::once(json).chain(&several).enumerate() {
            let (request, response) = match one.get("path") {
                Some(_) => (one, one),
                None => (&one["request"], &one["response"]),
            };
            let content = &response["body"]["content"];
            if response["body"]["directive"] == "device" {
                let place = if at == 0 { number.clone() } else { format!("{number} exchange {at}") };
                found.push((place, device(request).to_owned(), content.clone()));
            }
        }
    }
    found
}

#[test]
fn a_configuration_that_says_nothing_leaves_the_defaults() {
    let full = ["b0", "b1", "c0 exchange 5"];
    let (mut seen, all) = (0, all());
    for (place, device, content) in all.iter().filter(|(place, ..)| !full.contains(&place.as_str())) {
        let outcome = outcome(device, content);
        assert_eq!(outcome.desired, Desired::default(), "{place}: no workloads, profiles, problems");
        assert_eq!(outcome.heartbeat.period, Duration::from_secs(60), "{place}");
        assert!(!outcome.heartbeat.include_hardware, "{place}");
        assert_eq!(outcome.version, content["version"], "{place}");
        assert_eq!((outcome.desired.mounts.len(), outcome.notes.len()), (0, 0), "{place}");
        seen += 1;
    }
    assert_eq!((seen, all.len()), (9, 12), "captured configurations");
}

/// The device's profiles: name, and name and expression of each condition.
fn profiles(desired: &Desired) -> Vec<(&str, Vec<(&str, &str)>)> {
    desired
        .profiles
        .iter()
        .map(|profile| {
            let conditions = &profile.conditions;
            (profile.name.as_str(), conditions.iter().map(|one| (one.name.as_str(), one.expression.as_str())).collect())
        })
        .collect()
}

fn workload<'a>(desired: &'a Desired, name: &str) -> &'a Workload {
    let id = WorkloadId::try_new("default", name).expect("an id");
    desired.workloads.get(&id).unwrap_or_else(|| panic!("no workload {name}"))
}

fn pod(workload: &Workload) -> &PodJob {
    match &workload.payload {
        Payload::Pod(job) => job,
        other => panic!("{}: {other:?}", workload.id),
    }
}

/// What gates a workload: profile, condition, CPU quota.
fn gates(workload: &Workload) -> Vec<(&str, &str, Option<u32>)> {
    let each = workload.gates.iter();
    each.flat_map(|gate| gate.conditions.iter().map(|one| (gate.name.as_str(), one.name.as_str(), one.cpu_quota_us)))
        .collect()
}

/// b0 and b1.
fn of_the_device(outcome: &Outcome) {
    assert_eq!(outcome.heartbeat.period, Duration::from_secs(5));
    assert_eq!((outcome.heartbeat.include_hardware, outcome.heartbeat.scope), (true, Scope::Full));
    let perf = vec![("low", "cpu<25%"), ("medium", "cpu>=25% && cpu<75%")];
    let net = vec![("up", "link == 1 || link == nil")];
    assert_eq!(profiles(&outcome.desired), [("perf", perf), ("net", net)]);
    let [mount] = outcome.desired.mounts.as_slice() else { panic!("{:?}", outcome.desired.mounts) };
    let words = [&mount.device, &mount.directory, &mount.kind, &mount.options];
    assert_eq!(words, ["/dev/sdb1", "/mnt/data", "ext4", "rw,noatime"]);
    assert_eq!(outcome.desired.problems, [], "nothing to mend");
    let notes: Vec<&str> = outcome.notes.iter().map(|note| note.place.as_str()).collect();
    for section in ["metrics.receiver", "metrics.system", "log-collection", "storage.s3", "os"] {
        let place = format!("server: configuration.{section}");
        assert!(notes.contains(&place.as_str()), "{place} is not for this agent, which is said: {notes:?}");
    }
}

#[test]
fn a_device_that_everything_is_said_about_gets_its_profiles_its_period_and_its_mounts() {
    let capture = capture::numbered("b0");
    let outcome = outcome("lab-dev-1", &capture["response"]["body"]["content"]);
    of_the_device(&outcome);
    assert!(outcome.desired.workloads.is_empty());
    assert_eq!(outcome.version, "374");
}

#[test]
fn a_full_configuration_becomes_three_workloads_with_their_gates_secrets_and_files() {
    let capture = capture::numbered("b1");
    let outcome = outcome("lab-dev-1", &capture["response"]["body"]["content"]);
    of_the_device(&outcome);
    assert_eq!(outcome.version, "390");
    let desired = &outcome.desired;
    assert_eq!(desired.workloads.keys().map(WorkloadId::name).collect::<Vec<_>>(), ["wl-cron", "wl-k8s", "wl-pod"]);

    let wl_pod = workload(desired, "wl-pod");
    assert_eq!(
        (wl_pod.kind, wl_pod.rootless, wl_pod.cron.as_ref().map(|cron| cron.schedule.expression())),
        (Kind::Pod, false, None)
    );
    assert_eq!(wl_pod.restart, RestartPolicy::Always);
    assert_eq!(wl_pod.labels, BTreeMap::from([("team".into(), "blue".into())]));
    let userns = ("io.podman.annotations.userns".into(), "keep-id".into());
    assert_eq!(wl_pod.annotations, BTreeMap::from([userns]));
    let wanted = [("perf", "low", Some(50_000)), ("perf", "medium", Some(20_000)), ("net", "up", None)];
    assert_eq!(gates(wl_pod), wanted);
    contents(pod(wl_pod));

    let wl_k8s = workload(desired, "wl-k8s");
    assert_eq!((wl_k8s.kind, wl_k8s.gates.len()), (Kind::K8s, 0));
    let Payload::Kube(spec) = &wl_k8s.payload else { panic!("{:?}", wl_k8s.payload) };
    assert_eq!(spec["containers"][0]["image"], "quay.io/project-flotta/nginx:1.21.6");

    let wl_cron = workload(desired, "wl-cron");
    assert_eq!(
        (wl_cron.kind, wl_cron.rootless, wl_cron.cron.as_ref().map(|cron| cron.schedule.expression())),
        (Kind::Pod, true, Some("*/1 * * * *"))
    );
    assert_eq!(wl_cron.restart, RestartPolicy::Never);
    assert_eq!(pod(wl_cron).spec.containers[0].image, "quay.io/ctupangiu/cron-workload:latest");
}

/// Of b1's pod.
fn contents(job: &PodJob) {
    let text = |of: Referred, name: &str, key: &str| {
        let content = job.contents.get(of, name).unwrap_or_else(|| panic!("no {} {name}", of.kind()));
        String::from_utf8(content.get(key).unwrap_or_else(|| panic!("no {key} in {name}")).clone()).expect("text")
    };
    assert_eq!(text(Referred::Secret, "app-secret", "username"), "admin");
    assert_eq!(text(Referred::Secret, "app-secret", "password"), "p@ss\"word");
    assert_eq!(text(Referred::Secret, "db-secret", "url"), "postgres://x");
    assert_eq!(text(Referred::ConfigMap, "app-config", "LOG"), "debug");
    assert_eq!(text(Referred::ConfigMap, "app-config", "app.ini"), "[a]\nb=1\n");
    assert_eq!(text(Referred::ConfigMap, "app-config", "blob"), "\0\u{1}\u{2}");
    assert_eq!(text(Referred::ConfigMap, "app-files", "index.html"), "<h1>hi</h1>\n");
    assert_eq!(job.contents.get(Referred::Secret, "missing-optional"), None);

    let [web] = job.spec.containers.as_slice() else { panic!("{:?}", job.spec.containers) };
    let key = |at: usize| match &web.env[at].value {
        EnvValue::Key(key) => (web.env[at].name.as_str(), key.of.kind(), key.name.as_str(), key.key.as_str()),
        other => panic!("{other:?}"),
    };
    assert_eq!(key(0), ("USER", "Secret", "app-secret", "username"));
    assert_eq!(key(1), ("LOGLVL", "ConfigMap", "app-config", "LOG"));
    let from: Vec<_> = web.env_from.iter().map(|from| (from.name.as_str(), from.optional)).collect();
    assert_eq!(from, [("db-secret", false), ("missing-optional", true)]);
    assert_eq!((web.ports[0].container, web.ports[0].host, web.ports[0].protocol), (80, Some(9090), "tcp"));
    assert_eq!((web.resources.cpu_limit_us, web.resources.memory_limit), (Some(50_000), Some(64 << 20)));
    assert_eq!((web.mounts[0].volume.as_str(), web.mounts[0].path.as_str()), ("html", "/usr/share/nginx/html"));
    assert_eq!(job.spec.init_containers[0].command, ["sh", "-c", "true"]);
    let Some(Chosen::Of("quay.io", login)) = job.registries.of_image("quay.io/project-flotta/nginx:1.21.6") else {
        panic!("no login for quay.io");
    };
    assert_eq!((login.user.as_str(), login.password.reveal()), ("user", "pass"));
}

#[test]
fn the_reference_agents_last_configuration_is_read_as_it_was_meant() {
    let capture = capture::numbered("c0");
    let outcome = outcome("ref-agent-1", &capture["exchanges"][4]["response"]["body"]["content"]);
    assert_eq!((outcome.heartbeat.period, outcome.version.as_str()), (Duration::from_secs(2), "586"));
    assert_eq!(profiles(&outcome.desired), [("perf", vec![("low", "cpu<25%"), ("high", "cpu>=25%")])]);
    let (pod, k8s) = (workload(&outcome.desired, "ag-pod"), workload(&outcome.desired, "ag-k8s"));
    assert_eq!((pod.kind, gates(pod)), (Kind::Pod, vec![("perf", "low", Some(50_000))]));
    assert_eq!((k8s.kind, gates(k8s)), (Kind::K8s, vec![]));
    assert_eq!((outcome.desired.workloads.len(), outcome.desired.problems.len()), (2, 0));
}

/// The version alone is no change (API 4).
#[tokio::test]
async fn configurations_that_differ_in_their_version_alone_are_the_same() {
    let (mut configured, _) = Configured::restored(settings("lab-dev-1"), None);
    let message = |number: &str| capture::numbered(number)["response"]["body"].clone();
    assert!(matches!(configured.take(message("05")).await, Taken::New(_)));
    for number in ["10", "11", "36", "38b", "96"] {
        let before = configured.period();
        assert!(matches!(configured.take(message(number)).await, Taken::Same), "{number}");
        assert_eq!(configured.period(), before, "{number}");
    }
    assert!(matches!(configured.take(message("b1")).await, Taken::New(_)));
}

/// Rule 6 of API 8: 5xx, an aborted connection, 404, 401 and whatever else keep the last configuration.
#[tokio::test]
async fn no_answer_but_a_configuration_changes_what_runs() {
    let (mut configured, _) = Configured::restored(settings("lab-dev-1"), None);
    let full = capture::numbered("b1")["response"]["body"].clone();
    assert!(matches!(configured.take(full).await, Taken::New(_)));
    let (mut kept, mut taken) = (0, 0);
    for row in TABLE.iter().filter(|row| !row.number.starts_with('c') && row.number != "33b" && row.number != "b3") {
        let capture = capture::numbered(row.number);
        let exchanges = row.reactions.iter().map(|reaction| reaction.0.exchange()).chain([Exchange::Get]);
        for exchange in exchanges {
            let read = meaning(exchange, &got(&capture["response"]), device(&capture["request"]));
            let Content::Configuration(message) = read.content else {
                kept += 1;
                continue;
            };
            // Asked for the configuration, some servers might answer with what is none.
            let is_one = message["content"].get("configuration").is_some();
            match configured.take(message).await {
                Taken::Unusable(why) => {
                    assert!(!is_one && why.contains("last one stays in force"), "{}: {why}", row.number);
                    kept += 1;
                }
                Taken::New(_) | Taken::Same => {
                    assert!(is_one, "{}", row.number);
                    let again = capture::numbered("b1")["response"]["body"].clone();
                    configured.take(again).await;
                    taken += 1;
                }
            }
            assert_eq!(configured.workloads().count(), 3, "{}", row.number);
            assert_eq!(configured.period(), Duration::from_secs(5), "{}", row.number);
        }
    }
    println!("{kept} answers left everything as it was, {taken} were configurations");
    assert!(kept > 150 && taken >= 9, "{kept} {taken}");
}
