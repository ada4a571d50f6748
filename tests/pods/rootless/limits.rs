//! Limits on a podman that may not be able to keep them: then they are left out and said, and nothing fails for ever.

use serde_json::json;

use super::super::device::until_true;
use super::super::place::Place;
use super::super::service::image;
use super::super::specs::SOON;

fn pod(place: &Place, resources: &str) {
    let (image, tag) = (image(), place.tag());
    place.pod(
        "w",
        &format!("{SOON}  profiles: [ {{ name: load, conditions: [ any, {{ name: fifth, cpu: 20000 }} ] }} ]\n"),
        &format!("{{ containers: [ {{ name: c, image: \"{image}\", command: [ /bin/sh, -c, 'trap \"exit 0\" TERM; sleep 100000 & wait' ], env: [ {{ name: FLOTTA_TEST, value: \"{tag}\" }} ], resources: {resources} }} ] }}"),
    );
}

fn said(workload: &serde_json::Value, what: &str) -> bool {
    let all = workload["warnings"].as_array().expect("warnings");
    all.iter().any(|one| one.as_str().is_some_and(|one| one.starts_with("LimitNotEnforced:") && one.contains(what)))
}

#[test]
fn limits_that_a_podman_cannot_keep_are_left_out_and_said_and_others_are_kept() {
    for mut place in Place::each() {
        pod(&place, "{ limits: { cpu: 500m, memory: 64Mi }, requests: { cpu: 100m, memory: 16Mi } }");
        place.start();
        let running = place.until_state("w", "running");
        let found = place.podman.inspect("containers", place.one("w", "c")["Id"].as_str().expect("an id"));
        let kept = (&found["HostConfig"]["CpuQuota"], &found["HostConfig"]["Memory"]);
        if place.podman.limits() {
            assert_eq!((kept, &running["warnings"]), ((&json!(50_000), &json!(64 << 20)), &json!([])), "{running}");
        } else {
            assert_eq!(kept, (&json!(0), &json!(0)));
            assert!(said(&running, "limit CPU") && said(&running, "limit memory"), "{running}");
        }
        assert_eq!(running["restarts"], 0, "{running}");
        place.delete("w.yaml");
        place.is_empty();
    }
}

#[test]
fn a_conditions_cpu_that_cannot_be_kept_is_a_warning_that_comes_and_goes_with_it() {
    for mut place in Place::each() {
        pod(&place, "{}");
        place.start();
        place.until_state("w", "running");
        let pid = place.one("w", "c")["Pid"].clone();
        let workload = |place: &Place| place.agent().get("/api/v1/workloads")[0].clone();
        for (value, wanted) in [(20.0, true), (0.0, false), (20.0, true)] {
            place.agent().set("y", value);
            until_true("the quota, or that there is none, is said", || {
                let now = workload(&place);
                let in_force = now["cpu_quota_us"] == json!(20_000);
                let (kept, warned) = if place.podman.limits() { (wanted, false) } else { (false, wanted) };
                (in_force, said(&now, "the condition's cpu")) == (kept, warned) && now["state"] == "running"
            });
        }
        // A start while the condition holds, and the agent after this one.
        super::super::place::kill9(&place.one("w", "c"));
        let again = place.until("w", "its restart", |w| w["state"] == "running" && w["restarts"] != 0);
        assert_ne!(place.one("w", "c")["Pid"], pid, "{again}");
        place.kill();
        place.start();
        place.agent().set("y", 20.0);
        until_true("the next agent says the same", || {
            let now = workload(&place);
            now["state"] == "running"
                && (now["cpu_quota_us"] == json!(20_000)) == place.podman.limits()
                && said(&now, "the condition's cpu") != place.podman.limits()
        });
        place.delete("w.yaml");
        place.is_empty();
    }
}
