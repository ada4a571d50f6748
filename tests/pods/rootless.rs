//! Pods of a user's podman, beside root's.

use super::place::Place;
use super::service::user;
use super::specs::WAITS;

#[test]
fn a_rootless_pod_runs_as_its_user_and_is_stopped_and_removed() {
    let Some(mut place) = Place::rootless() else { return };
    place.script("w", "", WAITS);
    place.start();
    place.until_state("w", "running");
    let pid = super::place::pid(&place.one("w", "c"));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a uid");
    assert!(uid.split_ascii_whitespace().all(|one| one == user().uid.to_string()), "root in it is its user: {uid}");
    place.delete("w.yaml");
    place.is_empty();
}
