//! What real servers sent.

use std::time::Duration;

use flotta_agent::model::registry::Chosen;
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, SourceKind};
use flotta_agent::source::flotta::desired::{Outcome, Scope};

use super::said::{DEFAULT, FULL, NO_WORKLOADS, captured, in_traffic, job, outcome, problems, workload};

#[test]
fn the_default_configuration_asks_for_nothing_and_is_no_reason_for_a_word() {
    let outcome = outcome(&captured(DEFAULT));
    assert!(
        outcome.desired.workloads.is_empty()
            && outcome.desired.profiles.is_empty()
            && outcome.desired.mounts.is_empty()
    );
    assert_eq!((outcome.desired.problems.as_slice(), outcome.notes.as_slice()), (&[][..], &[][..]));
    assert_eq!(outcome.version, "272");
    assert_eq!(outcome.heartbeat.period, Duration::from_secs(60));
    assert!(!outcome.heartbeat.include_hardware);
}

fn the_device_is_understood(outcome: &Outcome) {
    assert_eq!(problems(outcome), "");
    assert_eq!(outcome.heartbeat.period, Duration::from_secs(5));
    assert!(outcome.heartbeat.include_hardware && outcome.heartbeat.scope == Scope::Full);
    let profiles: Vec<(&str, Vec<(&str, &str)>)> = outcome
        .desired
        .profiles
        .iter()
        .map(|profile| {
            let conditions = profile.conditions.iter().map(|c| (c.name.as_str(), c.expression.as_str()));
            (profile.name.as_str(), conditions.collect())
        })
        .collect();
    let perf = vec![("low", "cpu<25%"), ("medium", "cpu>=25% && cpu<75%")];
    assert_eq!(profiles, [("perf", perf), ("net", vec![("up", "link == 1 || link == nil")])]);
    let [mount] = outcome.desired.mounts.as_slice() else { panic!("{:?}", outcome.desired.mounts) };
    let mount = [&mount.device, &mount.directory, &mount.kind, &mount.options];
    assert_eq!(mount, ["/dev/sdb1", "/mnt/data", "ext4", "rw,noatime"]);
}

#[test]
fn what_is_not_for_this_agent_is_noted_once_each_and_is_no_problem() {
    let of_device = [
        "server: configuration.metrics.receiver",
        "server: configuration.metrics.retention",
        "server: configuration.metrics.system",
        "server: configuration.metrics.data-transfer",
        "server: configuration.log-collection",
        "server: configuration.storage.s3",
        "server: configuration.os",
    ];
    let places = |outcome: &Outcome| outcome.notes.iter().map(|note| note.place.clone()).collect::<Vec<_>>();
    let without = outcome(&captured(NO_WORKLOADS));
    the_device_is_understood(&without);
    assert_eq!(places(&without), of_device);

    let with = outcome(&captured(FULL));
    the_device_is_understood(&with);
    let of_workloads = ["data.egress", "data.ingress", "log_collection", "metrics"];
    let of_workloads = of_workloads.map(|field| format!("server: workloads.{field}"));
    let all: Vec<String> = of_device.iter().map(|place| (*place).to_owned()).chain(of_workloads).collect();
    assert_eq!(places(&with), all);
    assert!(with.notes.iter().skip(of_device.len()).all(|note| note.message.contains("wl-pod")), "{:?}", with.notes);
}

#[test]
fn a_pod_comes_with_all_that_it_refers_to() {
    let outcome = outcome(&captured(FULL));
    let pod = workload(&outcome, "wl-pod");
    assert_eq!((pod.kind, pod.rootless, pod.restart), (Kind::Pod, false, RestartPolicy::Always));
    assert_eq!((pod.source, pod.origin.as_str()), (SourceKind::Flotta, "server"));
    assert_eq!(pod.warnings, Vec::<String>::new());
    assert_eq!(pod.labels.get("team").map(String::as_str), Some("blue"));
    assert_eq!(pod.annotations.get("io.podman.annotations.userns").map(String::as_str), Some("keep-id"));
    let gate = |at: usize| {
        let conditions = pod.gates[at].conditions.iter().map(|one| (one.name.as_str(), one.cpu_quota_us));
        (pod.gates[at].name.as_str(), conditions.collect::<Vec<_>>())
    };
    assert_eq!(pod.gates.len(), 2);
    assert_eq!(gate(0), ("perf", vec![("low", Some(50_000)), ("medium", Some(20_000))]));
    assert_eq!(gate(1), ("net", vec![("up", None)]));

    let job = job(&outcome, "wl-pod");
    assert_eq!(job.spec.containers.len() + job.spec.init_containers.len(), 2);
    let text = |bytes: Option<&Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let app = job.contents.config_maps.get("app-config").expect("app-config");
    assert_eq!(text(app.get("LOG")).as_deref(), Some("debug"));
    assert_eq!(app.get("blob").map(Vec::as_slice), Some([0, 1, 2].as_slice()));
    assert!(job.contents.config_maps.contains_key("app-files"));
    let secret = job.contents.secrets.get("app-secret").expect("app-secret");
    assert_eq!(text(secret.get("username")).as_deref(), Some("admin"));
    assert!(job.contents.secrets.contains_key("db-secret") && !job.contents.secrets.contains_key("missing-optional"));
    let Some(Chosen::Of("quay.io", found)) = job.registries.of_image("quay.io/project-flotta/nginx:1.21.6") else {
        panic!("{:?}", job.registries)
    };
    assert_eq!((found.user.as_str(), found.password.reveal()), ("user", "pass"));
}

#[test]
fn the_other_kinds_come_as_they_are_asked_for() {
    let outcome = outcome(&captured(FULL));
    let k8s = workload(&outcome, "wl-k8s");
    assert!(matches!(&k8s.payload, Payload::Kube(spec) if spec["containers"][0]["name"] == "nginx"), "{k8s:?}");
    let cron = workload(&outcome, "wl-cron");
    assert_eq!(
        (cron.cron.as_ref().map(|cron| cron.schedule.expression()), cron.rootless, cron.restart),
        (Some("*/1 * * * *"), true, RestartPolicy::Never)
    );
}

#[test]
fn the_configurations_of_a_whole_life_are_understood() {
    let all = in_traffic();
    assert!(!all.is_empty());
    for content in all {
        let settings = flotta_agent::source::flotta::desired::Settings {
            device_id: content["device_id"].as_str().expect("an id").into(),
            ..super::said::settings()
        };
        let outcome = flotta_agent::source::flotta::desired::desired(&super::said::read(&content), &settings, None);
        assert_eq!(problems(&outcome), "");
        let asked = content["workloads"].as_array().map_or(0, Vec::len);
        assert_eq!(outcome.desired.workloads.len(), asked);
        assert!(outcome.desired.workloads.values().all(|one| !matches!(one.payload, Payload::Invalid(_))));
    }
}

#[test]
fn no_debug_output_shows_a_secret() {
    let content = captured(FULL);
    let configuration = super::said::read(&content);
    let outcome = outcome(&content);
    let stored = flotta_agent::source::flotta::desired::StoredConfiguration::of(&outcome);
    let shown = format!("{configuration:?} {outcome:?} {stored:?}");
    for hidden in ["dXNlcjpwYXNz", "cEBzcyJ3b3Jk", "p@ss", "YWRtaW4=", "cG9zdGdyZXM6Ly94", "czNjcjN0", "\"pass\""] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
}
