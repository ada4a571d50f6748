//! The broker goes away, forgets, falls silent, and comes back.

use rustix::process::Signal;
use serde_json::Value;

use super::mosquitto::Mosquitto;
use super::{counted, decides_at_once, device, is_connected, link, start, workload};
use crate::device::{Agent, until_true};

const PERSISTENT: &str = "persistence true\nmax_queued_messages 0\n";

/// The number of the last event that the agent knows of.
fn last_event(agent: &Agent) -> u64 {
    let events = agent.get("/api/v1/events");
    events.as_array().and_then(|events| events.last()).and_then(|event| event["seq"].as_u64()).expect("an event")
}

/// The numbers, each once, as they first arrived.
fn numbers(events: &[Value]) -> Vec<u64> {
    let mut all: Vec<u64> = Vec::new();
    for number in events.iter().filter_map(|event| event["seq"].as_u64()) {
        if !all.contains(&number) {
            all.push(number);
        }
    }
    all
}

#[test]
fn a_broker_that_forgets_everything_is_told_everything_again() {
    let mut broker = Mosquitto::start("");
    // Of a life of this device before: no longer true.
    broker.publish("flotta/devices/toto/workloads/default/old/status", "{}", true);
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("the agent connects", || is_connected(agent));
    until_true("the status is there and the old one is cleared", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("/default/w/status") && held.contains("profiles/p") && !held.contains("/default/old/status")
    });
    until_true("a metric arrives", || {
        broker.publish("flotta/metrics/x", "1", false);
        agent.get("/api/v1/workloads")[0]["state"] == "running"
    });
    broker.kill();
    until_true("the loss is noticed", || link(agent).0 == "disconnected");
    assert_eq!(counted(agent, "flotta_external_connected"), 0);
    decides_at_once(agent);
    broker.start_again("");
    until_true("it is all said again", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("\"inactive\"") && held.contains("\"state\":\"online\"") && held.contains("profiles/p")
    });
    until_true("metrics arrive again", || {
        broker.publish("flotta/metrics/x", "1", false);
        agent.get("/api/v1/workloads")[0]["state"] == "running"
    });
    assert_eq!(counted(agent, "flotta_external_connected"), 1);
    assert!(counted(agent, "flotta_external_reconnects_total") >= 1);
    assert!(counted(agent, "flotta_external_retained_published_total") >= 6);
}

#[test]
fn a_broker_that_remembers_is_cleared_of_what_is_no_longer_true_and_of_nothing_else() {
    let mut broker = Mosquitto::start(PERSISTENT);
    let mut device = device();
    workload(&device, "gone");
    start(&mut device, broker.port, &[]);
    until_true("both are there", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("/default/w/status") && held.contains("/default/gone/status")
    });
    let others =
        ["flotta/devices/toto/metrics/y 1", "flotta/devices/toto2/status {}", "flotta/metrics/z 2", "somebody/else 3"];
    for line in others {
        let (topic, payload) = line.split_once(' ').expect("two");
        broker.publish(topic, payload, true);
    }
    broker.stop();
    until_true("the loss is noticed", || link(device.agent()).0 == "disconnected");
    // Once while the agent runs, once while neither runs.
    device.delete("gone.yaml");
    until_true("it is gone", || device.agent().get("/api/v1/workloads").as_array().is_some_and(|all| all.len() == 1));
    broker.start_again(PERSISTENT);
    until_true("it is cleared", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("/default/w/status") && !held.contains("/default/gone/status")
    });
    device.kill();
    broker.stop();
    device.delete("w.yaml");
    broker.start_again(PERSISTENT);
    assert!(broker.retained("flotta/devices/toto/#").contains("/default/w/status"), "the broker remembers");
    start(&mut device, broker.port, &[]);
    until_true("that is cleared as well", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("\"state\":\"online\"") && !held.contains("/default/w/status")
    });
    let held = broker.retained("#");
    for line in others {
        assert!(held.lines().any(|held| held == line), "{line} in {held}");
    }
}

#[test]
fn events_of_an_outage_all_arrive_afterwards_in_order_and_without_a_gap() {
    let mut broker = Mosquitto::start(PERSISTENT);
    broker.keep_events();
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("the agent connects", || is_connected(agent));
    for outage in 1..=3 {
        broker.stop();
        until_true("the loss is noticed", || link(agent).0 == "disconnected");
        for _ in 0..5 {
            decides_at_once(agent);
        }
        assert!(counted(agent, "flotta_external_events_waiting") > 0);
        broker.start_again(PERSISTENT);
        until_true("the agent connects", || counted(agent, "flotta_external_reconnects_total") == outage);
        // The next outage comes while events go out.
    }
    until_true("all events are acknowledged", || counted(agent, "flotta_external_events_waiting") == 0);
    assert_eq!(counted(agent, "flotta_external_events_dropped_total"), 0);
    let last = last_event(agent);
    assert!(last >= 60, "fifteen starts and stops: {last}");
    let events = broker.events(last);
    assert_eq!(numbers(&events), (1..=last).collect::<Vec<_>>());
}

#[test]
fn more_events_than_are_kept_leave_a_gap_that_their_numbers_show() {
    const WORKLOADS: usize = 40;
    let mut broker = Mosquitto::start(PERSISTENT);
    broker.keep_events();
    let mut device = device();
    for n in 0..WORKLOADS {
        workload(&device, &format!("w{n}"));
    }
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("the agent connects", || is_connected(agent));
    until_true("all is said", || counted(agent, "flotta_external_events_waiting") == 0);
    broker.stop();
    until_true("the loss is noticed", || link(agent).0 == "disconnected");
    let mut x = 0;
    while counted(agent, "flotta_external_events_dropped_total") == 0 {
        x = 1 - x;
        agent.set("x", f64::from(x));
        let wanted = if x == 1 { "running" } else { "inactive" };
        until_true(wanted, || {
            let all = agent.get("/api/v1/workloads");
            all.as_array().is_some_and(|all| all.iter().all(|w| w["state"] == wanted))
        });
    }
    assert_eq!(counted(agent, "flotta_external_events_waiting"), 1_000, "the limit is kept to");
    let (last, dropped) = (last_event(agent), counted(agent, "flotta_external_events_dropped_total"));
    broker.start_again(PERSISTENT);
    let arrived = numbers(&broker.events(last));
    // All that came before the outage, then the newest thousand, and between them as many are missing as were dropped.
    let before = last - 1_000 - dropped;
    let wanted: Vec<u64> = (1..=before).chain(last - 999..=last).collect();
    assert_eq!(arrived, wanted);
}

#[test]
fn a_broker_that_falls_silent_is_noticed_soon_after_the_keep_alive() {
    let broker = Mosquitto::start("");
    let mut device = device();
    start(&mut device, broker.port, &[("EDGE_DEVICE_MQTT_KEEP_ALIVE", "2s")]);
    let agent = device.agent();
    until_true("the agent connects", || is_connected(agent));
    broker.signal(Signal::STOP);
    until_true("the silence is noticed", || link(agent).0 == "disconnected");
    let (_, message) = link(agent);
    assert!(message.contains("nothing heard") || message.contains("does not answer"), "{message}");
    decides_at_once(agent);
    broker.signal(Signal::CONT);
    until_true("the agent connects again", || is_connected(agent));
    until_true("what happened meanwhile is there", || {
        broker.retained("flotta/devices/toto/#").contains("\"inactive\"")
    });
}

#[test]
fn a_silent_broker_is_noticed_even_while_there_is_much_to_say() {
    let broker = Mosquitto::start("");
    let mut device = device();
    start(&mut device, broker.port, &[("EDGE_DEVICE_MQTT_KEEP_ALIVE", "2s"), ("EDGE_DEVICE_MQTT_ALIVE", "1s")]);
    let agent = device.agent();
    until_true("the agent connects", || is_connected(agent));
    broker.signal(Signal::STOP);
    // Each thing said puts off the client's ping; the silence counts all the same.
    let mut x = 0.0;
    until_true("the silence is noticed", || {
        x = 1.0 - x;
        agent.set("x", x);
        link(agent).0 == "disconnected"
    });
    broker.signal(Signal::CONT);
    until_true("the agent connects again", || is_connected(agent));
}
