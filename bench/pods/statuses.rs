//! What a subscriber reads of the agent's statuses.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::agent::Agent;
use crate::common::mqtt::Mqtt;
use crate::manifests::DEVICE;

pub struct Statuses(Mqtt);

impl Statuses {
    pub fn of(agent: &Agent) -> Statuses {
        let mut mqtt = Mqtt::connect(&agent.mqtt, "statuses");
        // What no event tells the agent it finds by its next list, after 30 s at most.
        mqtt.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        mqtt.subscribe(&format!("flotta/devices/{DEVICE}/workloads/#"));
        Statuses(mqtt)
    }

    /// The next one, of any workload, and when it was read.
    pub fn next(&mut self) -> (Instant, Value) {
        let (at, payload) = self.0.next();
        (at, serde_json::from_slice(&payload).unwrap_or_default())
    }

    /// When the first one of this workload was read whose state is as wanted.
    pub fn until(&mut self, name: &str, wanted: impl Fn(&str) -> bool) -> Instant {
        loop {
            let (at, status) = self.next();
            if status["name"] == *name && status["state"].as_str().is_some_and(&wanted) {
                return at;
            }
        }
    }
}

/// Says something to the agent, as a sensor does.
pub fn say(sensor: &mut Mqtt, metric: &str, value: &str) {
    let packet = Mqtt::packet(&format!("flotta/metrics/{metric}"), value, None);
    std::io::Write::write_all(&mut sensor.0, &packet).unwrap();
}
