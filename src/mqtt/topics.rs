//! Topic names (SPEC "MQTT"): `/ + #` and `%` in a level are percent-encoded.

use std::fmt::Write;

use crate::model::id::WorkloadId;

/// The topics of one device.
#[derive(Clone, Debug)]
pub struct Topics {
    /// `flotta/devices/<id>`.
    device: String,
    /// `flotta/metrics/`.
    shared_metrics: String,
    /// `flotta/devices/<id>/metrics/`.
    own_metrics: String,
}

impl Topics {
    /// Under this root, of this device.
    #[must_use]
    pub fn new(root: &str, device_id: &str) -> Topics {
        let device = format!("{root}/devices/{}", encode(device_id));
        Topics { shared_metrics: format!("{root}/metrics/"), own_metrics: format!("{device}/metrics/"), device }
    }

    /// The device object.
    #[must_use]
    pub fn status(&self) -> String {
        format!("{}/status", self.device)
    }

    /// A workload object.
    #[must_use]
    pub fn workload(&self, id: &WorkloadId) -> String {
        format!("{}/workloads/{}/{}/status", self.device, encode(id.namespace()), encode(id.name()))
    }

    /// A profile object.
    #[must_use]
    pub fn profile(&self, name: &str) -> String {
        format!("{}/profiles/{}", self.device, encode(name))
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}/events", self.device)
    }

    /// What metrics are listened to: on an external broker, what is subscribed.
    #[must_use]
    pub fn metric_filters(&self) -> [String; 2] {
        [format!("{}#", self.shared_metrics), format!("{}#", self.own_metrics)]
    }

    /// Everything that the agent alone may say, and has said.
    #[must_use]
    pub fn own_filter(&self) -> String {
        format!("{}/#", self.device)
    }

    /// The levels of a metric's name, if this is a metric topic of ours.
    #[must_use]
    pub fn metric<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.shared_metrics).or_else(|| topic.strip_prefix(&self.own_metrics))
    }

    /// Whether the agent alone may publish there.
    #[must_use]
    pub fn is_ours(&self, topic: &str) -> bool {
        let below = topic.strip_prefix(&self.device).and_then(|rest| rest.strip_prefix('/'));
        (topic == self.device || below.is_some()) && !topic.starts_with(&self.own_metrics)
    }
}

/// One level, so that it is one level.
#[must_use]
pub fn encode(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    for c in level.chars() {
        if matches!(c, '/' | '+' | '#' | '%') || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_with_mqtts_own_characters_stays_one_level() {
        assert_eq!(encode("a/b+c#d%"), "a%2Fb%2Bc%23d%25");
        assert_eq!(encode("plain-1.0"), "plain-1.0");
    }

    #[test]
    fn only_the_agent_speaks_below_its_device_apart_from_metrics() {
        let topics = Topics::new("flotta", "toto");
        assert!(topics.is_ours("flotta/devices/toto/status"));
        assert!(topics.is_ours("flotta/devices/toto"));
        assert!(topics.is_ours("flotta/devices/toto/commands/lock"));
        assert!(!topics.is_ours("flotta/devices/toto/metrics/cpu"));
        assert!(!topics.is_ours("flotta/devices/toto2/status"));
        assert!(!topics.is_ours("flotta/metrics/cpu"));
    }

    #[test]
    fn both_metric_topics_are_read_and_no_other() {
        let topics = Topics::new("flotta", "toto");
        assert_eq!(topics.metric("flotta/metrics/room/1/temp"), Some("room/1/temp"));
        assert_eq!(topics.metric("flotta/devices/toto/metrics/cpu"), Some("cpu"));
        assert_eq!(topics.metric("flotta/devices/other/metrics/cpu"), None);
    }
}
