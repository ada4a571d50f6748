//! What is on its way, and what becomes of it when the connection ends.

use rumqttc::mqttbytes::v4::{Packet, Publish};
use serde_json::Value;

use super::peer::{Connection, Peer};
use super::{decides_at_once, device, link, start, workload};
use crate::device::Device;

fn topic(message: &Publish) -> String {
    String::from_utf8_lossy(&message.topic).into_owned()
}

fn number(message: &Publish) -> Option<u64> {
    let event: Value = serde_json::from_slice(&message.payload).ok()?;
    topic(message).ends_with("/events").then_some(event["seq"].as_u64()?)
}

/// Acknowledges all until event `last`, and says what came.
fn acknowledge_until(connection: &mut Connection, last: u64) -> Vec<Publish> {
    let mut all = Vec::new();
    loop {
        let message = connection.message();
        connection.acknowledge(&message);
        all.push(message);
        if all.last().and_then(number) == Some(last) {
            return all;
        }
    }
}

fn last_event(device: &Device) -> u64 {
    let events = device.agent().get("/api/v1/events");
    events.as_array().and_then(|all| all.last()).and_then(|event| event["seq"].as_u64()).expect("an event")
}

#[test]
fn events_do_not_wait_for_one_another_and_none_is_lost_or_overtaken_when_the_connection_ends() {
    let peer = Peer::listen();
    let mut device = device();
    start(&mut device, peer.port, &[]);
    let mut connection = peer.accept();
    connection.let_in();
    connection.answer_subscriptions(|_| true);
    for _ in 0..10 {
        decides_at_once(device.agent());
    }
    // Nothing is acknowledged, and yet more than one event comes: as many as the window holds.
    let mut unacknowledged: Vec<Publish> = Vec::new();
    while unacknowledged.iter().filter_map(number).count() < 4 {
        unacknowledged.push(connection.message());
    }
    let first = unacknowledged.iter().filter_map(number).next().expect("an event");
    drop(connection);
    // On the next connection they come again, from the first on, each once, in order.
    let mut connection = peer.accept();
    connection.let_in();
    connection.answer_subscriptions(|_| true);
    let last = last_event(&device);
    let all = acknowledge_until(&mut connection, last);
    assert!(all.iter().all(|message| !message.dup), "the client replays nothing by itself");
    let numbers: Vec<u64> = all.iter().filter_map(number).collect();
    assert!(numbers.first().is_some_and(|number| *number <= first), "{first} again: {numbers:?}");
    let wanted: Vec<u64> = (numbers[0]..=last).collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn an_old_retained_value_is_never_said_after_a_newer_one() {
    let peer = Peer::listen();
    let mut device = device();
    workload(&device, "v");
    start(&mut device, peer.port, &[]);
    let mut connection = peer.accept();
    connection.let_in();
    connection.answer_subscriptions(|_| true);
    // Some values are on their way, unacknowledged, when the connection ends; then they change.
    for _ in 0..3 {
        connection.message();
    }
    device.agent().set("x", 1.0);
    device.agent().until_state("w", "running");
    device.agent().until_state("v", "running");
    drop(connection);
    decides_at_once(device.agent());
    device.agent().until_state("v", "inactive");
    let last = last_event(&device);
    let mut connection = peer.accept();
    connection.let_in();
    let mut all = Vec::new();
    connection.answer_subscriptions(|_| true);
    all.extend(acknowledge_until(&mut connection, last));
    let said: Vec<Value> = all
        .iter()
        .filter(|message| topic(message).contains("/workloads/"))
        .map(|message| serde_json::from_slice(&message.payload).expect("an object"))
        .collect();
    assert!(!said.is_empty());
    for object in said {
        assert_eq!(object["state"], "inactive", "as it is now, not as it was: {object}");
    }
}

#[test]
fn silence_is_noticed_although_each_message_puts_off_the_question_whether_the_broker_is_there() {
    let peer = Peer::listen();
    let mut device = device();
    // Something is said each second, so that the client never asks: that is for a connection on which nothing is said.
    start(&mut device, peer.port, &[("EDGE_DEVICE_MQTT_KEEP_ALIVE", "4s"), ("EDGE_DEVICE_MQTT_ALIVE", "1s")]);
    let mut connection = peer.accept();
    connection.let_in();
    connection.answer_subscriptions(|_| true);
    while let Some(packet) = connection.read_or_end() {
        assert!(matches!(packet, Packet::Publish(_)), "{packet:?}");
    }
    let (state, message) = link(device.agent());
    assert_eq!(state, "disconnected");
    assert!(message.contains("nothing heard from mqtt://127.0.0.1"), "{message}");
    let mut connection = peer.accept();
    connection.let_in();
    connection.answer_subscriptions(|_| true);
    acknowledge_until(&mut connection, last_event(&device));
}
