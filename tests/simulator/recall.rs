//! What the agent must still know after it was gone; and conditions held against what the sensors really said.

use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::{ProfileStatus, WorkloadStatus};
use flotta_agent::model::workload::SourceKind;

use crate::machine::marker;
use crate::operator::Held;
use crate::store::{Health, RECOVERED};
use crate::watch::{InForce, Locked, SOON_ON_DISK};
use crate::world::World;

impl World {
    /// Just before the agent is gone.
    pub fn note_truths(&mut self) {
        let now = self.clock.now;
        let well = self.store.well_for(now) >= RECOVERED && self.store.health() == Health::Well;
        let watch = &mut self.watch;
        if !well {
            // What a disk without room could not keep is lost with the agent: which times had their run, which ends were counted.
            watch.forget_times();
        } else if now - watch.books_at < SOON_ON_DISK {
            // A run that was begun, and is gone again before it was stored: nothing says that it was.
            let there = |id: &WorkloadId| self.machine.things.values().any(|thing| thing.id == *id);
            watch.forget_runs(there);
        }
        watch.restarts.clear();
        if let Some(agent) = self.agent.as_ref().filter(|_| well && now - watch.books_at >= SOON_ON_DISK) {
            let of =
                |(id, status): (&WorkloadId, &WorkloadStatus)| (id.clone(), (status.hash.clone(), status.restarts));
            watch.restarts = agent.statuses.iter().map(of).collect();
        }
        watch.stored = watch.recording && well && now - watch.wished_at >= SOON_ON_DISK;
        watch.truths_stored = watch.recording && well && now - watch.truths_at >= SOON_ON_DISK;
    }

    pub fn watch_death(&mut self) {
        self.watch.recording = false;
        self.watch.too_soon.clear();
        if self.watch.asking.is_some() {
            self.watch.locked = Locked::Unsure;
        }
        self.operator.held.clear();
    }

    /// The power was gone: what should run is started at once.
    pub fn excuse_all(&mut self) {
        self.watch.ended.clear();
    }

    /// The agent is back, and has heard of nothing yet.
    pub fn check_start(&mut self) {
        let Some(agent) = &self.agent else { return };
        let mut wrong = None;
        if self.watch.stored {
            for (id, before) in &self.watch.in_force {
                let edited = before.file.as_ref().is_some_and(|(path, version)| {
                    self.operator.files.get(path).is_none_or(|file| file.version != *version)
                });
                let now = agent.brain.desired.workloads.get(id).and_then(|workload| marker(workload));
                if !edited && now != Some(before.marker) {
                    wrong = Some(format!("{id} was wanted as v{} and after a restart is {now:?}", before.marker));
                }
            }
        }
        if self.watch.truths_stored {
            let truths = agent.brain.gates.truths();
            for (profile, conditions) in &truths.0 {
                for (name, truth) in conditions {
                    let before = self.watch.truths.0.get(profile).and_then(|before| before.get(name));
                    if let Some(before) = before.filter(|before| before.expression == truth.expression)
                        && before.value != truth.value
                    {
                        wrong =
                            Some(format!("condition {profile}/{name} was {} and is not after a restart", before.value));
                    }
                }
            }
        }
        let lock = agent.brain.core.reconciler().lock().map(|lock| lock.keep);
        let locked = match self.watch.locked {
            Locked::Yes { keep } => Some(Some(keep)),
            Locked::No => Some(None),
            Locked::Unsure => None,
        };
        if locked.is_some_and(|locked| locked != lock) {
            wrong = Some(format!("a person was told that the lock is {locked:?}, and after a restart it is {lock:?}"));
        }
        if let Some(why) = wrong {
            self.fail(why);
        }
        self.watch.recording = true;
        self.check_wish();
    }

    /// A source's wish is in force.
    pub fn check_wish(&mut self) {
        let Some(agent) = self.agent.as_ref().filter(|_| self.watch.recording) else { return };
        self.watch.wished_at = self.clock.now;
        self.watch.in_force.clear();
        // What nobody wants for a while is forgotten: if it is wanted again, it is another one.
        let wanted = &agent.brain.desired.workloads;
        self.watch.restarts.retain(|id, _| wanted.contains_key(id));
        for (id, workload) in wanted {
            let Some(marker) = marker(workload) else { continue };
            let path =
                workload.origin.trim_start_matches("manifests/").split(':').next().unwrap_or_default().to_owned();
            let file = match workload.source {
                SourceKind::Manifests => Some((path.clone(), agent.read.get(&path).copied().unwrap_or(0))),
                SourceKind::Flotta => None,
            };
            self.watch.in_force.insert(id.clone(), InForce { marker, file });
        }
    }

    /// Conditions without timers are what the sensors say.
    pub fn check_conditions(&mut self, profiles: &[ProfileStatus]) {
        let now = self.clock.now;
        let mut wrong = None;
        for profile in profiles {
            for condition in &profile.conditions {
                if condition.stale || !["low", "warm", "asked"].contains(&condition.name.as_str()) {
                    continue;
                }
                let holds = |name: &str| {
                    let live = |held: &&Held| held.expires.is_none_or(|expires| now < expires);
                    self.operator.held.get(name).filter(live).and_then(|held| held.value)
                };
                let expected = condition.expression.split("||").any(|part| compare(part, holds));
                if expected != condition.value {
                    let Some(last) = self.operator.held.get("m0") else { continue };
                    wrong = Some(format!(
                        "condition {}/{} ({}) is {}, and the sensors say otherwise ({last:?})",
                        profile.name, condition.name, condition.expression, condition.value
                    ));
                }
            }
        }
        if let Some(why) = wrong {
            self.fail(why);
        }
    }
}

/// `metric op number`, by hand.
fn compare(part: &str, holds: impl Fn(&str) -> Option<f64>) -> bool {
    let mut words = part.split_whitespace();
    let (Some(name), Some(op), Some(number)) = (words.next(), words.next(), words.next()) else { return false };
    let (Some(value), Ok(number)) = (holds(name), number.parse::<f64>()) else { return false };
    match op {
        "<" => value < number,
        ">" => value > number,
        ">=" => value >= number,
        _ => false,
    }
}
