//! What the server is told: all of its workloads as they are, changes at once, events once each, hardware where it is asked for.

use flotta_standin::{Fault, Operation, Options};
use serde_json::{Value, json};

use super::site::{ID, Site, gated, pod, quick};

/// Reported by itself once a minute only: what comes sooner comes for a reason.
fn slow() -> Value {
    let mut slow = quick();
    slow["heartbeat"]["period_seconds"] = json!(60);
    slow
}

/// Of all heartbeats that the server has stored, in order.
fn events(site: &Site) -> Vec<String> {
    let device = site.server.device(ID).expect("there");
    device.events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect()
}

fn statuses(beat: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = beat["workloads"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| (text(&one["name"]), text(&one["status"]))).collect()
}

#[test]
fn every_workload_of_the_servers_is_told_with_its_status_as_it_is_observed() {
    let broken = json!({ "name": "broken", "specification": "containers: null\n" });
    let Some(mut site) = Site::with_podman(Options::default()) else { return };
    site.join(quick(), json!([gated("gated"), broken, pod("tried")]));
    site.until_workload("tried", "error");
    site.until_workload("gated", "inactive");
    let wanted = [("broken", "crashed"), ("gated", "stopped"), ("tried", "crashed")];
    let wanted = wanted.map(|(name, status)| (name.to_owned(), status.to_owned()));
    site.wait(Operation::Heartbeat, "all three", |beat| statuses(beat.content()) == wanted);
    let phases = site.server.device(ID).expect("there").phases;
    assert_eq!(phases.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_change_is_told_at_once_and_not_with_the_next_period() {
    let Some(mut site) = Site::with_podman(Options::default()) else { return };
    site.join(slow(), json!([gated("w")]));
    site.until_workload("w", "inactive");
    site.wait(Operation::Heartbeat, "stopped", |beat| statuses(beat.content()) == [("w".into(), "stopped".into())]);
    site.onwards();
    site.device.agent().set("x", 1.0);
    site.until_workload("w", "error");
    site.wait(Operation::Heartbeat, "crashed", |beat| beat.content()["workloads"][0]["status"] == "crashed");
    site.device.agent().set("x", 0.0);
    site.wait(Operation::Heartbeat, "stopped", |beat| beat.content()["workloads"][0]["status"] == "stopped");
    let asked = site.server.exchanges().iter().filter(|exchange| exchange.operation == Operation::Get).count();
    assert_eq!(asked, 1, "all of this was within the first period");
}

#[test]
fn events_come_once_each_and_in_order_also_those_of_an_outage_and_of_before_a_kill() {
    let Some(mut site) = Site::with_podman(Options::default()) else { return };
    site.join(quick(), json!([gated("w")]));
    let turn = |site: &Site| {
        site.device.agent().set("x", 1.0);
        site.until_workload("w", "error");
        site.device.agent().set("x", 0.0);
        site.until_workload("w", "inactive");
    };
    site.until_workload("w", "inactive");
    turn(&site);
    // Nothing gets through: as if the line were cut.
    site.block(site.server.stop());
    turn(&site);
    site.until_state("unreachable");
    super::device::until_true("the events are stored", || site.counted("flotta_server_events_waiting") >= 2);
    let waiting = site.counted("flotta_server_events_waiting");
    super::device::until_true("the gate is closed on disk", || {
        let stored = std::fs::read_to_string(site.file("state/truths.json")).unwrap_or_default();
        stored.contains("false") && !stored.contains("true")
    });
    super::device::until_true("the events are on disk", || {
        let stored = std::fs::read_to_string(site.file("state/server-events.json")).unwrap_or_default();
        stored.matches("workload w is").count() as u64 == waiting
    });
    site.device.kill();
    site.start();
    site.until_workload("w", "inactive");
    site.block(site.server.restart()).expect("the same port");
    site.until_well();
    super::device::until_true("all are told", || site.counted("flotta_server_events_waiting") == 0);
    turn(&site);
    super::device::until_true("all are told", || site.counted("flotta_server_events_waiting") == 0);
    let told = events(&site);
    let states: Vec<&str> =
        told.iter().filter_map(|message| message.strip_prefix("workload w is ")?.split(':').next()).collect();
    let states: Vec<&str> = states.into_iter().filter(|state| ["error", "inactive"].contains(state)).collect();
    let turn = ["error", "inactive"];
    // A start of the agent finds what it left, which is no event.
    let wanted = [&["inactive"], &turn[..], &turn[..], &turn[..]].concat();
    assert_eq!(states, wanted, "{told:#?}");
    assert_eq!(site.counted("flotta_server_events_dropped"), 0);
}

#[test]
fn hardware_comes_only_where_it_is_asked_for_and_as_a_delta_only_when_it_changes() {
    let mut configuration = quick();
    let site = Site::up(configuration.clone(), json!([]));
    for beat in site.beats(1) {
        assert!(beat.content().get("hardware").is_none(), "{}", beat.content());
    }
    configuration["heartbeat"]["hardware_profile"] = json!({ "include": true });
    site.server.set_configuration(ID, configuration.clone());
    site.wait(Operation::Heartbeat, "with hardware", |beat| beat.content()["hardware"].is_object());
    let full = site.beats(2);
    assert!(full.iter().all(|beat| beat.content()["hardware"].is_object()), "each time");
    configuration["heartbeat"]["hardware_profile"] = json!({ "include": true, "scope": "delta" });
    site.server.set_configuration(ID, configuration);
    site.wait(Operation::Heartbeat, "without hardware", |beat| beat.content().get("hardware").is_none());
    // Whatever of the machine moves by itself is not hardware.
    for beat in site.beats(2) {
        assert!(beat.content().get("hardware").is_none(), "{}", beat.content());
    }
}

#[test]
fn a_delta_that_did_not_arrive_comes_again_as_a_whole() {
    let mut configuration = quick();
    configuration["heartbeat"]["hardware_profile"] = json!({ "include": true, "scope": "delta" });
    let mut site = Site::new();
    // The first heartbeat gets lost.
    site.server.fault(Operation::Heartbeat, Fault::status(500));
    site.join(configuration, json!([]));
    let with = |exchange: &&std::sync::Arc<flotta_standin::Exchange>| exchange.content().get("hardware").is_some();
    let beats: Vec<_> =
        site.server.exchanges().into_iter().filter(|exchange| exchange.operation == Operation::Heartbeat).collect();
    let told = site.server.device(ID).expect("there").hardware;
    assert!(told.is_object(), "{told}");
    assert!(beats.iter().filter(with).count() <= 2);
    for beat in site.beats(2) {
        assert!(beat.content().get("hardware").is_none());
    }
}
