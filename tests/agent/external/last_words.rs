//! What the broker says about an agent that is not there.

use super::mosquitto::Mosquitto;
use super::{counted, device, is_connected, start};
use crate::device::until_true;

const OFFLINE: &str = "flotta/devices/toto/status {\"state\":\"offline\"}\n";

#[test]
fn after_kill_9_the_last_will_says_offline() {
    let broker = Mosquitto::start("");
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let status = || broker.retained("flotta/devices/toto/status");
    until_true("the status is there", || status().contains("\"online\""));
    device.kill();
    until_true("the last will says so", || status() == OFFLINE);
    start(&mut device, broker.port, &[]);
    until_true("the next agent is online", || status().contains("\"online\""));
}

#[test]
fn a_clean_stop_says_everything_that_is_left_and_then_offline() {
    let broker = Mosquitto::start("max_queued_messages 0\n");
    broker.keep_events();
    let mut device = device();
    start(&mut device, broker.port, &[("EDGE_DEVICE_WORKLOADS_ON_EXIT", "stop")]);
    until_true("the agent connects", || is_connected(device.agent()));
    device.agent().set("x", 1.0);
    device.agent().until_state("w", "running");
    until_true("all is said", || counted(device.agent(), "flotta_external_events_waiting") == 0);
    let events = device.agent().get("/api/v1/events");
    let last = events.as_array().and_then(|all| all.last()).and_then(|event| event["seq"].as_u64()).expect("an event");
    assert_eq!(device.terminate(), Some(0));
    assert_eq!(broker.retained("flotta/devices/toto/status"), OFFLINE, "at once, not by the last will some time later");
    let stopped = broker.events(last + 1);
    assert_eq!(stopped.last().expect("an event")["reason"], "Stopping", "the agent stops it: {stopped:?}");
}
