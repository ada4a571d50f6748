//! Why a gate is open or closed, as a sentence.

use crate::model::profile::ProfileRef;
use crate::model::time::Now;

use super::condition::Condition;
use super::{Gates, Profile};

impl Gates {
    /// Why these profiles let a workload run or not: the first one that does not, or else what each rests on.
    #[must_use]
    pub fn explain(&self, refs: &[ProfileRef], now: Now) -> String {
        let mut open = Vec::new();
        for reference in refs {
            let Some(profile) = self.find(reference) else {
                return format!("the device has no profile {:?}; {}", reference.name, self.known());
            };
            if !self.is_active(profile, reference) {
                return self.explain_closed(profile, reference, now);
            }
            let named = |c: &&Condition| {
                reference.conditions.is_empty() || reference.conditions.iter().any(|name| name.name == c.spec.name)
            };
            let on = self.of(profile).filter(named).find(|condition| condition.truth);
            let why = on.map_or_else(String::new, |condition| self.explain_one(condition, now));
            open.push(format!("profile {}: {why}", profile.name));
        }
        if open.is_empty() { "no profile gates it".into() } else { open.join("; ") }
    }

    fn explain_closed(&self, profile: &Profile, reference: &ProfileRef, now: Now) -> String {
        let mut parts = Vec::new();
        for name in &reference.conditions {
            match self.named(profile, name) {
                Some(condition) => parts.push(self.explain_one(condition, now)),
                None => parts.push(format!("it has no condition {:?}", name.name)),
            }
        }
        if reference.conditions.is_empty() {
            parts.extend(self.of(profile).map(|condition| self.explain_one(condition, now)));
        }
        if parts.is_empty() {
            parts.push("it has no conditions, so it is never active".into());
        }
        format!("profile {}: {}", profile.name, parts.join("; "))
    }

    fn explain_one(&self, condition: &Condition, now: Now) -> String {
        let spec = &condition.spec;
        if let Err(why) = &condition.program {
            return format!("{} ({}) counts as false: {why}", spec.name, spec.expression);
        }
        let values: Vec<String> =
            condition.metrics().map(|(name, slot)| format!("{name} is {}", self.table.describe(slot))).collect();
        let values = values.join(", ");
        let (name, expression, truth) = (&spec.name, &spec.expression, condition.truth);
        if let Some(until) = condition.stale {
            let until = now.wall_at(until).clock();
            return format!(
                "{name} ({expression}) was {truth} before the restart and stays so until its metrics arrive, at most until {until}"
            );
        }
        match condition.pending.map(|due| now.wall_at(due).clock()) {
            Some(due) if truth => format!("{name} ({expression}) turned false and is held true until {due}: {values}"),
            Some(due) => format!("{name} ({expression}) is true and counts from {due}: {values}"),
            None => format!("{name} ({expression}) is {truth}: {values}"),
        }
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name.as_str()).take(8).collect();
        if names.is_empty() { "it has none".into() } else { format!("it has {}", names.join(", ")) }
    }
}
