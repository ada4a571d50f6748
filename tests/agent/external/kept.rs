//! Events that the broker has not got survive the agent.

use serde_json::Value;

use super::mosquitto::Mosquitto;
use super::{device, is_connected, start};
use crate::device::{Device, until_true};

const PERSISTENT: &str = "persistence true\nmax_queued_messages 0\n";

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

fn of_board(device: &Device) -> Vec<u64> {
    numbers(device.agent().get("/api/v1/events").as_array().expect("an array"))
}

/// The numbers in the state directory.
fn stored(device: &Device) -> Vec<u64> {
    let text = std::fs::read_to_string(device.path("state/events.json")).unwrap_or_default();
    let object: Value = text.lines().nth(1).and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    object["events"].as_array().map(|events| numbers(events)).unwrap_or_default()
}

/// The broker is away, and things happen.
fn outage(device: &mut Device, broker: &mut Mosquitto) -> Vec<u64> {
    broker.stop();
    start(device, broker.port, &[]);
    for _ in 0..3 {
        device.agent().set("x", 1.0);
        device.agent().until_state("w", "running");
        device.agent().set("x", 0.0);
        device.agent().until_state("w", "inactive");
    }
    of_board(device)
}

#[test]
fn events_of_an_outage_survive_a_kill_and_arrive_in_order_before_newer_ones() {
    let mut broker = Mosquitto::start(PERSISTENT);
    broker.keep_events();
    let mut device = device();
    let said = outage(&mut device, &mut broker);
    until_true("they are stored", || stored(&device) == said);
    device.kill();
    broker.start_again(PERSISTENT);
    start(&mut device, broker.port, &[]);
    until_true("the agent connects", || is_connected(device.agent()));
    device.agent().set("x", 1.0);
    device.agent().until_state("w", "running");
    let newer = of_board(&device);
    assert!(newer[0] > said[said.len() - 1] + 1_000, "the kill shows as a gap: {newer:?} after {said:?}");
    let heard = numbers(&broker.events(newer[newer.len() - 1]));
    assert_eq!(heard, [said, newer].concat());
    until_true("none is kept any more", || stored(&device).is_empty());
}

#[test]
fn events_of_an_outage_survive_an_end_in_order_without_a_gap() {
    let mut broker = Mosquitto::start(PERSISTENT);
    broker.keep_events();
    let mut device = device();
    let said = outage(&mut device, &mut broker);
    // At once: what came in the last second is stored at the end.
    assert_eq!(device.terminate(), Some(0));
    assert_eq!(stored(&device)[..said.len()], said);
    broker.start_again(PERSISTENT);
    start(&mut device, broker.port, &[]);
    until_true("the agent connects", || is_connected(device.agent()));
    device.agent().until_state("w", "inactive");
    let last = *of_board(&device).last().expect("an event");
    assert_eq!(numbers(&broker.events(last)), (1..=last).collect::<Vec<_>>());
}

#[test]
fn events_that_are_taken_at_once_never_get_to_the_disk() {
    let broker = Mosquitto::start("");
    let mut device = device();
    start(&mut device, broker.port, &[]);
    until_true("the agent connects", || is_connected(device.agent()));
    for _ in 0..3 {
        device.agent().set("x", 1.0);
        device.agent().until_state("w", "running");
        device.agent().set("x", 0.0);
        device.agent().until_state("w", "inactive");
    }
    assert_eq!(device.terminate(), Some(0));
    assert_eq!(stored(&device), Vec::<u64>::new());
    assert!(!device.path("state/events.json.1").exists(), "written at most once");
}
