//! The embedded broker, as mosquitto's own clients meet it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::clients::{publish_with, subscribe};
use super::device::{Device, until_true};

#[test]
fn what_others_retained_survives_kill_9_and_what_the_agent_said_is_never_stored() {
    let mut device = Device::new();
    device.start();
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "garden/pump", "on", &["-r"]);
    publish_with(&mqtt, "garden/cleared", "x", &["-r"]);
    publish_with(&mqtt, "garden/cleared", "", &["-r"]);
    publish_with(&mqtt, "garden/live", "x", &[]);
    let stored = || {
        let files = std::fs::read_dir(device.path("state/retained")).into_iter().flatten().flatten();
        // Beside them may be one that is being written: that one is not stored yet.
        let whole = files.filter(|file| file.path().extension().is_some_and(|end| end == "jsonl"));
        whole.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect::<String>()
    };
    // Stored by and by, each part by itself.
    until_true("it is on disk", || stored().contains("garden/pump") && !stored().contains("garden/cleared"));
    let stored = stored();
    assert!(!stored.contains("flotta/devices") && !stored.contains("garden/live"), "{stored}");
    device.kill();
    device.start();
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "garden/zz-end", "end", &["-r"]);
    let seen = subscribe(&mqtt, "garden/#", |topic, _| topic == "garden/zz-end");
    assert_eq!(seen.first().map(|(topic, payload)| (&**topic, &**payload)), Some(("garden/pump", "on")));
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn dashboards_made_for_mosquitto_find_their_figures() {
    let mut device = Device::new();
    device.start();
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "garden/pump", "on", &["-r"]);
    let wanted = [
        "version",
        "uptime",
        "clients/connected",
        "clients/total",
        "clients/maximum",
        "messages/received",
        "messages/sent",
        "bytes/received",
        "bytes/sent",
        "publish/messages/received",
        "publish/messages/sent",
        "publish/messages/dropped",
        "subscriptions/count",
        "retained messages/count",
    ];
    let mut missing: Vec<String> = wanted.iter().map(|name| format!("$SYS/broker/{name}")).collect();
    // Topics have blanks: `-F` with a tab between.
    let (host, port) = mqtt.rsplit_once(':').expect("host:port");
    let output = Command::new("mosquitto_sub")
        .args(["-h", host, "-p", port, "-t", "$SYS/#", "-F", "%t\t%p", "-W", "2"])
        .output()
        .expect("mosquitto_sub");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    missing.retain(|name| !figures.contains_key(&**name));
    assert!(missing.is_empty(), "{missing:?} of {figures:#?}");
    assert_eq!(figures["$SYS/broker/clients/connected"], "1");
    assert!(figures["$SYS/broker/version"].starts_with("flotta-broker "));
    assert!(figures["$SYS/broker/uptime"].ends_with(" seconds"));
    // The same as Prometheus counters.
    let metrics = device.agent().request("GET", "/metrics", &[], b"").1;
    for name in ["flotta_broker_packets_in_total", "flotta_broker_messages_in_total", "flotta_broker_bytes_out_total"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    // Who does not ask for them does not get them.
    publish_with(&mqtt, "a/last", "end", &["-r"]);
    subscribe(&mqtt, "#", |topic, _| {
        assert!(!topic.starts_with('$'), "{topic}");
        topic == "a/last"
    });
}

#[test]
fn the_brokers_limits_are_the_configurations() {
    let mut device = Device::new();
    device.start_with(&[
        ("EDGE_DEVICE_MQTT_LIMITS_PACKET_BYTES", "2000"),
        ("EDGE_DEVICE_MQTT_LIMITS_RETAINED_MESSAGES", "0"),
    ]);
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "a/kept", "x", &["-r"]);
    let (host, port) = mqtt.rsplit_once(':').expect("host:port");
    let mut large = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", "a/large", "-s"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto_pub");
    large.stdin.take().expect("piped").write_all(&[b'x'; 3000]).expect("written");
    let refused = |what: &str| {
        let line = format!("flotta_broker_refused_total{{what=\"{what}\"}} 0");
        !device.agent().request("GET", "/metrics", &[], b"").1.contains(&line)
    };
    until_true("the packet is refused", || refused("packet_bytes"));
    until_true("the retained message is refused", || refused("retained"));
    let _ = large.kill();
    let _ = large.wait();
}

#[test]
fn a_damaged_retained_message_is_a_problem_with_its_file_and_line_and_costs_itself_only() {
    let mut device = Device::new();
    device.start();
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "garden/pump", "on", &["-r"]);
    publish_with(&mqtt, "house/door", "shut", &["-r"]);
    device.terminate();
    let files = std::fs::read_dir(device.path("state/retained")).expect("stored").flatten();
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("readable");
        std::fs::write(file.path(), text.replace("\"on\"", "\"no\"")).expect("written");
    }
    device.start();
    let problems = device.agent().get("/api/v1/device")["problems"].to_string();
    assert!(problems.contains("line 2: its checksum is wrong"), "{problems}");
    let mqtt = device.agent().mqtt.clone();
    publish_with(&mqtt, "z", "end", &["-r"]);
    let seen = subscribe(&mqtt, "#", |topic, _| topic == "z");
    let of = |topic: &str| seen.iter().any(|(seen, _)| seen == topic);
    assert!(of("house/door") && !of("garden/pump"), "{seen:?}");
}
