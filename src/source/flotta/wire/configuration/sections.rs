//! `configuration`: what concerns the device itself (contract, section 4.1).

use serde_json::Value as Json;

use super::lenient::{Object, problem};
pub use crate::model::mount::Mount;
use crate::model::problem::Problem;
use crate::source::reading::limits::{MAX_CONDITIONS, MAX_PROFILES};
use crate::source::reading::tree::short;

/// The most mounts that are read.
const MAX_MOUNTS: usize = 1_000;

/// How often the device reports, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// `period_seconds`; `None`: absent, or of a wrong type.
    pub period_seconds: Option<i64>,
    /// `hardware_profile.include`.
    pub include_hardware: bool,
    /// `hardware_profile.scope`, as written.
    pub scope: Option<String>,
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// In the order they are sent.
    pub conditions: Vec<Condition>,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// Its expression; empty where there is none, or none that is text.
    pub expression: String,
}

pub(super) struct Sections {
    pub heartbeat: Heartbeat,
    pub profiles: Option<Vec<Profile>>,
    pub mounts: Vec<Mount>,
    pub unused: Vec<&'static str>,
}

/// `readable`: that `configuration` is absent is no fault.
pub(super) fn read(of: Option<&Object<'_>>, readable: bool, problems: &mut Vec<Problem>) -> Sections {
    let Some(of) = of else {
        let profiles = readable.then(Vec::new);
        return Sections { heartbeat: Heartbeat::default(), profiles, mounts: Vec::new(), unused: Vec::new() };
    };
    Sections {
        heartbeat: heartbeat(of, problems),
        profiles: profiles(of, problems),
        mounts: mounts(of, problems),
        unused: unused(of),
    }
}

fn heartbeat(of: &Object<'_>, problems: &mut Vec<Problem>) -> Heartbeat {
    let Some(heartbeat) = of.object(problems, "heartbeat") else { return Heartbeat::default() };
    let hardware = heartbeat.object(problems, "hardware_profile");
    let hardware = hardware.as_ref();
    Heartbeat {
        period_seconds: heartbeat.whole(problems, "period_seconds"),
        include_hardware: hardware.and_then(|hardware| hardware.boolean(problems, "include")).unwrap_or(false),
        scope: hardware.and_then(|hardware| hardware.text(problems, "scope")),
    }
}

/// At most so many of a list.
fn limited<'a>(items: &'a [Json], most: usize, path: &str, problems: &mut Vec<Problem>) -> &'a [Json] {
    if items.len() > most {
        problems.push(problem(path, format!("more than {most}: {} of them are not read", items.len() - most)));
    }
    items.get(..most).unwrap_or(items)
}

/// `None`: there are profiles, and they cannot be read.
fn profiles(of: &Object<'_>, problems: &mut Vec<Problem>) -> Option<Vec<Profile>> {
    if of.get("profiles").is_none() {
        return Some(Vec::new());
    }
    let path = of.name_of("profiles");
    let list = limited(of.list(problems, "profiles")?, MAX_PROFILES, &path, problems);
    let mut found: Vec<Profile> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let Some(profile) = Object::of(problems, &format!("{path}[{index}]"), item) else { continue };
        let Some(name) = profile.name(problems, "a profile") else { continue };
        if found.iter().any(|known| known.name == name) {
            problems.push(problem(
                &profile.name_of("name"),
                format!("there are two profiles {:?}: the first counts", short(&name)),
            ));
            continue;
        }
        let conditions = conditions(&profile, problems);
        found.push(Profile { name, conditions });
    }
    Some(found)
}

fn conditions(profile: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<Condition> {
    let path = profile.name_of("conditions");
    let list = profile.list(problems, "conditions").unwrap_or_default();
    let mut found: Vec<Condition> = Vec::new();
    for (index, item) in limited(list, MAX_CONDITIONS, &path, problems).iter().enumerate() {
        let Some(condition) = Object::of(problems, &format!("{path}[{index}]"), item) else { continue };
        let Some(name) = condition.name(problems, "a condition") else { continue };
        if found.iter().any(|known| known.name == name) {
            let message = format!("there are two conditions {:?}: the first counts", short(&name));
            problems.push(problem(&condition.name_of("name"), message));
            continue;
        }
        let expression = condition.text(problems, "expression").unwrap_or_default();
        found.push(Condition { name, expression });
    }
    found
}

fn mounts(of: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<Mount> {
    let path = of.name_of("mounts");
    let list = of.list(problems, "mounts").unwrap_or_default();
    let mut found = Vec::new();
    for (index, item) in limited(list, MAX_MOUNTS, &path, problems).iter().enumerate() {
        let before = problems.len();
        let Some(mount) = Object::of(problems, &format!("{path}[{index}]"), item) else { continue };
        let mut text = |field| mount.text(problems, field).unwrap_or_default();
        let mount = Mount {
            device: text("device"),
            directory: text("directory"),
            kind: text("type"),
            options: text("options"),
        };
        // Half of a mount is none.
        if problems.len() == before {
            found.push(mount);
        }
    }
    found
}

/// What stands there and this agent has no use for (SPEC "What the agent is"). The servers always send
/// `metrics.receiver`, with its numbers: without `url` it asks for nothing.
fn unused(of: &Object<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut say = |asked: bool, what: &'static str| found.extend(asked.then_some(what));
    let mut quiet = Vec::new();
    let mut inside = |section: &str| of.object(&mut quiet, section);
    if let Some(metrics) = inside("metrics") {
        let receiver = metrics.object(&mut Vec::new(), "receiver");
        say(receiver.is_some_and(|receiver| receiver.holds("url")), "configuration.metrics.receiver");
        say(metrics.holds("retention"), "configuration.metrics.retention");
        say(metrics.holds("system"), "configuration.metrics.system");
        say(metrics.holds("data-transfer"), "configuration.metrics.data-transfer");
    }
    say(of.holds("log-collection"), "configuration.log-collection");
    if let Some(storage) = inside("storage") {
        say(storage.holds("s3"), "configuration.storage.s3");
    }
    if let Some(os) = inside("os") {
        let asked = ["automatically_upgrade", "commit_id", "hosted_objects_url"];
        say(asked.iter().any(|field| os.holds(field)), "configuration.os");
    }
    found
}
