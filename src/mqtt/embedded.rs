//! The broker inside: who may publish what, and where metrics leave it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotta_broker::{Broker, Client, Limits, Message, Rights, Settings, Tap};

use crate::board::Board;
use crate::model::problem::Problem;
use crate::model::status::LinkStatus;

use super::Outlet;
use super::metrics::Metrics;
use super::topics::Topics;

/// How often a port that is taken is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Only the agent publishes below its own device, apart from metrics.
struct DeviceRights {
    topics: Arc<Topics>,
}

impl Rights for DeviceRights {
    fn may_publish(&self, client: &Client, topic: &str) -> bool {
        let ours = self.topics.is_ours(topic);
        if ours {
            tracing::debug!(client = %client.id, topic, "publish refused: only the agent publishes there");
        }
        !ours
    }

    fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
        true
    }
}

struct MetricTap(Metrics);

impl Tap for MetricTap {
    fn wants(&self, topic: &str) -> bool {
        self.0.wants(topic)
    }

    fn take(&self, message: &Message<'_>) {
        self.0.take(message.topic, message.payload, &message.client.id);
    }
}

/// Says things to the embedded broker's subscribers.
pub struct EmbeddedOutlet(pub Broker);

impl Outlet for EmbeddedOutlet {
    fn publish(&self, topic: &str, payload: Bytes, retain: bool) {
        self.0.publish(topic, &payload, 1, retain);
    }
}

/// Starts the broker, without a listener yet. Others' retained messages are kept in a directory of the state's.
#[must_use]
pub fn start(topics: Arc<Topics>, metrics: Metrics, limits: Limits, retained: PathBuf) -> Broker {
    let rights = Arc::new(DeviceRights { topics });
    Broker::start(Settings { limits, retained: Some(retained) }, rights, Arc::new(MetricTap(metrics)))
}

/// Retained messages that an earlier run had kept and that could not be read, for the device's problems.
#[must_use]
pub fn damage(broker: &Broker) -> Vec<Problem> {
    /// What a person looks at; the log has all of it.
    const MOST: usize = 8;
    let damaged = broker.damaged();
    let mut problems: Vec<Problem> = damaged
        .iter()
        .take(MOST)
        .map(|what| Problem::new("mqtt.retained", format!("{what}; the file is kept beside as .damaged")))
        .collect();
    if damaged.len() > MOST {
        problems.push(Problem::new("mqtt.retained", format!("and {} more: see the log", damaged.len() - MOST)));
    }
    problems
}

/// Listens; a port that is taken is said and tried again, and meanwhile everything else goes on.
pub async fn listen(broker: &Broker, address: SocketAddr, board: &Board) -> SocketAddr {
    loop {
        match broker.listen(address).await {
            Ok(bound) => {
                board.set_problems("mqtt.listen", Vec::new());
                board.set_broker(LinkStatus::of("connected"));
                return bound;
            }
            Err(why) => {
                let message = format!(
                    "the embedded broker cannot listen on {address}: {why}; stop what listens there or set mqtt.listen to another port; tried again every {} s",
                    RETRY.as_secs()
                );
                board.set_problems("mqtt.listen", vec![Problem::new("mqtt.listen", message.clone())]);
                board.set_broker(LinkStatus { state: "error".into(), message: Some(message) });
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
