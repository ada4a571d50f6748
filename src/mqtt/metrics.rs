//! A publish on a metric topic, read and handed to the intake.

use std::sync::Arc;

use crate::condition::payload;
use crate::intake::Intake;
use crate::model::metric::{MetricSource, MetricUpdate};

use super::topics::Topics;

/// Reads publishes on metric topics.
#[derive(Clone, Debug)]
pub struct Metrics {
    topics: Arc<Topics>,
    intake: Arc<Intake>,
}

impl Metrics {
    /// From these topics into this intake.
    #[must_use]
    pub fn new(topics: Arc<Topics>, intake: Arc<Intake>) -> Metrics {
        Metrics { topics, intake }
    }

    /// Whether it is a metric topic of ours.
    #[must_use]
    pub fn wants(&self, topic: &str) -> bool {
        self.topics.metric(topic).is_some()
    }

    /// Takes a publish. One that cannot be taken is counted, logged (rarely) and changes nothing.
    pub fn take(&self, topic: &str, bytes: &[u8], from: &str) {
        let Some(levels) = self.topics.metric(topic) else { return };
        let read = payload::metric_name(levels).and_then(|name| {
            payload::read(bytes).map(|p| MetricUpdate {
                name,
                value: p.value,
                unit: p.unit,
                timestamp: p.timestamp,
                ttl: p.ttl,
            })
        });
        let refused = match read {
            Ok(update) => match self.intake.apply(&[update], MetricSource::Mqtt) {
                Ok(()) => return,
                Err(refused) => refused.message,
            },
            Err(why) => {
                self.intake.refuse("mqtt_payload");
                why
            }
        };
        let count = self.intake.refuse("mqtt_message");
        if count.is_power_of_two() {
            tracing::warn!(%topic, client = from, count, "metric not taken: {refused}");
        }
    }
}
