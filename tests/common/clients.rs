//! Mosquitto's own clients, as sensor people have them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// mosquitto_pub, as a sensor has it.
pub fn publish(address: &str, topic: &str, payload: &str) {
    publish_with(address, topic, payload, &[]);
}

/// The same, with more flags.
pub fn publish_with(address: &str, topic: &str, payload: &str, flags: &[&str]) {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let sent = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", payload])
        .args(flags)
        .status()
        .expect("mosquitto_pub is there: make test installs it");
    assert!(sent.success());
}

/// mosquitto_sub until `wanted` is satisfied; what it showed.
#[allow(dead_code, reason = "not all tests with a broker listen to it")]
pub fn subscribe(address: &str, filter: &str, mut wanted: impl FnMut(&str, &str) -> bool) -> Vec<(String, String)> {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let mut child = Command::new("mosquitto_sub")
        .args(["-h", host, "-p", port, "-q", "1", "-v", "-t", filter, "-W", "20"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub is there: make test installs it");
    let mut seen = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
        let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
        seen.push((topic.to_owned(), payload.to_owned()));
        if wanted(topic, payload) {
            let _ = child.kill();
            let _ = child.wait();
            return seen;
        }
    }
    let _ = child.wait();
    panic!("mosquitto_sub did not see what was wanted: {seen:#?}");
}
