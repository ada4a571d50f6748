//! What was bound, told to clients and to tests in `run/endpoints.json`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::state::StateDir;

/// What was bound, for clients and for tests.
#[derive(Debug)]
pub(super) struct Endpoints {
    state: StateDir,
    bound: Mutex<BTreeMap<&'static str, String>>,
    changed: Notify,
}

/// How long the banner waits for the listeners; a port that is taken is said in it.
const BANNER_PATIENCE: Duration = Duration::from_secs(2);

impl Endpoints {
    pub(super) fn new(state: StateDir) -> Endpoints {
        Endpoints { state, bound: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn get(&self) -> BTreeMap<&'static str, String> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn bound(&self, what: &'static str, address: impl std::fmt::Display) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.insert(what, address.to_string());
        tracing::debug!(what, %address, "listening");
        // Still locked: two that are bound at the same time must not write over each other.
        if let Err(why) = self.state.write_endpoints(&serde_json::json!(*bound)) {
            tracing::warn!("run/endpoints.json cannot be written: {why}; clients need --url");
        }
        drop(bound);
        self.changed.notify_one();
    }

    pub(super) async fn wait(&self, with_mqtt: bool) {
        let wanted = ["http", "control"].into_iter().chain(with_mqtt.then_some("mqtt"));
        let wanted: Vec<&str> = wanted.collect();
        let all = async {
            while !wanted.iter().all(|what| self.get().contains_key(what)) {
                self.changed.notified().await;
            }
        };
        // A port that is taken is tried again for ever; nobody has to wait for that here.
        let _ = tokio::time::timeout(BANNER_PATIENCE, all).await;
    }
}
