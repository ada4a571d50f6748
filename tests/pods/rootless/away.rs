//! Both podmans at once: each comes and goes, and the other one's workloads do not notice.

use rustix::process::Signal;
use serde_json::Value as Json;

use super::super::device::{millis, until_true};
use super::super::place::Place;
use super::super::service::{Podman, rootless, system};
use super::super::specs::WAITS;
use super::ROOTLESS;

/// A question is waited for longer than this: what takes less did not wait for the podman that hangs.
const AT_ONCE_MS: u64 = 15_000;

fn of(is_rootless: bool) -> &'static str {
    if is_rootless { ROOTLESS } else { "" }
}

#[test]
fn a_podman_that_hangs_holds_up_nothing_of_the_other_not_even_when_the_agent_starts() {
    for hangs_rootless in [true, false] {
        let (Some(root), Some(user)) = (system(), rootless()) else { return };
        let (mut service, mut place) = if hangs_rootless {
            let service = user.second();
            let mut place = Place::on(root);
            place.beside(service.podman.clone());
            (service, place)
        } else {
            let service = root.second();
            let mut place = Place::on(service.podman.clone());
            place.beside(user);
            (service, place)
        };
        service.start();
        place.script("hangs", of(hangs_rootless), WAITS);
        place.script("other", of(!hangs_rootless), WAITS);
        place.start();
        place.until_state("hangs", "running");
        place.until_state("other", "running");
        // It accepts, and says nothing.
        service.signal(Signal::STOP);
        for n in 0..3 {
            place.script(&format!("more{n}"), of(hangs_rootless), WAITS);
        }
        let begin = millis();
        place.script("next", of(!hangs_rootless), WAITS);
        place.until_state("next", "running");
        place.delete("other.yaml");
        let name = place.name("other");
        until_true("it is gone", || !place.agent().get("/api/v1/workloads").to_string().contains(&name));
        let took = millis() - begin;
        assert!(took < AT_ONCE_MS, "started and stopped beside a podman that hangs in {took} ms");

        place.kill();
        let begin = millis();
        place.start();
        place.until("next", "adopted", |w| w["reason"] == "Adopted");
        place.script("last", of(!hangs_rootless), WAITS);
        place.until_state("last", "running");
        let took = millis() - begin;
        assert!(took < AT_ONCE_MS, "adopted and started beside a podman that hangs in {took} ms");

        service.signal(Signal::CONT);
        for name in ["hangs", "more0", "more1", "more2"] {
            place.until_state(name, "running");
        }
    }
}

fn pid(podman: &Podman, name: &str) -> Option<Json> {
    let all = podman.containers(&format!("project-flotta.io/name={name}"));
    all.iter().find(|container| container["IsInfra"] != true).map(|container| container["Pid"].clone())
}

#[test]
fn a_users_socket_that_goes_and_comes_back_is_found_again_and_nothing_is_restarted() {
    let (Some(root), Some(user)) = (system(), rootless()) else { return };
    let mut service = user.second();
    service.start();
    let mut place = Place::on(root);
    place.beside(service.podman.clone());
    place.script("w", ROOTLESS, WAITS);
    place.script("other", "", WAITS);
    place.start();
    place.until_state("w", "running");
    let before = place.until_state("other", "running");
    let first = pid(&service.podman, &place.name("w"));
    // The file is gone, the service is not.
    let (socket, hidden) = (service.podman.socket.clone(), service.podman.socket.with_extension("hidden"));
    std::fs::rename(&socket, &hidden).expect("moved");
    place.script("new", ROOTLESS, WAITS);
    let lost = place.until_state("new", "error");
    assert_eq!(lost["reason"], "ExecutorUnreachable", "{lost}");
    place.until_state("w", "unknown");
    std::fs::rename(&hidden, &socket).expect("moved back");
    place.until_state("new", "running");
    place.until_state("w", "running");
    // And a restart of the service.
    service.kill();
    place.until_state("w", "unknown");
    service.start();
    place.until_state("w", "running");
    assert_eq!(pid(&service.podman, &place.name("w")), first, "it runs on by itself");
    let after = place.until_state("other", "running");
    assert_eq!(after["since"], before["since"], "root's were not touched by any of it");
}
