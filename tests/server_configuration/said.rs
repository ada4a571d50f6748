//! What the server said in the captured exchanges, and what the agent makes of it.

use std::path::Path;

use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::pod::PodJob;
use flotta_agent::model::workload::{Payload, Workload};
use flotta_agent::source::flotta::desired::{Outcome, Settings, desired};
use flotta_agent::source::flotta::wire::configuration::Configuration;
use flotta_agent::spec_hash::DeviceKey;
use serde_json::Value as Json;

pub const DEFAULT: &str = "05-configuration-default-200.json";
pub const NO_WORKLOADS: &str = "b0-configuration-full-device-no-workloads-200.json";
pub const FULL: &str = "b1-configuration-full-200.json";
pub const TRAFFIC: &str = "c0-reference-agent-traffic.json";

fn file(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flotta").join(name);
    serde_json::from_str(&std::fs::read_to_string(&path).expect("a capture")).expect("JSON")
}

/// The `content` of a captured answer.
pub fn captured(name: &str) -> Json {
    file(name)["response"]["body"]["content"].clone()
}

/// The fullest of them, with one value changed or added.
pub fn with(pointer: &str, value: Json) -> Json {
    let mut content = captured(FULL);
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    match content.pointer_mut(pointer) {
        Some(there) => *there = value,
        None => content.pointer_mut(parent).expect("there")[field] = value,
    }
    content
}

/// Those of all configurations in the captured traffic.
pub fn in_traffic() -> Vec<Json> {
    let contents = |exchange: &Json| exchange["response"]["body"]["content"].clone();
    let all = file(TRAFFIC)["exchanges"].as_array().expect("exchanges").iter().map(contents).collect::<Vec<_>>();
    all.into_iter().filter(|content| content.get("configuration").is_some()).collect()
}

pub fn settings() -> Settings {
    Settings { device_id: "lab-dev-1".into(), key: DeviceKey::new([7; 32]) }
}

pub fn read(content: &Json) -> Configuration {
    Configuration::read(content).expect("a configuration")
}

pub fn outcome(content: &Json) -> Outcome {
    desired(&read(content), &settings(), None)
}

pub fn after(previous: &Outcome, content: &Json) -> Outcome {
    desired(&read(content), &settings(), Some(previous))
}

pub fn id(name: &str) -> WorkloadId {
    WorkloadId::parse(name).expect("a name")
}

pub fn workload<'a>(outcome: &'a Outcome, name: &str) -> &'a Workload {
    let there = outcome.desired.workloads.get(&id(name));
    there.unwrap_or_else(|| panic!("{name} is not there: {:?}", outcome.desired.problems))
}

pub fn job<'a>(outcome: &'a Outcome, name: &str) -> &'a PodJob {
    match &workload(outcome, name).payload {
        Payload::Pod(job) => job,
        other => panic!("{name}: {other:?}"),
    }
}

/// Why a workload is `error`/`InvalidSpec`.
pub fn invalid<'a>(outcome: &'a Outcome, name: &str) -> Option<&'a str> {
    match &workload(outcome, name).payload {
        Payload::Invalid(why) => Some(why),
        _ => None,
    }
}

pub fn problems(outcome: &Outcome) -> String {
    outcome.desired.problems.iter().map(|problem| format!("{problem}\n")).collect()
}
