//! Gates: from metrics to the truth of conditions to which workloads may run (SPEC "Conditions"). Pure; time is an argument.
//!
//! ```text
//!  update ─► metric table ─► the conditions that use it, one value at a time ─► truth (for, hold, stale) ─► gate(refs)
//!               └─ time to live ─┐                                  └─ timers ─┐
//!                                └────────────── deadlines ◄──────────────────┘ ─► advance(now)
//! ```
//! Invariants: a condition is evaluated only when a metric it uses changed, expired, or one of its timers ended; every
//! accepted value is judged before the next one; after `advance(now)` no deadline lies at or before `now`.

mod condition;
mod explain;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::metric::{MetricSource, MetricUpdate};
use crate::model::profile::{ConditionRef, ProfileRef, ProfileSpec};
use crate::model::status::{ConditionStatus, GateStatus, MetricStatus, ProfileStatus, Reason};
use crate::model::time::{Mono, Now};

use condition::Condition;
use table::Table;

pub use table::{MAX_METRICS, Refused, RefusedKind};

/// What configuration says about metrics.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `metrics.ttl`; `None`: a value lives until the next one.
    pub default_ttl: Option<Duration>,
    /// `metrics.restart_grace`: how long a stored truth counts without its metrics.
    pub restart_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { default_ttl: None, restart_grace: Duration::from_secs(120) }
    }
}

/// Whether a workload's profiles let it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Every profile it names is active, or it names none.
    Open {
        /// The smallest quota of all true conditions it names, in µs per 100 ms.
        cpu_quota_us: Option<u32>,
    },
    /// One is not.
    Closed {
        /// `ConditionFalse` or `UnknownProfile`.
        reason: Reason,
    },
}

/// What a change brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The truth (or staleness) of a condition changed: plan, publish, store.
    pub truth: bool,
    /// The next deadline moved.
    pub deadline: bool,
}

/// The truth of each condition, to be stored when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredTruths(pub BTreeMap<String, BTreeMap<String, StoredTruth>>);

/// The truth of one condition, and of which expression.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredTruth {
    /// As it was written; another one has no stored truth.
    pub expression: String,
    /// Whether it counted as true.
    pub value: bool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values taken.
    pub accepted: u64,
    /// Conditions evaluated.
    pub evaluations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    // In this order at the same moment: what has lasted long enough counts before it ends.
    Condition(usize),
    Stale(usize),
    Metric(usize),
}

#[derive(Debug)]
struct Profile {
    name: String,
    /// Indices into `conditions`.
    conditions: Vec<usize>,
    /// How often it went from some condition true to none.
    falls: u64,
    /// How often the truth of one of its conditions changed.
    changes: u64,
}

/// The metric table, the conditions and their truths.
#[derive(Debug, Default)]
pub struct Gates {
    settings: Settings,
    table: Table,
    profiles: Vec<Profile>,
    names: HashMap<String, usize>,
    conditions: Vec<Condition>,
    timers: BTreeSet<(Mono, Timer)>,
    restored: StoredTruths,
    restored_until: Mono,
    changed_profiles: BTreeSet<usize>,
    counts: Counts,
}

impl Gates {
    /// Without profiles and metrics.
    #[must_use]
    pub fn new(settings: Settings) -> Gates {
        Gates { settings, ..Gates::default() }
    }

    /// At start, before the first [`Gates::set_profiles`]: the truths of before the restart.
    pub fn restore(&mut self, truths: StoredTruths, now: Now) {
        let grace =
            self.settings.default_ttl.map_or(self.settings.restart_grace, |ttl| ttl.min(self.settings.restart_grace));
        self.restored_until = now.mono.plus(grace);
        self.restored = truths;
    }

    /// Replaces the profiles. A condition that stays as it was keeps its truth and its timers.
    pub fn set_profiles(&mut self, specs: &[ProfileSpec], now: Now) -> Changed {
        let before = self.truths();
        let mut old: HashMap<(String, String), Condition> = HashMap::new();
        for profile in std::mem::take(&mut self.profiles) {
            for at in profile.conditions {
                if let Some(condition) = self.conditions.get(at) {
                    old.insert((profile.name.clone(), condition.spec.name.clone()), condition.clone());
                }
            }
        }
        self.conditions.clear();
        self.names.clear();
        self.changed_profiles.clear();
        self.table.drop_users();
        self.timers.retain(|(_, timer)| matches!(timer, Timer::Metric(_)));
        for spec in specs {
            if self.names.contains_key(&spec.name) {
                continue;
            }
            let mut profile = Profile { name: spec.name.clone(), conditions: Vec::new(), falls: 0, changes: 1 };
            let mut seen = BTreeSet::new();
            for condition in spec.conditions.iter().filter(|condition| seen.insert(condition.name.clone())) {
                let index = self.conditions.len();
                let kept =
                    old.remove(&(spec.name.clone(), condition.name.clone())).filter(|kept| kept.spec == *condition);
                let stored = self.stored(&spec.name, condition, now);
                let mut made = kept.unwrap_or_else(|| Condition::new(condition.clone(), stored));
                made.profile = self.profiles.len();
                made.link(index, &mut self.table);
                profile.conditions.push(index);
                self.conditions.push(made);
            }
            self.changed_profiles.insert(self.profiles.len());
            self.names.insert(profile.name.clone(), self.profiles.len());
            self.profiles.push(profile);
        }
        self.table.sweep();
        for index in 0..self.conditions.len() {
            self.judge(index, now.mono);
        }
        Changed { truth: before != self.truths() || !self.changed_profiles.is_empty(), deadline: true }
    }

    fn stored(&self, profile: &str, spec: &crate::model::profile::ConditionSpec, now: Now) -> Option<(bool, Mono)> {
        let stored = self.restored.0.get(profile)?.get(&spec.name)?;
        (stored.expression == spec.expression && now.mono < self.restored_until)
            .then_some((stored.value, self.restored_until))
    }

    /// Takes all of these values, or none.
    ///
    /// # Errors
    /// What was refused and why.
    pub fn apply(&mut self, updates: &[MetricUpdate], source: MetricSource, now: Now) -> Result<Changed, Refused> {
        let mut changed = Changed::default();
        if self.next_deadline().is_some_and(|due| due <= now.mono) {
            // What was due before this value came counts before it.
            changed = self.advance(now);
        }
        self.table.check(updates)?;
        let due = self.next_deadline();
        for update in updates {
            self.counts.accepted = self.counts.accepted.saturating_add(1);
            let (slot, expired) = self.table.set(update, source, now, self.settings.default_ttl);
            if let Some(old) = expired {
                self.timers.remove(&(old, Timer::Metric(slot)));
            }
            if let Some(expires) = self.table.expires(slot) {
                self.timers.insert((expires, Timer::Metric(slot)));
            }
            changed.truth |= self.judge_users(slot, now.mono);
            self.table.free_if_unused(slot);
        }
        changed.deadline |= due != self.next_deadline();
        Ok(changed)
    }

    /// Lets everything happen that is due: times to live, `for`, `hold`, the grace after a restart.
    pub fn advance(&mut self, now: Now) -> Changed {
        let mut changed = Changed::default();
        while let Some((due, timer)) = self.timers.first().copied().filter(|(due, _)| *due <= now.mono) {
            self.timers.remove(&(due, timer));
            changed.deadline = true;
            match timer {
                Timer::Metric(slot) => {
                    self.table.expire(slot);
                    changed.truth |= self.judge_users(slot, due);
                    self.table.free_if_unused(slot);
                }
                Timer::Condition(index) => {
                    if let Some(condition) = self.conditions.get_mut(index) {
                        let was = condition.truth;
                        condition.ring();
                        changed.truth |= self.note(index, was, false);
                    }
                }
                Timer::Stale(index) => {
                    if let Some(condition) = self.conditions.get_mut(index) {
                        condition.stale = None;
                    }
                    changed.truth |= self.judge(index, due) | self.note_change(index);
                }
            }
        }
        changed
    }

    /// When [`Gates::advance`] is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.first().map(|(due, _)| *due)
    }

    fn judge_users(&mut self, slot: usize, now: Mono) -> bool {
        let mut changed = false;
        for at in 0..self.table.users(slot).len() {
            if let Some(index) = self.table.users(slot).get(at).copied() {
                changed |= self.judge(index, now);
            }
        }
        changed
    }

    /// Evaluates one condition; whether its truth or staleness changed.
    fn judge(&mut self, index: usize, now: Mono) -> bool {
        let Some(condition) = self.conditions.get_mut(index) else { return false };
        let (was, was_stale, was_pending) = (condition.truth, condition.stale, condition.pending);
        if let Some(until) = condition.stale {
            if condition.waits(&self.table) {
                self.timers.insert((until, Timer::Stale(index)));
                return false;
            }
            condition.stale = None;
            self.timers.remove(&(until, Timer::Stale(index)));
        }
        self.counts.evaluations = self.counts.evaluations.saturating_add(1);
        condition.evaluate(&self.table, now);
        let pending = condition.pending;
        if let Some(due) = was_pending {
            self.timers.remove(&(due, Timer::Condition(index)));
        }
        if let Some(due) = pending {
            self.timers.insert((due, Timer::Condition(index)));
        }
        self.note(index, was, was_stale.is_some())
    }

    fn note(&mut self, index: usize, was: bool, was_stale: bool) -> bool {
        let Some(condition) = self.conditions.get_mut(index) else { return false };
        let (is, profile) = (condition.truth, condition.profile);
        if was == is {
            return if was_stale { self.note_change(index) } else { false };
        }
        if was {
            condition.falls = condition.falls.saturating_add(1);
        }
        let any = |profile: &Profile, conditions: &[Condition]| {
            profile.conditions.iter().any(|at| conditions.get(*at).is_some_and(|c| c.truth))
        };
        if let Some(profile) = self.profiles.get_mut(profile)
            && was
            && !any(profile, &self.conditions)
        {
            profile.falls = profile.falls.saturating_add(1);
        }
        self.note_change(index)
    }

    fn note_change(&mut self, index: usize) -> bool {
        let Some(at) = self.conditions.get(index).map(|condition| condition.profile) else { return false };
        if let Some(profile) = self.profiles.get_mut(at) {
            profile.changes = profile.changes.saturating_add(1);
        }
        self.changed_profiles.insert(at);
        true
    }

    fn find(&self, reference: &ProfileRef) -> Option<&Profile> {
        self.names.get(&reference.name).and_then(|at| self.profiles.get(*at))
    }

    fn of(&self, profile: &Profile) -> impl Iterator<Item = &Condition> {
        profile.conditions.iter().filter_map(|at| self.conditions.get(*at))
    }

    fn named(&self, profile: &Profile, reference: &ConditionRef) -> Option<&Condition> {
        self.of(profile).find(|condition| condition.spec.name == reference.name)
    }

    fn is_active(&self, profile: &Profile, reference: &ProfileRef) -> bool {
        if reference.conditions.is_empty() {
            return self.of(profile).any(|condition| condition.truth);
        }
        reference.conditions.iter().any(|name| self.named(profile, name).is_some_and(|condition| condition.truth))
    }

    /// What a workload's profiles say.
    #[must_use]
    pub fn gate(&self, refs: &[ProfileRef]) -> Gate {
        let mut quota: Option<u32> = None;
        for reference in refs {
            let Some(profile) = self.find(reference) else { return Gate::Closed { reason: Reason::UnknownProfile } };
            if !self.is_active(profile, reference) {
                let known = |name: &ConditionRef| self.named(profile, name).is_some();
                let none = !reference.conditions.is_empty() && !reference.conditions.iter().any(known);
                let reason = if none { Reason::UnknownProfile } else { Reason::ConditionFalse };
                return Gate::Closed { reason };
            }
            for name in reference.conditions.iter().filter(|name| name.cpu_quota_us.is_some()) {
                if self.named(profile, name).is_some_and(|condition| condition.truth) {
                    quota = match (quota, name.cpu_quota_us) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
        }
        Gate::Open { cpu_quota_us: quota }
    }

    /// How often one of these profiles turned false, so that one that was false only between two plans is not overlooked.
    /// Exact where a profile is named whole or by one condition; where several are named, only falls of all of them that
    /// a plan sees count.
    #[must_use]
    pub fn falls(&self, refs: &[ProfileRef]) -> u64 {
        let of = |reference: &ProfileRef| {
            let Some(profile) = self.find(reference) else { return 0 };
            match reference.conditions.as_slice() {
                [] => profile.falls,
                [one] => self.named(profile, one).map_or(0, |condition| condition.falls),
                _ => 0,
            }
        };
        refs.iter().map(of).fold(0, u64::saturating_add)
    }

    /// How often the truth of a condition of these profiles changed.
    #[must_use]
    pub fn changes(&self, refs: &[ProfileRef]) -> u64 {
        refs.iter()
            .filter_map(|reference| self.find(reference))
            .fold(0, |sum, profile| sum.saturating_add(profile.changes))
    }

    /// Each profile of a workload, as the workload sees it.
    #[must_use]
    pub fn gate_status(&self, refs: &[ProfileRef]) -> Vec<GateStatus> {
        let status = |reference: &ProfileRef| GateStatus {
            name: reference.name.clone(),
            active: self.find(reference).is_some_and(|profile| self.is_active(profile, reference)),
            conditions: reference.conditions.iter().map(|condition| condition.name.clone()).collect(),
        };
        refs.iter().map(status).collect()
    }

    /// Every profile object.
    #[must_use]
    pub fn profiles(&self, _now: Now) -> Vec<ProfileStatus> {
        self.profiles.iter().map(|profile| self.profile_status(profile)).collect()
    }

    /// The objects of the profiles in which something changed since this was asked last.
    pub fn take_changed_profiles(&mut self) -> Vec<ProfileStatus> {
        let changed = std::mem::take(&mut self.changed_profiles);
        changed.into_iter().filter_map(|at| self.profiles.get(at)).map(|profile| self.profile_status(profile)).collect()
    }

    fn profile_status(&self, profile: &Profile) -> ProfileStatus {
        let condition = |condition: &Condition| ConditionStatus {
            name: condition.spec.name.clone(),
            expression: condition.spec.expression.clone(),
            value: condition.truth,
            stale: condition.stale.is_some(),
            error: condition.program.as_ref().err().cloned(),
            metrics: condition.values(&self.table),
        };
        ProfileStatus { name: profile.name.clone(), conditions: self.of(profile).map(condition).collect() }
    }

    /// Every metric that has a value.
    #[must_use]
    pub fn metrics(&self, now: Now) -> Vec<MetricStatus> {
        self.table.statuses(now)
    }

    /// The value held.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.table.value_of(name)
    }

    /// What must be stored.
    #[must_use]
    pub fn truths(&self) -> StoredTruths {
        let of = |profile: &Profile| {
            let truth = |c: &Condition| {
                (c.spec.name.clone(), StoredTruth { expression: c.spec.expression.clone(), value: c.truth })
            };
            (profile.name.clone(), self.of(profile).map(truth).collect())
        };
        StoredTruths(self.profiles.iter().map(of).collect())
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counts {
        self.counts
    }
}
