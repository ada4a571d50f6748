//! The metric table: what is held of each metric, and which conditions use it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::metric::{MetricSource, MetricUpdate};
use crate::model::status::MetricStatus;
use crate::model::time::{Mono, Now, Wall};

/// Most metric names (SPEC "MQTT").
pub const MAX_METRICS: usize = 10_000;

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// For counters.
    pub kind: RefusedKind,
    /// For people.
    pub message: String,
}

/// What kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// The table is full.
    TooManyNames,
    /// Its timestamp is before that of the value held.
    Older,
    /// Not a finite number.
    NotFinite,
}

impl RefusedKind {
    /// The `what` of `flotta_refused_total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefusedKind::TooManyNames => "metric_names",
            RefusedKind::Older => "metric_older",
            RefusedKind::NotFinite => "metric_not_finite",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    names: HashMap<String, usize>,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Slot {
    name: String,
    held: Option<Held>,
    unit: Option<String>,
    /// Something came since this agent started, be it a clearing.
    arrived: bool,
    /// Newest time that a sender gave.
    timestamp: Option<Wall>,
    users: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    value: f64,
    received: Now,
    expires: Option<Mono>,
    source: MetricSource,
}

impl Table {
    /// Whether all of these can be taken.
    pub(super) fn check(&self, updates: &[MetricUpdate]) -> Result<(), Refused> {
        let mut fresh: HashSet<&str> = HashSet::new();
        for update in updates {
            let refuse = |kind, message| Err(Refused { kind, message });
            if update.value.is_some_and(|value| !value.is_finite()) {
                return refuse(RefusedKind::NotFinite, format!("{}: not a finite number", update.name));
            }
            let Some(slot) = self.names.get(&update.name).and_then(|at| self.slots.get(*at)) else {
                if update.value.is_some() {
                    fresh.insert(&update.name);
                }
                continue;
            };
            if let (Some(held), Some(given)) = (slot.timestamp, update.timestamp)
                && given < held
            {
                let message =
                    format!("{}: its timestamp is before that of the value held ({})", update.name, held.rfc3339());
                return refuse(RefusedKind::Older, message);
            }
        }
        if self.names.len().saturating_add(fresh.len()) > MAX_METRICS && !fresh.is_empty() {
            let message = format!("there are {MAX_METRICS} metric names already; clear some (null) or send fewer");
            return Err(Refused { kind: RefusedKind::TooManyNames, message });
        }
        Ok(())
    }

    /// Sets or clears a value; its slot, and when the value before would have expired.
    pub(super) fn set(
        &mut self,
        update: &MetricUpdate,
        source: MetricSource,
        now: Now,
        ttl: Option<Duration>,
    ) -> (usize, Option<Mono>) {
        let at = self.slot_of(&update.name);
        let Some(slot) = self.slots.get_mut(at) else { return (at, None) };
        let before = slot.held.and_then(|held| held.expires);
        slot.arrived = true;
        slot.timestamp = update.timestamp.or(slot.timestamp);
        if slot.unit != update.unit {
            slot.unit.clone_from(&update.unit);
        }
        slot.held = update.value.map(|value| Held {
            value,
            received: now,
            expires: update.ttl.or(ttl).map(|ttl| now.mono.plus(ttl)),
            source,
        });
        (at, before)
    }

    fn slot_of(&mut self, name: &str) -> usize {
        if let Some(at) = self.names.get(name) {
            return *at;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot { name: name.to_owned(), ..Slot::default() };
        }
        self.names.insert(name.to_owned(), at);
        at
    }

    pub(super) fn used_by(&mut self, name: &str, condition: usize) -> usize {
        let at = self.slot_of(name);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.users.push(condition);
        }
        at
    }

    pub(super) fn users(&self, at: usize) -> &[usize] {
        self.slots.get(at).map_or(&[], |slot| &slot.users)
    }

    pub(super) fn drop_users(&mut self) {
        for slot in &mut self.slots {
            slot.users.clear();
        }
    }

    /// Frees every name that has no value and no user.
    pub(super) fn sweep(&mut self) {
        for at in 0..self.slots.len() {
            self.free_if_unused(at);
        }
    }

    pub(super) fn free_if_unused(&mut self, at: usize) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.held.is_none() && slot.users.is_empty() && self.names.get(&slot.name) == Some(&at) {
            self.names.remove(&slot.name);
            *slot = Slot::default();
            self.free.push(at);
        }
    }

    pub(super) fn expire(&mut self, at: usize) {
        if let Some(slot) = self.slots.get_mut(at) {
            slot.held = None;
        }
    }

    pub(super) fn expires(&self, at: usize) -> Option<Mono> {
        self.slots.get(at)?.held?.expires
    }

    pub(super) fn value(&self, at: usize) -> Option<f64> {
        self.slots.get(at)?.held.map(|held| held.value)
    }

    pub(super) fn value_of(&self, name: &str) -> Option<f64> {
        self.value(*self.names.get(name)?)
    }

    pub(super) fn arrived(&self, at: usize) -> bool {
        self.slots.get(at).is_some_and(|slot| slot.arrived)
    }

    /// `20 % (arrived 12:00:01Z)`, `nil (never arrived)`.
    pub(super) fn describe(&self, at: usize) -> String {
        let Some(slot) = self.slots.get(at) else { return "nil".into() };
        match &slot.held {
            Some(held) => {
                let unit = slot
                    .unit
                    .as_ref()
                    .filter(|u| super::table::decorates(u))
                    .map_or(String::new(), |u| format!(" {u}"));
                format!("{}{unit} (arrived {})", held.value, held.received.wall.clock())
            }
            None if slot.arrived => "nil (cleared, or its time to live ended)".into(),
            None => "nil (it never arrived)".into(),
        }
    }

    pub(super) fn statuses(&self, now: Now) -> Vec<MetricStatus> {
        let mut all: Vec<MetricStatus> = self
            .slots
            .iter()
            .filter_map(|slot| {
                let held = slot.held?;
                Some(MetricStatus {
                    name: slot.name.clone(),
                    value: held.value,
                    unit: slot.unit.clone(),
                    received_at: held.received.wall,
                    age_seconds: now.mono.since(held.received.mono).as_secs_f64(),
                    source: held.source,
                })
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// A scaling unit is in the value already; shown beside it, it would count twice.
fn decorates(unit: &str) -> bool {
    crate::condition::number::scale(unit).is_ok_and(|factor| (factor - 1.0).abs() < f64::EPSILON)
}
