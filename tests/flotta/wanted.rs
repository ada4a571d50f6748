//! What servers of the tests want.

use serde_json::{Value, json};

/// Comes every second; its profile `load` has the condition `on`, true while the metric x is 1.
pub fn quick() -> Value {
    json!({
        "heartbeat": { "period_seconds": 1 },
        "profiles": [{ "name": "load", "conditions": [{ "name": "on", "expression": "x == 1" }] }],
    })
}

/// A pod without a gate. Where there is no podman it is `error`.
pub fn pod(name: &str) -> Value {
    json!({
        "name": name,
        "kind": "pod",
        "specification": { "containers": [{ "name": "c", "image": "localhost/none:1" }] },
    })
}

/// A pod that waits for the metric x to be 1.
pub fn gated(name: &str) -> Value {
    let mut pod = pod(name);
    pod["profiles"] = json!([{ "name": "load", "conditions": [{ "name": "on" }] }]);
    pod
}
