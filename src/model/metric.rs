//! A metric's new value, already read and checked, on its way to the gates.

use std::time::Duration;

use super::time::Wall;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricSource {
    /// A publish on one of the metric topics.
    Mqtt,
    /// `POST /metrics`.
    Http,
    /// The agent's own (`node.*`).
    Node,
}

/// A new value for a metric, or its clearing.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricUpdate {
    /// `[A-Za-z_][A-Za-z0-9_.-]*`.
    pub name: String,
    /// Finite; `None` clears.
    pub value: Option<f64>,
    /// As it was sent, for people: `%`, `C`; scaling units are already in the value.
    pub unit: Option<String>,
    /// The sender's time; a value older than the held one is refused.
    pub timestamp: Option<Wall>,
    /// Counts from arrival; `None`: the configured default.
    pub ttl: Option<Duration>,
}
