//! One condition: its program, its truth, and the timers between the two.

use std::collections::BTreeMap;

use crate::condition::{Program, compile};
use crate::model::profile::ConditionSpec;
use crate::model::time::Mono;

use super::table::Table;

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) spec: ConditionSpec,
    /// Index of its profile.
    pub(super) profile: usize,
    /// Why it was refused, as a sentence.
    pub(super) program: Result<Program, String>,
    /// Slots of the program's metrics, in its order.
    slots: Vec<usize>,
    /// Whether it counts as true.
    pub(super) truth: bool,
    /// When the truth turns over, unless the expression changes before (`for`, `hold`).
    pub(super) pending: Option<Mono>,
    /// The truth is the stored one, until then.
    pub(super) stale: Option<Mono>,
    /// How often it turned false.
    pub(super) falls: u64,
}

impl Condition {
    pub(super) fn new(spec: ConditionSpec, stored: Option<(bool, Mono)>) -> Condition {
        let program = compile(&spec.expression).map_err(|why| why.to_string());
        let stored = stored.filter(|_| program.as_ref().is_ok_and(|program| !program.metrics().is_empty()));
        Condition {
            spec,
            profile: 0,
            program,
            slots: Vec::new(),
            truth: stored.is_some_and(|(truth, _)| truth),
            pending: None,
            stale: stored.map(|(_, until)| until),
            falls: 0,
        }
    }

    /// Finds its metrics in the table and tells them that it uses them.
    pub(super) fn link(&mut self, index: usize, table: &mut Table) {
        let names = self.program.as_ref().map_or(&[][..], |program| program.metrics());
        self.slots = names.iter().map(|name| table.used_by(name, index)).collect();
    }

    /// Whether its stored truth still stands for metrics that have not arrived.
    pub(super) fn waits(&self, table: &Table) -> bool {
        !self.slots.iter().all(|slot| table.arrived(*slot))
    }

    pub(super) fn evaluate(&mut self, table: &Table, now: Mono) {
        let value = |at: usize| self.slots.get(at).and_then(|slot| table.value(*slot));
        let raw = self.program.as_ref().is_ok_and(|program| program.eval(value));
        if raw == self.truth {
            self.pending = None;
            return;
        }
        let wait = if raw { self.spec.hold_off } else { self.spec.hold };
        if wait.is_zero() {
            self.pending = None;
            self.truth = raw;
        } else if self.pending.is_none() {
            self.pending = Some(now.plus(wait));
        }
    }

    /// Its timer ended.
    pub(super) fn ring(&mut self) {
        self.pending = None;
        self.truth = !self.truth;
    }

    pub(super) fn values(&self, table: &Table) -> BTreeMap<String, Option<f64>> {
        let names = self.program.as_ref().map_or(&[][..], |program| program.metrics());
        names.iter().zip(&self.slots).map(|(name, slot)| (name.clone(), table.value(*slot))).collect()
    }

    /// Names and slots of its metrics.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&String, usize)> {
        let names = self.program.as_ref().map_or(&[][..], |program| program.metrics());
        names.iter().zip(self.slots.iter().copied())
    }
}
