//! Statements seen by the clients that everybody has: mosquitto_pub and mosquitto_sub.

use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::common::*;

fn start(name: &str, home: &Home, args: &[&str]) -> Child {
    let port = home.addr.port().to_string();
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-p", &port]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("{name}: {error}: run tests/needs.sh"))
}

/// Whether it went well, and all that it said.
async fn ended(child: Child) -> (bool, String) {
    let output = soon(child.wait_with_output()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

async fn mosquitto_pub(home: &Home, args: &[&str]) {
    let (ok, said) = ended(start("mosquitto_pub", home, args)).await;
    assert!(ok, "{args:?}: {said}");
}

async fn mosquitto_sub(home: &Home, args: &[&str]) -> String {
    let (ok, said) = ended(start("mosquitto_sub", home, &[args, &["-W", "20"]].concat())).await;
    assert!(ok, "{args:?}: {said}");
    said
}

/// A reader that is subscribed: `hello`, retained, told.
async fn subscribed(home: &Home, filter: &str, args: &[&str]) -> Child {
    home.says(&filter.replace(['#', '+'], "hello"), "hello", 0, true);
    let before = home.broker.counters().messages_out;
    let reader = start("mosquitto_sub", home, &[&["-t", filter], args].concat());
    home.until(|counters| counters.messages_out > before).await;
    reader
}

/// [MQTT-3.3.4-1] Each QoS has its handshake, to the end.
#[tokio::test]
async fn mqtt_3_3_4_1_mosquitto_publishes_and_subscribes_at_every_qos() {
    let home = home().await;
    let reader = subscribed(&home, "metrics/#", &["-q", "2", "-F", "%t %p %q", "-C", "4"]).await;
    for qos in ["0", "1", "2"] {
        mosquitto_pub(&home, &["-t", "metrics/x", "-m", &format!("v{qos}"), "-q", qos]).await;
    }
    let (ok, got) = ended(reader).await;
    assert!(ok);
    assert_eq!(got, "metrics/hello hello 0\nmetrics/x v0 0\nmetrics/x v1 1\nmetrics/x v2 1\n");
    assert_eq!(home.tap.payloads(), ["v0", "v1", "v2"]);
}

/// [MQTT-3.3.1-6] A new subscription gets the last retained message of each topic, all of them.
#[tokio::test]
async fn mqtt_3_3_1_6_mosquitto_gets_all_retained_messages() {
    let home = home().await;
    for i in 0..300 {
        home.says(&format!("r/{i}"), "x", 1, true);
    }
    let got = mosquitto_sub(&home, &["-t", "#", "-q", "1", "-F", "%r %t", "-C", "300"]).await;
    let topics: std::collections::HashSet<_> = got.lines().filter(|line| line.starts_with("1 r/")).collect();
    assert_eq!(topics.len(), 300);
}

/// [MQTT-3.3.1-10] An empty retained message clears.
#[tokio::test]
async fn mqtt_3_3_1_10_mosquitto_clears_a_retained_message() {
    let home = home().await;
    mosquitto_pub(&home, &["-t", "a", "-m", "kept", "-r", "-q", "1"]).await;
    assert_eq!(mosquitto_sub(&home, &["-t", "a", "-F", "%r %p", "-C", "1"]).await, "1 kept\n");
    mosquitto_pub(&home, &["-t", "a", "-n", "-r", "-q", "1"]).await;
    assert_eq!(home.broker.counters().retained_count, 0);
}

/// [MQTT-3.1.2-5] Messages are kept while the client is away.
#[tokio::test]
async fn mqtt_3_1_2_5_mosquitto_gets_what_came_while_it_was_away() {
    let home = home().await;
    let keeper = ["-t", "k", "-q", "1", "-i", "keeper", "-c"];
    mosquitto_sub(&home, &[&keeper[..], &["-E"]].concat()).await;
    home.until(|counters| counters.connections == 0).await;
    for text in ["one", "two"] {
        mosquitto_pub(&home, &["-t", "k", "-m", text, "-q", "1"]).await;
    }
    assert_eq!(mosquitto_sub(&home, &[&keeper[..], &["-C", "2"]].concat()).await, "one\ntwo\n");
}

/// [MQTT-3.1.2-17] A will with retain is published as a retained message.
#[tokio::test]
async fn mqtt_3_1_2_17_the_will_of_a_killed_mosquitto_is_kept() {
    let home = home().await;
    let will = ["--will-topic", "wills/m", "--will-payload", "gone", "--will-retain", "--will-qos", "1"];
    let mut reader = subscribed(&home, "any/#", &will).await;
    reader.kill().await.unwrap();
    home.until(|counters| counters.connections == 0).await;
    assert_eq!(mosquitto_sub(&home, &["-t", "wills/#", "-F", "%r %p", "-C", "1"]).await, "1 gone\n");
}

/// [MQTT-3.1.2-2] Other versions are told that theirs is not spoken.
#[tokio::test]
async fn mqtt_3_1_2_2_mosquitto_is_told_that_its_version_is_not_spoken() {
    let home = home().await;
    for version in ["mqttv5", "mqttv31"] {
        let (ok, said) = ended(start("mosquitto_pub", &home, &["-V", version, "-t", "a", "-m", "x"])).await;
        assert!(!ok && said.to_lowercase().contains("protocol version"), "{version}: {said}");
    }
}

/// [MQTT-3.8.4-5] A filter that is refused fails.
#[tokio::test]
async fn mqtt_3_8_4_5_mosquitto_is_told_that_its_filter_is_refused() {
    let home = home().await;
    let (_, said) = ended(start("mosquitto_sub", &home, &["-t", "secret/#", "-W", "20"])).await;
    assert!(said.contains("denied"), "{said}");
}

/// [MQTT-7.0.0-2] No extension is needed: messages pass between clients of three makers.
#[tokio::test]
async fn mqtt_7_0_0_2_clients_of_different_makers_meet() {
    let home = home().await;
    let mut raw = home.client("raw").await;
    raw.subscribe(&[("from/mosquitto", 1)]).await;
    let reader = subscribed(&home, "from/#", &["-q", "1", "-v", "-C", "3"]).await;
    mosquitto_pub(&home, &["-t", "from/mosquitto", "-m", "a", "-q", "2"]).await;
    assert_eq!(raw.take().await.text(), "a");
    raw.says("from/raw", "b", 1, false).await;
    assert_eq!(ended(reader).await.1, "from/hello hello\nfrom/mosquitto a\nfrom/raw b\n");
}
