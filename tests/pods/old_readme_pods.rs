//! The manifests of the old README as pods. What differs: names that no other test has, the tests' own image, and podman for
//! the cluster.

use serde_json::json;

use super::device::until_true;
use super::old_readme::{OLD_CRON, OLD_DEVICE, OLD_GATED};
use super::place::Place;
use super::service::image;
use super::specs::WAITS;

/// Its device, with this one's name.
fn device(place: &Place) {
    place.delete("device.yaml");
    place.manifest("old-device.yaml", &OLD_DEVICE.replace("name: toto", &format!("name: {}", place.id())));
}

fn swapped(place: &Place, text: &str, name: &str, old_image: &str, script: &str) -> String {
    let own = format!("{}\n          command: [ /bin/sh, -c, '{script}' ]", image());
    let text = text.replace(&format!("name: {name}\n"), &format!("name: {}\n", place.name(name)));
    let swapped = text.replace(old_image, &own).replace("device: toto", &format!("device: {}", place.id()));
    assert!(swapped.contains(image()) && swapped.contains(&place.name(name)), "{swapped}");
    swapped
}

#[test]
fn the_old_readmes_nginx_runs_as_its_profile_says_and_what_stands_in_the_wrong_place_is_said() {
    let Some(mut place) = Place::new() else { return };
    device(&place);
    let nginx = swapped(&place, OLD_GATED, "nginx-rootfull", "quay.io/project-flotta/nginx:1.21.6", WAITS);
    // What the answer to the tab says is done.
    place.manifest("nginx.yaml", &nginx.replace("    \t- name", "      - name").replace("type: k8s", "type: pod"));
    place.start();
    let name = place.name("nginx-rootfull");
    // x < 3 % || x == nil
    let running = place.agent().until_state(&name, "running");
    assert!(running["warnings"].to_string().contains("spec.deviceSelector.profiles"), "{running}");
    assert!(place.agent().get("/api/v1/device")["problems"].to_string().contains("metadata.name"));
    place.agent().set("x", 5.0);
    place.agent().until_state(&name, "inactive");
    until_true("it is stopped", || place.podman.named(&name).is_empty());
    place.agent().set("x", 1.0);
    place.agent().until_state(&name, "running");
}

#[test]
fn the_old_readmes_cron_workload_runs_when_its_time_is_written_as_the_answer_to_it_says() {
    let Some(mut place) = Place::new() else { return };
    device(&place);
    let cron = swapped(&place, OLD_CRON, "workload2", "quay.io/ctupangiu/cron-workload:latest", "echo done");
    place.manifest("cron.yaml", &cron);
    place.start();
    until_true("the cron line is answered", || {
        place.agent().get("/api/v1/device")["problems"].to_string().contains("*/1 * * * *")
    });
    place.manifest("cron.yaml", &cron.replace("*\\1 * * * *", "\"*/1 * * * *\""));
    let name = place.name("workload2");
    place.agent().until(&name, "it waits for its time", |w| w["reason"] == "CronWait");
    let (code, said) = place.client(&["workload", "run", &name]);
    assert!(code == 0 || said.contains("runs"), "{code} {said}");
    let done = place.agent().until(&name, "it ran", |w| w["last_exit_code"] == 0 && w["reason"] == "CronWait");
    assert_eq!(done["state"], json!("ready"));
}
