//! The last good version of a workload stays in force where its newest cannot be carried out, through a restart too.

use std::sync::Arc;

use flotta_agent::source::flotta::desired::{Outcome, StoredConfiguration, same_content};
use serde_json::{Value as Json, json};

use super::said::{FULL, after, captured, id, invalid, outcome, problems, read, settings, with, workload};

const STAYS: &str = "its last good version stays in force";

fn restarted(outcome: &Outcome) -> Outcome {
    let text = serde_json::to_string(&StoredConfiguration::of(outcome)).expect("JSON");
    let stored: StoredConfiguration = serde_json::from_str(&text).expect("what was written");
    assert_eq!(stored.version, outcome.version);
    stored.outcome(&settings()).expect("a configuration")
}

#[test]
fn a_workload_whose_new_version_cannot_be_carried_out_stays_as_it_was_and_says_so() {
    let good = outcome(&captured(FULL));
    let broken = with("/workloads/0/specification", json!("containers: 7\n"));
    let mut now = after(&good, &broken);
    for round in ["at once", "after the next answer", "after a restart", "after two"] {
        let pod = workload(&now, "wl-pod");
        assert_eq!((&pod.hash, &pod.payload), (&workload(&good, "wl-pod").hash, &workload(&good, "wl-pod").payload));
        let [warning] = pod.warnings.as_slice() else { panic!("{round}: {:?}", pod.warnings) };
        assert!(
            warning.contains(STAYS) && warning.contains("workload wl-pod, specification:1:1"),
            "{round}: {warning}"
        );
        let said = problems(&now);
        assert!(
            said.contains("specification:1:1: spec.pod.spec.containers: is missing") && said.contains(STAYS),
            "{said}"
        );
        for other in ["wl-k8s", "wl-cron"] {
            assert_eq!(workload(&now, other), workload(&good, other));
        }
        now = match round {
            "at once" => after(&now, &broken),
            _ => restarted(&now),
        };
    }
    // What is compared with the server's next answer is the newest, not what is kept of the one before.
    let stored = StoredConfiguration::of(&now);
    assert!(same_content(&stored.configuration().expect("one"), &read(&broken)));

    let mended = after(&now, &captured(FULL));
    assert_eq!(mended.desired, good.desired);
    assert_eq!(StoredConfiguration::of(&mended).earlier, Vec::<Json>::new());
}

#[test]
fn a_kept_version_keeps_its_secrets_while_those_of_the_others_change() {
    let good = outcome(&captured(FULL));
    let mut content = with("/workloads/0/cron", json!(5));
    content["secrets"][1]["data"] = json!("{\"url\":\"bmV3\"}");
    content["workloads"][2]["specification"] =
        json!("containers: [{name: a, image: b, envFrom: [{secretRef: {name: db-secret}}]}]\n");
    let now = restarted(&after(&good, &content));
    let value = |name: &str| super::said::job(&now, name).contents.secrets["db-secret"]["url"].clone();
    assert_eq!((value("wl-pod"), value("wl-cron")), (b"postgres://x".to_vec(), b"new".to_vec()));
    assert_eq!(workload(&now, "wl-pod").hash, workload(&good, "wl-pod").hash);
}

#[test]
fn what_was_never_good_is_invalid_and_what_is_taken_away_is_gone() {
    let broken = outcome(&with("/workloads/0/cron", json!(5)));
    let still = after(&broken, &with("/workloads/0/cron", json!(6)));
    assert!(invalid(&still, "wl-pod").is_some_and(|why| why.contains("the number 6")));
    assert!(!problems(&still).contains(STAYS));

    let good = outcome(&captured(FULL));
    let mut without = captured(FULL);
    without["workloads"].as_array_mut().expect("a list").remove(0);
    let kept = after(&good, &with("/workloads/0/cron", json!(5)));
    for before in [&good, &kept] {
        let now = after(before, &without);
        assert!(!now.desired.workloads.contains_key(&id("wl-pod")) && now.desired.workloads.len() == 2);
        assert_eq!(StoredConfiguration::of(&now).earlier, Vec::<Json>::new());
    }
}

#[test]
fn where_nobody_can_tell_what_the_server_means_nothing_counts_as_removed() {
    let good = outcome(&captured(FULL));
    for (pointer, value) in [
        ("/workloads", json!("all of them")),
        ("/workloads", json!([7])),
        ("/workloads/0", json!(null)),
        ("/workloads/0/name", json!(null)),
        ("/workloads/0/name", json!("Not A Name")),
        ("/workloads/0/namespace", json!(7)),
    ] {
        let now = after(&good, &with(pointer, value.clone()));
        assert_eq!(now.desired.workloads.len(), 3, "{pointer} {value}");
        let pod = workload(&now, "wl-pod");
        assert_eq!(pod.hash, workload(&good, "wl-pod").hash);
        assert!(pod.warnings.join("").contains("cannot be read in full"), "{pointer} {value}: {:?}", pod.warnings);
        assert!(!now.desired.problems.is_empty());
        assert_eq!(restarted(&now).desired.workloads, now.desired.workloads);
    }
    let none = after(&good, &with("/workloads", json!(null)));
    assert!(none.desired.workloads.is_empty(), "null is none, and clear");
}

#[test]
fn profiles_that_cannot_be_read_stay_as_they_were() {
    let good = outcome(&captured(FULL));
    for (pointer, value) in [("/configuration/profiles", json!(7)), ("/configuration", json!("x"))] {
        let now = after(&good, &with(pointer, value));
        assert_eq!(now.desired.profiles, good.desired.profiles);
        assert!(problems(&now).contains("the last good ones stay in force"), "{}", problems(&now));
        assert_eq!(restarted(&restarted(&now)).desired.profiles, good.desired.profiles);
        assert_eq!(after(&now, &captured(FULL)).desired, good.desired);
    }
    let never = json!({ "configuration": { "profiles": 7 } });
    let first = outcome(&never);
    assert_eq!(after(&first, &never).desired, first.desired);
    assert!(!problems(&first).contains("stay in force"), "{}", problems(&first));
}

#[test]
fn what_did_not_change_is_the_same_object() {
    let good = outcome(&captured(FULL));
    let now = after(&good, &with("/workloads/0/cron", json!("0 0 * * *")));
    for (name, same) in [("wl-pod", false), ("wl-k8s", true), ("wl-cron", true)] {
        let of = |outcome: &Outcome| outcome.desired.workloads[&id(name)].clone();
        assert_eq!(Arc::ptr_eq(&of(&good), &of(&now)), same, "{name}");
    }
}
