//! From the server's configuration to desired state. Pure.
//!
//! ```text
//!  Configuration ─► desired(…, previous outcome) ─► Outcome { desired (with mounts), heartbeat, notes }
//!                     │ workload: one of them, or why it cannot be carried out    └─► StoredConfiguration, on disk
//!                     └ contents: ConfigMaps, Secrets;  registries: credentials
//! ```
//! One workload's fault is that workload's alone. Where its new version cannot be carried out, its last good version stays in
//! force, and its warnings and a problem say so. [`same_content`] decides whether there is anything new at all.

mod content;
mod contents;
mod kept;
mod stored;
mod times;
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::desired::Desired;
use crate::model::id::WorkloadId;
use crate::model::problem::Problem;
use crate::model::profile::{ConditionSpec, ProfileSpec};
use crate::model::workload::Workload;
use crate::source::reading::profiles::wrong_expressions;
use crate::source::reading::tree::short;
use crate::spec_hash::DeviceKey;

use super::wire::configuration::Workload as Wire;
use super::wire::configuration::{Condition, Configuration, Heartbeat, MAX_WORKLOADS, Profile, Raw};
use contents::Secrets;
use kept::Kept;

pub use content::same_content;
pub use stored::StoredConfiguration;

/// Where a workload of the server stands, for people.
pub const ORIGIN: &str = "server";
/// How often the device reports where the server says nothing, or nothing that can be.
pub const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// A longer period is a mistake: the device would be given up for lost.
pub const MAX_PERIOD: Duration = Duration::from_secs(86_400);
/// More problems than this are counted, not listed.
pub const MAX_PROBLEMS: usize = 500;

/// Names that a note lists.
const NAMES_SHOWN: usize = 10;
const STAYS: &str = "its last good version stays in force";

/// What reading depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose configuration it should be.
    pub device_id: String,
    /// For the hash of Secrets.
    pub key: DeviceKey,
}

/// How often the device reports, and whether with its hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatSettings {
    /// Between two reports.
    pub period: Duration,
    /// With the hardware.
    pub include_hardware: bool,
    /// How much of it.
    pub scope: Scope,
}

impl Default for HeartbeatSettings {
    fn default() -> HeartbeatSettings {
        HeartbeatSettings { period: DEFAULT_PERIOD, include_hardware: false, scope: Scope::Full }
    }
}

/// How much of the hardware a report says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    Full,
    /// What changed.
    Delta,
}

/// What came of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The configuration's version: what heartbeats report once this is applied.
    pub version: String,
    /// Workloads, profiles, and what a person should mend; labels and the device's id are not the server's to say.
    pub desired: Desired,
    /// How often the device reports.
    pub heartbeat: HeartbeatSettings,
    /// What is asked for and not for this agent: no fault, but worth a line in the log.
    pub notes: Vec<Problem>,
    /// What it came from.
    content: Raw,
    /// The workloads whose last good version stays in force.
    kept: BTreeMap<WorkloadId, Kept>,
    /// The configuration whose profiles are in force, where this one's cannot be read.
    kept_profiles: Option<Raw>,
}

/// What a configuration wants of this device. `previous` is what came of the one before: of it, the last good version of
/// each workload stays in force where the new one cannot be carried out.
#[must_use]
pub fn desired(configuration: &Configuration, settings: &Settings, previous: Option<&Outcome>) -> Outcome {
    let mut problems = configuration.problems.clone();
    if let Some(id) = configuration.device_id.as_ref().filter(|id| !id.eq_ignore_ascii_case(&settings.device_id)) {
        let (theirs, ours) = (short(id), &settings.device_id);
        let message = format!("is {theirs:?}, and this device is {ours:?}: are two devices behind one address?");
        problems.push(Problem::new("server: device_id", message));
    }
    let mut outcome = Outcome {
        version: configuration.version.clone(),
        desired: Desired { mounts: configuration.mounts.clone(), ..Desired::default() },
        heartbeat: heartbeat(&configuration.heartbeat, &mut problems),
        notes: notes(configuration),
        content: configuration.content.clone(),
        kept: BTreeMap::new(),
        kept_profiles: None,
    };
    outcome.profiles(configuration, previous, &mut problems);
    outcome.workloads(configuration, settings, previous, &mut problems);
    if problems.len() > MAX_PROBLEMS {
        let more = problems.len() - MAX_PROBLEMS + 1;
        problems.truncate(MAX_PROBLEMS - 1);
        problems.push(Problem::new("server", format!("and {more} problems more, not listed")));
    }
    outcome.desired.problems = problems;
    outcome
}

fn heartbeat(wire: &Heartbeat, problems: &mut Vec<Problem>) -> HeartbeatSettings {
    let period = match wire.period_seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
        None | Some(0) => DEFAULT_PERIOD,
        Some(seconds) if seconds > MAX_PERIOD.as_secs() => {
            let message = format!("is {seconds} s; at most {} s is taken, which is used", MAX_PERIOD.as_secs());
            problems.push(Problem::new("server: configuration.heartbeat.period_seconds", message));
            MAX_PERIOD
        }
        Some(seconds) => Duration::from_secs(seconds),
    };
    let scope = match wire.scope.as_deref() {
        None | Some("" | "full") => Scope::Full,
        Some("delta") => Scope::Delta,
        Some(other) => {
            let message = format!("must be full or delta, not {:?}; full is used", short(other));
            problems.push(Problem::new("server: configuration.heartbeat.hardware_profile.scope", message));
            Scope::Full
        }
    };
    HeartbeatSettings { period, include_hardware: wire.include_hardware, scope }
}

/// One for each thing that is asked for and not for this agent.
fn notes(configuration: &Configuration) -> Vec<Problem> {
    const WHY: &str = "is not for this agent, which runs workloads and nothing else; ignored";
    let note = |path: &str, message: String| Problem::new(format!("server: {path}"), message);
    let mut notes: Vec<Problem> = configuration.unused.iter().map(|path| note(path, WHY.to_owned())).collect();
    let mut asked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for workload in &configuration.workloads {
        for field in &workload.unused {
            asked.entry(field).or_default().push(&workload.name);
        }
    }
    for (field, mut names) in asked {
        names.sort_unstable();
        let more = names.len().saturating_sub(NAMES_SHOWN);
        names.truncate(NAMES_SHOWN);
        let names: Vec<String> = names.into_iter().map(short).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(note(&format!("workloads.{field}"), format!("{WHY} (workloads {}{more})", names.join(", "))));
    }
    notes
}

fn profile(wire: &Profile) -> ProfileSpec {
    let condition = |wire: &Condition| ConditionSpec {
        name: wire.name.clone(),
        expression: wire.expression.clone(),
        hold_off: Duration::ZERO,
        hold: Duration::ZERO,
    };
    ProfileSpec { name: wire.name.clone(), conditions: wire.conditions.iter().map(condition).collect() }
}

impl Outcome {
    fn profiles(&mut self, configuration: &Configuration, previous: Option<&Outcome>, problems: &mut Vec<Problem>) {
        match (&configuration.profiles, previous) {
            (Some(profiles), _) => self.desired.profiles = profiles.iter().map(profile).collect(),
            (None, Some(previous)) if !previous.desired.profiles.is_empty() => {
                self.desired.profiles.clone_from(&previous.desired.profiles);
                self.kept_profiles = Some(previous.kept_profiles.as_ref().unwrap_or(&previous.content).clone());
                problems.push(Problem::new("server: configuration.profiles", "the last good ones stay in force"));
            }
            (None, _) => {}
        }
        problems.extend(wrong_expressions(&self.desired.profiles, "server: configuration.profiles"));
    }

    fn workloads(
        &mut self,
        configuration: &Configuration,
        settings: &Settings,
        previous: Option<&Outcome>,
        problems: &mut Vec<Problem>,
    ) {
        let mut unclear = configuration.unclear;
        let mut wires: BTreeMap<WorkloadId, &Wire> = BTreeMap::new();
        for wire in &configuration.workloads {
            let id = match WorkloadId::try_new(&wire.namespace, &wire.name) {
                Ok(id) => id,
                Err(why) => {
                    problems.push(Problem::new(format!("server: {}", wire.at), why));
                    unclear = true;
                    continue;
                }
            };
            if let Some(first) = wires.get(&id) {
                let message = format!("{id} is there twice: what {} says counts", first.at);
                problems.push(Problem::new(format!("server: {}", wire.at), message));
                continue;
            }
            wires.insert(id, wire);
        }
        if wires.len() > MAX_WORKLOADS {
            let more = wires.len() - MAX_WORKLOADS;
            let message = format!("more than {MAX_WORKLOADS}: the last {more} by name are not carried out");
            problems.push(Problem::new("server: workloads", message));
        }
        let secrets = Secrets::read(&configuration.secrets);
        for (id, wire) in wires.into_iter().take(MAX_WORKLOADS) {
            let made = workload::read(wire, &id, &secrets, settings);
            problems.extend(made.warnings);
            let kept = previous.filter(|_| !made.errors.is_empty()).and_then(|previous| previous.last_good(&id));
            match kept {
                Some(kept) => {
                    let why = made.errors.first().map(ToString::to_string).unwrap_or_default();
                    let stays = |error: Problem| Problem { message: format!("{} ({STAYS})", error.message), ..error };
                    problems.extend(made.errors.into_iter().map(stays));
                    self.keep(
                        id,
                        kept,
                        &format!("the server's newest version cannot be carried out, {STAYS}: {why}"),
                        previous,
                    );
                }
                None => {
                    problems.extend(made.errors);
                    self.put(made.workload, previous);
                }
            }
        }
        // Nobody can tell what the unreadable one is, so nothing counts as removed.
        for id in previous.iter().flat_map(|previous| previous.desired.workloads.keys()).filter(|_| unclear) {
            if self.desired.workloads.len() < MAX_WORKLOADS
                && !self.desired.workloads.contains_key(id)
                && let Some(kept) = previous.and_then(|previous| previous.last_good(id))
            {
                let why = "the server's newest configuration cannot be read in full; this workload may be in it";
                self.keep(id.clone(), kept, why, previous);
            }
        }
    }

    /// What did not change stays the same object.
    fn put(&mut self, made: Workload, previous: Option<&Outcome>) {
        let before = previous.and_then(|previous| previous.desired.workloads.get(&made.id));
        let made = match before {
            Some(before) if **before == made => before.clone(),
            _ => Arc::new(made),
        };
        self.desired.workloads.insert(made.id.clone(), made);
    }

    fn keep(&mut self, id: WorkloadId, kept: Kept, why: &str, previous: Option<&Outcome>) {
        let mut shown = (*kept.workload).clone();
        shown.warnings.push(why.to_owned());
        self.kept.insert(id, kept);
        self.put(shown, previous);
    }
}
