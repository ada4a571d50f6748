//! Statements seen by a paho client (Debian's python3-paho-mqtt; `paho_cases.py` drives it).

use std::process::Stdio;

use tokio::process::Command;

use crate::common::*;

/// What a case of `paho_cases.py` found.
async fn paho(home: &Home, case: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oasis/paho_cases.py");
    // The system's own: that is the one which packages are installed for.
    let mut command = Command::new("/usr/bin/python3");
    command.args([script, &home.addr.port().to_string(), case]).env("PYTHONIOENCODING", "utf-8");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = soon(command.output()).await.expect("python3 is not installed: run tests/needs.sh");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("No module named"), "{said}\npython3-paho-mqtt is not installed: run tests/needs.sh");
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// [MQTT-3.2.2-2] Session present is 1 when the server has a session for the id.
#[tokio::test]
async fn mqtt_3_2_2_2_paho_is_told_whether_its_session_was_kept() {
    let home = home().await;
    assert_eq!(paho(&home, "connack").await, "connected 0 0\nconnected 1 0\nconnected 0 0\n");
}

/// [MQTT-3.1.2-2] An unsupported protocol level gets return code 1.
#[tokio::test]
async fn mqtt_3_1_2_2_paho_is_refused_with_version_3_1() {
    let home = home().await;
    assert_eq!(paho(&home, "version_31").await, "connected 0 1\n");
}

/// [MQTT-3.1.2-2] Version 5 reads 0x84: unsupported protocol version.
#[tokio::test]
async fn mqtt_3_1_2_2_paho_is_refused_with_version_5() {
    let home = home().await;
    assert_eq!(paho(&home, "version_5").await, "connected 0 132\n");
}

/// [MQTT-3.1.3-6] An empty client id is made unique.
#[tokio::test]
async fn mqtt_3_1_3_6_paho_may_come_without_an_id() {
    let home = home().await;
    assert_eq!(paho(&home, "empty_id").await, "connected 0 0\nconnected 0 0\nmessage a x 0 0\n");
}

/// [MQTT-3.8.4-5] SUBACK has a code for each filter.
#[tokio::test]
async fn mqtt_3_8_4_5_paho_gets_a_code_for_each_filter() {
    let home = home().await;
    assert_eq!(paho(&home, "codes").await, "subscribed 0 1 1 128 128\n");
}

/// [MQTT-3.3.4-1] Each QoS has its handshake, to the end.
#[tokio::test]
async fn mqtt_3_3_4_1_paho_publishes_at_every_qos() {
    let home = home().await;
    assert_eq!(paho(&home, "every_qos").await, "message a/é v0 0 0\nmessage a/é v1 1 0\nmessage a/é v2 1 0\n");
}

/// [MQTT-3.3.1-8] Retain is 1 on what answers a subscription, 0 on live messages; an empty one clears.
#[tokio::test]
async fn mqtt_3_3_1_8_paho_sees_retained_messages() {
    let home = home().await;
    let expected = "message a kept 1 1\nmessage a kept 1 1\nmessage a live 1 0\nmessage a  1 0\nmessage a end 1 0\n";
    assert_eq!(paho(&home, "retained").await, expected);
}

/// [MQTT-3.1.2-8] The will is published for a lost client, and not after DISCONNECT.
#[tokio::test]
async fn mqtt_3_1_2_8_the_will_of_a_lost_paho_is_published() {
    let home = home().await;
    assert_eq!(paho(&home, "will").await, "message wills/lost gone 1 0\n");
}

/// [MQTT-3.10.4-4] UNSUBSCRIBE is answered, and takes effect.
#[tokio::test]
async fn mqtt_3_10_4_4_paho_unsubscribes() {
    let home = home().await;
    assert_eq!(paho(&home, "unsubscribe").await, "unsubscribed\nmessage b b 1 0\n");
}

/// [MQTT-3.1.2-5] Messages are kept while the client is away.
#[tokio::test]
async fn mqtt_3_1_2_5_paho_gets_what_came_while_it_was_away() {
    let home = home().await;
    let expected = "connected 1 0\nmessage a 0 1 0\nmessage a 1 1 0\nmessage a 2 1 0\n";
    assert_eq!(paho(&home, "session").await, expected);
}

/// [MQTT-3.1.4-2] A client that connects with the id of another: the other is disconnected.
#[tokio::test]
async fn mqtt_3_1_4_2_paho_takes_over_its_id() {
    let home = home().await;
    assert_eq!(paho(&home, "take_over").await, "connected 0 0\ndisconnected\n");
}

/// [MQTT-3.12.4-1] PINGREQ is answered, which is all that paho needs to stay.
#[tokio::test]
async fn mqtt_3_12_4_1_paho_keeps_its_connection_alive() {
    let home = home().await;
    assert_eq!(paho(&home, "keep_alive").await, "message a alive 0 0\n");
    assert_eq!(home.broker.counters().refused(Refusal::KeepAlive), 0);
}
