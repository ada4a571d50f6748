//! A podman that is not there, dies, hangs, comes back.

use rustix::process::Signal;

use super::place::Place;
use super::service::podman;
use super::specs::{SOON, WAITS};

/// A shell workload, which has to go on whatever podman does.
fn shell(place: &Place, name: &str) {
    place.manifest(
        &format!("{name}.yaml"),
        &format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {} }}\nspec:\n  type: shell\n  shell: {{ env: {{ FLOTTA_TEST: {} }}, script: 'exec sleep 1000' }}\n",
            place.name(name),
            place.tag()
        ),
    );
}

#[test]
fn without_a_podman_pods_say_what_to_do_and_start_when_it_comes() {
    let Some(shared) = podman() else { return };
    let mut service = shared.second();
    let mut place = Place::on(service.podman.clone());
    place.script("w", "", WAITS);
    shell(&place, "side");
    place.start();
    place.until_state("side", "running");
    let lost = place.until_state("w", "error");
    assert_eq!(lost["reason"], "ExecutorUnreachable");
    let message = lost["message"].as_str().expect("a sentence");
    assert!(message.contains("enable --now podman.socket") && message.contains("podman.sock"), "{message}");
    service.start();
    place.until_state("w", "running");
}

#[test]
fn a_podman_that_is_killed_is_said_and_its_pods_go_on_and_are_never_restarted() {
    let Some((mut place, mut service)) = Place::with_service() else { return };
    place.script("w", SOON, WAITS);
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    for round in 0..3 {
        service.kill();
        let lost = place.until_state("w", "unknown");
        assert_eq!(lost["reason"], "ExecutorUnreachable");
        let side = format!("side-{round}");
        shell(&place, &side);
        place.until_state(&side, "running");
        service.start();
        place.until_state("w", "running");
        assert_eq!(place.one("w", "c")["Pid"], before["Pid"]);
    }
}

#[test]
fn what_dies_while_podman_is_away_is_known_when_it_is_back() {
    let Some((mut place, mut service)) = Place::with_service() else { return };
    place.script("w", SOON, WAITS);
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    service.kill();
    place.until_state("w", "unknown");
    super::place::kill9(&before);
    service.start();
    let again = place.until("w", "its restart", |w| w["state"] == "running" && w["restarts"] == 1);
    assert_eq!(again["last_exit_code"], 137, "{again}");
    assert_ne!(place.one("w", "c")["Pid"], before["Pid"]);
}

#[test]
fn a_podman_that_hangs_is_unknown_and_all_else_goes_on_and_all_comes_back() {
    let Some((mut place, service)) = Place::with_service() else { return };
    place.script("w", "", WAITS);
    place.start();
    place.until_state("w", "running");
    service.signal(Signal::STOP);
    place.script("new", "", WAITS);
    shell(&place, "side");
    place.until_state("side", "running");
    // A list is asked for every 30 s, and waited for 20 s.
    place.until_state("w", "unknown");
    service.signal(Signal::CONT);
    place.until_state("w", "running");
    place.until_state("new", "running");
}
