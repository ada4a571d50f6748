//! What the loop says, on the board and on MQTT.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::board::Board;
use crate::model::status::{Event, ProfileStatus, State};
use crate::model::time::Now;
use crate::mqtt::Outlet;
use crate::mqtt::topics::Topics;
use crate::scheduler::Output;

use super::events::EventNumbers;

/// Says what changed.
pub(super) struct Voice {
    topics: Arc<Topics>,
    outlet: Arc<dyn Outlet>,
    pub(super) board: Arc<Board>,
    numbers: Arc<EventNumbers>,
    profiles: BTreeSet<String>,
}

impl Voice {
    pub(super) fn new(
        topics: Arc<Topics>,
        outlet: Arc<dyn Outlet>,
        board: Arc<Board>,
        numbers: Arc<EventNumbers>,
    ) -> Voice {
        Voice { topics, outlet, board, numbers, profiles: BTreeSet::new() }
    }

    /// What a turn of the loop brought about.
    pub(super) fn turn(&self, output: &Output, now: Now) {
        for (id, status) in &output.statuses {
            let payload = status.as_ref().map_or_else(Bytes::new, json);
            self.outlet.publish(&self.topics.workload(id), payload, true);
        }
        for event in &output.events {
            self.outlet.publish(&self.topics.events(), json(event), false);
            log(event);
        }
        for (id, at, why) in &output.skipped {
            tracing::warn!(workload = %id, time = at.rfc3339(), "a run of its schedule was skipped: {}", why.words());
        }
        self.board.post(&output.statuses, &output.events, now.mono);
        self.numbers.said(&output.events);
    }

    /// Profiles in which something changed.
    pub(super) fn profiles(&mut self, changed: &[ProfileStatus]) {
        for profile in changed {
            self.outlet.publish(&self.topics.profile(&profile.name), json(profile), true);
            self.profiles.insert(profile.name.clone());
        }
    }

    /// Clears the topics of profiles that are gone.
    pub(super) fn keep_profiles(&mut self, names: &BTreeSet<String>) {
        for gone in self.profiles.difference(names) {
            self.outlet.publish(&self.topics.profile(gone), Bytes::new(), true);
        }
        self.profiles.retain(|name| names.contains(name));
    }

    /// The device object.
    pub(super) fn device(&self, now: Now) {
        self.outlet.publish(&self.topics.status(), json(&self.board.device(now)), true);
    }
}

fn json<T: Serialize>(object: &T) -> Bytes {
    // The objects have string keys and finite numbers only, so this cannot fail; an empty payload would clear the topic.
    serde_json::to_vec(object).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
}

/// One line per change, with the fields to find it again.
fn log(event: &Event) {
    let workload = format!("{}/{}", event.namespace, event.name);
    let state = event.to.map_or("gone", State::as_str);
    let reason = event.reason.map(|reason| reason.to_string()).unwrap_or_default();
    match event.to {
        Some(State::Error | State::Exited | State::Degraded | State::Unknown) => {
            tracing::warn!(workload, state, reason, "{}", event.message);
        }
        _ => tracing::info!(workload, state, reason, "{}", event.message),
    }
}
