//! A broker at its limits.

use super::mosquitto::{Mosquitto, connect};
use super::{counted, decides_at_once, device, has_problem, is_connected, link, start, workload};
use crate::device::until_true;

#[test]
fn a_broker_without_room_for_one_more_is_tried_until_there_is() {
    let broker = Mosquitto::start("max_connections 1\n");
    let other = connect(&broker);
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("it is said", || link(agent).1.contains("no room for one more client"));
    decides_at_once(agent);
    drop(other);
    until_true("the agent connects", || is_connected(agent));
}

#[test]
fn a_status_longer_than_the_brokers_limit_is_held_back_and_the_others_are_not() {
    let broker = Mosquitto::start("max_packet_size 1500\n");
    let mut device = device();
    // Its message names the condition that holds it back: so the status is long.
    let long = format!("({})", "x == 1 or ".repeat(300) + "x == 1");
    device.manifest("device.yaml", &format!("apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: toto }}\nspec: {{ profiles: [ {{ name: p, conditions: [ {{ name: c, expression: \"x == 1\" }} ] }}, {{ name: long, conditions: [ {{ name: c, expression: \"{long}\" }} ] }} ] }}\n"));
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("it is a problem", || has_problem(agent, "flotta/devices/toto/profiles/long", "held back"));
    until_true("the others are there", || {
        let held = broker.retained("flotta/devices/toto/#");
        held.contains("/profiles/p") && held.contains("/default/w/status")
    });
    until_true("events are there", || counted(agent, "flotta_external_events_waiting") == 0);
    assert!(counted(agent, "flotta_external_refused_total{what=\"publish\"}") >= 1);
    let connections = counted(agent, "flotta_external_reconnects_total");
    decides_at_once(agent);
    workload(&device, "another");
    until_true("what is new is said", || broker.retained("flotta/devices/toto/#").contains("/default/another/status"));
    assert_eq!(counted(agent, "flotta_external_reconnects_total"), connections, "the connection holds");
}

#[test]
fn a_retained_message_too_long_to_read_costs_its_topics_and_not_the_link() {
    let broker = Mosquitto::start("");
    broker.publish("flotta/metrics/picture", &"x".repeat(300 * 1024), true);
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("it is a problem", || has_problem(agent, "flotta/metrics/#", "not subscribed"));
    until_true("the link holds", || is_connected(agent));
    until_true("the status is there", || broker.retained("flotta/devices/toto/#").contains("/default/w/status"));
    until_true("metrics of the device's own arrive", || {
        broker.publish("flotta/devices/toto/metrics/x", "1", false);
        agent.get("/api/v1/workloads")[0]["state"] == "running"
    });
}

#[test]
fn a_broker_with_tiny_queues_gets_everything() {
    let broker = Mosquitto::start("max_inflight_messages 1\nmax_queued_messages 1\n");
    let mut device = device();
    for n in 0..20 {
        workload(&device, &format!("w{n}"));
    }
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("all is said", || is_connected(agent) && counted(agent, "flotta_external_events_waiting") == 0);
    // One by one, as the queue to whoever looks is as tiny.
    for n in [0, 10, 19] {
        let topic = format!("flotta/devices/toto/workloads/default/w{n}/status");
        until_true("it is there", || broker.retained(&topic).contains("\"inactive\""));
    }
    assert_eq!(counted(agent, "flotta_external_events_dropped_total"), 0);
}

#[test]
fn a_broker_without_memory_is_tried_until_it_has_some() {
    // Less than Mosquitto needs for itself and us.
    let mut broker = Mosquitto::start("memory_limit 20000\n");
    let mut device = device();
    for n in 0..20 {
        workload(&device, &format!("w{n}"));
    }
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    decides_at_once(agent);
    assert!(counted(agent, "flotta_external_reconnects_total") < 20, "no spinning");
    broker.kill();
    broker.start_again("");
    until_true("all is there", || {
        let held = broker.retained("flotta/devices/toto/workloads/#");
        (0..20).all(|n| held.contains(&format!("/default/w{n}/status")))
    });
    until_true("all events are acknowledged", || counted(agent, "flotta_external_events_waiting") == 0);
}

#[test]
fn a_status_longer_than_what_is_ever_sent_does_not_end_the_connection() {
    let broker = Mosquitto::start("");
    let mut device = device();
    let long = "x == 1 or ".repeat(380) + "x == 1";
    let conditions: Vec<String> = (0..80).map(|n| format!("{{ name: c{n}, expression: \"{long}\" }}")).collect();
    device.manifest("device.yaml", &format!("apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: toto }}\nspec: {{ profiles: [ {{ name: p, conditions: [ {{ name: c, expression: \"x == 1\" }} ] }}, {{ name: long, conditions: [ {} ] }} ] }}\n", conditions.join(", ")));
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("it is a problem", || {
        has_problem(agent, "flotta/devices/toto/profiles/long", "at most 262144 bytes are sent")
    });
    until_true("the others are there", || broker.retained("flotta/devices/toto/#").contains("/default/w/status"));
    assert!(is_connected(agent));
    assert_eq!(counted(agent, "flotta_external_reconnects_total"), 0);
}
