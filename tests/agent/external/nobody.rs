//! What is no broker: the agent says what it looks like, tries again without hurry, and works on.

use super::mosquitto::{Mosquitto, free_port};
use super::peer::Peer;
use super::{counted, decides_at_once, device, is_connected, link, start};
use crate::device::{Agent, until_true};

fn says(agent: &Agent, words: &str) {
    let mut message = String::new();
    until_true(words, || {
        let (state, now) = link(agent);
        message = now;
        state != "connected" && message.contains(words)
    });
    assert!(message.contains("tried again in "), "{message}");
    decides_at_once(agent);
    assert_eq!(counted(agent, "flotta_external_connected"), 0);
}

#[test]
fn a_port_where_nothing_listens() {
    let mut device = device();
    start(&mut device, free_port(), &[]);
    says(device.agent(), "nothing listens at mqtt://127.0.0.1:");
}

#[test]
fn a_listener_that_says_nothing() {
    let peer = Peer::listen();
    let mut device = device();
    start(&mut device, peer.port, &[]);
    let _connection = peer.accept();
    says(device.agent(), "does not answer within 10 s");
}

#[test]
fn a_listener_that_closes_at_once() {
    let peer = Peer::listen();
    let port = peer.port;
    let mut device = device();
    std::thread::spawn(move || {
        // Until the test's process ends.
        loop {
            drop(peer.accept());
        }
    });
    start(&mut device, port, &[]);
    says(device.agent(), "closed the connection before it let us in");
}

#[test]
fn a_listener_that_sends_garbage() {
    let peer = Peer::listen();
    let mut device = device();
    start(&mut device, peer.port, &[]);
    let mut connection = peer.accept();
    connection.send(&[0xff; 64]);
    says(device.agent(), "does not speak MQTT 3.1.1");
}

#[test]
fn a_broker_that_sends_garbage_after_letting_us_in() {
    let peer = Peer::listen();
    let mut device = device();
    start(&mut device, peer.port, &[]);
    let mut connection = peer.accept();
    connection.let_in();
    connection.send(&[0xff; 64]);
    says(device.agent(), "127.0.0.1");
}

#[test]
fn a_name_that_does_not_exist() {
    let mut device = device();
    device.start_with(&[("EDGE_DEVICE_MQTT_BROKER", "mqtt://no-such-host.invalid")]);
    says(device.agent(), "no-such-host.invalid");
}

#[test]
fn a_name_that_exists() {
    let broker = Mosquitto::start("");
    let mut device = device();
    let url = format!("mqtt://localhost:{}", broker.port);
    device.start_with(&[("EDGE_DEVICE_MQTT_BROKER", url.as_str())]);
    until_true("the agent connects", || is_connected(device.agent()));
}
