//! Pods need no room in the agent's state directory: they start and stop while it is full.

use super::place::Place;
use super::small_disk::{SmallDisk, can_mount};
use super::specs::{GATED, WAITS};

#[test]
fn on_a_full_disk_pods_stop_and_start_as_their_gates_say() {
    let Some(()) = can_mount() else { return };
    let Some(place) = Place::new() else { return };
    let mut disk = SmallDisk::under(place);
    disk.script("w", GATED, WAITS);
    disk.start();
    disk.until_state("w", "inactive");
    disk.fill();
    disk.agent().set("x", 1.0);
    disk.until_state("w", "running");
    disk.agent().set("x", 0.0);
    disk.until_state("w", "inactive");
    disk.agent().set("x", 1.0);
    disk.until_state("w", "running");
    assert!(disk.said().contains("lost"), "the device says what is lost: {}", disk.said());
    disk.free();
    disk.delete("w.yaml");
    disk.is_empty();
}
