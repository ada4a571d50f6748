//! A workload that moves from one podman to the other: never two of it at once.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use super::super::device::{lines, until_true};
use super::super::place::Place;
use super::super::service::{Podman, rootless, system};
use super::ROOTLESS;

/// Says so when another one runs.
const ALONE: &str =
    "mkdir /out/runs || echo $$ >> /out/doubles; trap \"rmdir /out/runs; exit 0\" TERM; sleep 100000 & wait";

fn place(head: &str, place: &Place) {
    let out = place.path("out");
    if !out.exists() {
        std::fs::create_dir(&out).expect("made");
        std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o777)).expect("opened");
        std::fs::set_permissions(place.path(""), std::fs::Permissions::from_mode(0o711)).expect("opened");
    }
    let container = place.container("c", ALONE);
    let container = container.trim_end_matches('}');
    place.pod(
        "w",
        head,
        &format!(
            "{{ terminationGracePeriodSeconds: 20, volumes: [ {{ name: out, hostPath: {{ path: \"{}\" }} }} ], containers: [ {container}, volumeMounts: [ {{ name: out, mountPath: /out }} ] }} ] }}",
            out.display()
        ),
    );
}

fn runs_on_one(place: &Place, rootless: bool) {
    let there = |w: &Json| w["state"] == "running" && w["reason"] != "Stopping" && w["rootless"] == rootless;
    place.until("w", "it runs where it should", there);
    let label = format!("project-flotta.io/name={}", place.name("w"));
    let count = |of: &Podman| of.pods(&label).len();
    let both = (count(&place.podman), count(place.rootless.as_ref().expect("both")));
    assert_eq!(both, if rootless { (0, 1) } else { (1, 0) });
    assert_eq!(lines(&place.path("out/doubles")), Vec::<String>::new());
}

#[test]
fn a_workload_whose_rootless_is_changed_moves_and_never_runs_twice() {
    let Some(mut there) = Place::both() else { return };
    place("", &there);
    there.start();
    for rootless in [false, true, false] {
        place(if rootless { ROOTLESS } else { "" }, &there);
        runs_on_one(&there, rootless);
    }
}

/// It waits for the podman that it may still run on. (Its state stays the same, so no event says so.)
fn waits(place: &Place, podman: &Podman) {
    until_true("it waits for the podman that it runs on", || {
        let now = place.agent().get("/api/v1/workloads")[0].clone();
        let words = now["message"].as_str().unwrap_or_default().contains(&*podman.socket.to_string_lossy());
        words && now["rootless"] == false && now["reason"] == "ExecutorUnreachable"
    });
}

#[test]
fn while_the_podman_it_runs_on_is_away_it_does_not_start_on_the_other_not_even_after_a_kill_of_the_agent() {
    let (Some(root), Some(user)) = (system(), rootless()) else { return };
    let mut service = user.second();
    service.start();
    let mut there = Place::on(root);
    there.beside(service.podman.clone());
    place(ROOTLESS, &there);
    there.start();
    there.until_state("w", "running");
    service.kill();
    there.until_state("w", "unknown");
    place("", &there);
    waits(&there, &service.podman);
    there.kill();
    there.start();
    waits(&there, &service.podman);
    assert!(
        there.path("out/runs").exists() && there.containers("w").is_empty(),
        "it runs on where it was, and nowhere else"
    );
    service.start();
    runs_on_one(&there, false);
}
