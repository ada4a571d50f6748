//! A broker that does not let us in, or lets us in and does not let us do anything.

use super::mosquitto::Mosquitto;
use super::{counted, decides_at_once, device, has_problem, is_connected, link, start};
use crate::device::until_true;

#[test]
fn a_wrong_password_is_named_and_a_right_one_needs_no_restart() {
    let broker = Mosquitto::with_users(&[("toto", "right")], "");
    let mut device = device();
    let file = device.path("password");
    std::fs::write(&file, "wrong\n").expect("written");
    let path = file.to_string_lossy().into_owned();
    let env = [("EDGE_DEVICE_MQTT_USERNAME", "toto"), ("EDGE_DEVICE_MQTT_PASSWORD_FILE", path.as_str())];
    start(&mut device, broker.port, &env);
    let agent = device.agent();
    until_true("the refusal is said", || link(agent).1.contains("does not let in"));
    let (state, message) = link(agent);
    assert_eq!(state, "disconnected");
    for word in ["\"toto\"", "mqtt.username", "mqtt.password_file", &path, "tried again in "] {
        assert!(message.contains(word), "{word} in {message}");
    }
    decides_at_once(agent);
    until_true("it is tried again", || counted(agent, "flotta_external_refused_total{what=\"connect\"}") >= 3);
    // After three: the waits were at least 1 and 2 s, and the third is at least 4.
    let (_, message) = link(agent);
    let pause =
        message.rsplit_once("tried again in ").and_then(|(_, rest)| rest.trim_end_matches(" s").parse::<u64>().ok());
    assert!(pause.is_some_and(|pause| pause >= 4), "{message}");
    std::fs::write(&file, "right\n").expect("written");
    until_true("the agent connects", || is_connected(agent));
}

#[test]
fn a_client_without_a_name_is_told_to_set_one() {
    let broker = Mosquitto::with_users(&[("toto", "right")], "");
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("the refusal is said", || link(agent).1.contains("a client without a name: set mqtt.username"));
}

/// An ACL file of Mosquitto 2.0 refuses no subscription, it hands out nothing; its security plugin refuses them.
const SUBSCRIBE_BELOW_DEVICES: &str = r#"{
    "defaultACLAccess": { "publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true },
    "clients": [], "anonymousGroup": "all", "groups": [{ "groupname": "all", "roles": [{ "rolename": "r" }], "clients": [] }],
    "roles": [{ "rolename": "r", "acls": [
        { "acltype": "subscribePattern", "topic": "flotta/devices/#", "allow": true, "priority": 0 }
    ] }]
}"#;

fn security_plugin() -> String {
    let libraries = std::path::Path::new("/usr/lib");
    let folders = std::fs::read_dir(libraries).expect("read").flatten().map(|entry| entry.path());
    let mut places = std::iter::once(libraries.to_path_buf()).chain(folders);
    let found = places.find_map(|folder| {
        let file = folder.join("mosquitto_dynamic_security.so");
        file.exists().then(|| file.display().to_string())
    });
    found.expect("mosquitto's package brings it")
}

#[test]
fn a_subscription_that_is_refused_is_a_problem_while_all_else_works() {
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.json");
    std::fs::write(&rules, SUBSCRIBE_BELOW_DEVICES).expect("written");
    let broker =
        Mosquitto::start(&format!("plugin {}\nplugin_opt_config_file {}\n", security_plugin(), rules.display()));
    let mut device = device();
    start(&mut device, broker.port, &[]);
    let agent = device.agent();
    until_true("it is a problem", || has_problem(agent, "flotta/metrics/#", "does not let us subscribe"));
    assert!(!has_problem(agent, "flotta/devices/toto/#", ""), "the others are not refused");
    assert_eq!(counted(agent, "flotta_external_refused_total{what=\"subscribe\"}"), 1);
    assert!(is_connected(agent));
    decides_at_once(agent);
}

#[test]
fn access_rules_that_swallow_what_we_publish_are_a_problem() {
    let rules = "user admin\ntopic readwrite #\nuser toto\ntopic read flotta/#\n";
    let broker = Mosquitto::with_users(&[("admin", "a"), ("toto", "right")], rules);
    let mut device = device();
    let file = device.path("password");
    std::fs::write(&file, "right").expect("written");
    let path = file.to_string_lossy().into_owned();
    let env = [
        ("EDGE_DEVICE_MQTT_USERNAME", "toto"),
        ("EDGE_DEVICE_MQTT_PASSWORD_FILE", path.as_str()),
        ("EDGE_DEVICE_MQTT_KEEP_ALIVE", "1s"),
    ];
    start(&mut device, broker.port, &env);
    let agent = device.agent();
    until_true("it is a problem", || has_problem(agent, "flotta/devices/toto/#", "does not hand it on"));
    assert_eq!(broker.retained("flotta/devices/toto/#"), "");
    // What may be read is read.
    until_true("a metric arrives", || {
        broker.publish("flotta/metrics/x", "1", false);
        agent.get("/api/v1/workloads")[0]["state"] == "running"
    });
}
