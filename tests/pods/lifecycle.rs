//! Who owns what: adoption, orphans, halves, changes, others' pods.

use serde_json::json;

use super::device::{lines, until_true};
use super::place::Place;
use super::specs::{GATED, SOON, WAITS};

#[test]
fn a_pod_goes_on_through_a_kill_of_the_agent_and_is_adopted() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", "", WAITS);
    place.script("gated", GATED, WAITS);
    place.start();
    place.agent().set("x", 1.0);
    place.until_state("w", "running");
    place.until_state("gated", "running");
    let before = (place.one("w", "c"), place.one("gated", "c"));
    // Written at most once a second.
    until_true("the truth of the gate is stored", || {
        let text = std::fs::read_to_string(place.path("state/truths.json")).unwrap_or_default();
        text.contains(r#""x == 1","value":true"#)
    });
    place.kill();
    place.start();
    for name in ["w", "gated"] {
        let adopted = place.until_state(name, "running");
        assert_eq!(adopted["reason"], "Adopted", "{adopted}");
    }
    let after = (place.one("w", "c"), place.one("gated", "c"));
    assert_eq!((&before.0["Pid"], &before.1["Pid"]), (&after.0["Pid"], &after.1["Pid"]));
}

#[test]
fn what_was_deleted_while_no_agent_was_there_is_removed_by_the_next_one_and_nothing_else_is() {
    let Some(mut place) = Place::new() else { return };
    place.script("kept", "", WAITS);
    place.script("orphan", "", WAITS);
    place.start();
    place.until_state("kept", "running");
    place.until_state("orphan", "running");
    place.kill();
    place.delete("orphan.yaml");
    let name = place.name("orphan");
    let labels = json!({ "project-flotta.io/owner": "another", "project-flotta.io/name": name,
        "project-flotta.io/namespace": "default", "project-flotta.io/hash": "0", "flotta-test": "1" });
    let foreign = place.podman.foreign(&format!("foreign-{}", place.tag()), labels);
    place.start();
    let kept = place.until_state("kept", "running");
    assert_eq!(kept["reason"], "Adopted");
    until_true("the orphan is gone", || place.podman.named(&name).is_empty());
    foreign.is_untouched();
}

#[test]
fn a_pod_of_somebody_else_with_the_same_name_is_said_and_not_touched() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", &format!("{SOON}{GATED}"), WAITS);
    place.start();
    let hash = place.until_state("w", "inactive")["hash"].as_str().expect("a hash").to_owned();
    let foreign = place.podman.foreign(&format!("{}-{hash}", place.name("w")), json!({ "flotta-test": "1" }));
    place.agent().set("x", 1.0);
    let failed = place.until_state("w", "error");
    let message = failed["message"].as_str().expect("a sentence");
    assert!(message.contains("not this agent's") && message.contains("remove or rename"), "{message}");
    foreign.is_untouched();
    drop(foreign);
    place.until_state("w", "running");
}

#[test]
fn a_half_made_pod_is_taken_away_before_a_whole_one_is_made() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", "", WAITS);
    place.start();
    place.until_state("w", "running");
    let pod = place.podman.pods(&format!("project-flotta.io/device={}", place.id())).remove(0);
    place.kill();
    // As a start leaves it that is cut off right after the pod was made.
    place.podman.remove_pod(pod["Id"].as_str().expect("an id"));
    let (code, half) =
        place.podman.call("POST", "pods/create", Some(&json!({ "name": pod["Name"], "labels": pod["Labels"] })));
    assert_eq!(code, 201, "{half}");
    place.start();
    place.until_state("w", "running");
    let pods = place.podman.pods(&format!("project-flotta.io/device={}", place.id()));
    assert_eq!(pods.len(), 1, "{pods:#?}");
    assert_ne!(pods[0]["Id"], half["Id"]);
    assert_eq!(place.one("w", "c")["State"], "running");
}

#[test]
fn a_gate_that_flips_faster_than_podman_ends_with_what_it_said_last() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", GATED, WAITS);
    place.start();
    place.until_state("w", "inactive");
    for round in 0..8 {
        for flip in 0..=round {
            place.agent().set("x", f64::from((round + flip) % 2));
        }
    }
    // The last one was x = 0; then the race of a start right after a stop.
    place.until("w", "it is stopped", |w| w["state"] == "inactive" && w["reason"] == "ConditionFalse");
    place.agent().set("x", 1.0);
    place.until_state("w", "running");
    let one = place.one("w", "c");
    assert_eq!(one["State"], "running");
    assert_eq!(place.containers("w").len(), 1);
}

#[test]
fn a_changed_pod_is_replaced_and_an_unchanged_one_is_not() {
    let Some(mut place) = Place::new() else { return };
    let out = place.path("out");
    let script = |word: &str| format!("echo {word} >> /out/log; {WAITS}");
    let write = |place: &Place, word: &str| {
        let container = place.container("c", &script(word));
        place.pod(
            "w",
            "",
            &format!(
                "{{ terminationGracePeriodSeconds: 5, volumes: [ {{ name: out, hostPath: {{ path: \"{}\", type: DirectoryOrCreate }} }} ], containers: [ {}, volumeMounts: [ {{ name: out, mountPath: /out }} ] }} ] }}",
                out.display(),
                container.trim_end_matches('}')
            ),
        );
    };
    write(&place, "one");
    place.script("other", "", WAITS);
    place.start();
    place.until_state("other", "running");
    let first = place.until_state("w", "running");
    let other = place.one("other", "c");
    write(&place, "two");
    place.until("w", "the new version", |w| w["state"] == "running" && w["hash"] != first["hash"]);
    until_true("it said so", || lines(&out.join("log")).len() == 2);
    assert_eq!(lines(&out.join("log")), ["one", "two"]);
    assert_eq!(place.one("other", "c")["Pid"], other["Pid"]);
    // The same text again, and a change that is none of the pod's: nothing restarts.
    let before = place.one("w", "c");
    write(&place, "two");
    let with_priority = std::fs::read_to_string(place.path("manifests/w.yaml"))
        .expect("read")
        .replace("  type: pod\n", "  type: pod\n  priority: 5\n  retry: { constantBackoff: { periodSeconds: 3 } }\n");
    place.manifest("w.yaml", &with_priority);
    place.script("later", "", WAITS);
    place.until_state("later", "running");
    assert_eq!(place.one("w", "c")["Pid"], before["Pid"]);
}

#[test]
fn a_pod_that_somebody_removed_is_made_again() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", SOON, WAITS);
    place.start();
    place.until_state("w", "running");
    let first = place.one("w", "c");
    place.podman.remove_pod(first["Pod"].as_str().expect("an id"));
    place.until("w", "it was noticed", |w| w["state"] != "running" || w["restarts"] != 0);
    place.until_state("w", "running");
    assert_ne!(place.one("w", "c")["Id"], first["Id"]);
}
