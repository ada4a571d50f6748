//! What the server wants of the device: `content` of GET `data/{id}/in` (contract, section 4).
//!
//! Read field by field, so that one wrong field does not lose the rest: absent and `null` are the zero value, unknown fields
//! are ignored, and a wrong type is a problem that names the path (`workloads[2].cron`). Sections that this agent has no use
//! for are not typed: that they are asked for stands in `unused`.

mod lenient;
mod sections;
mod workload;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::model::hidden::Hidden;
use crate::model::problem::Problem;
use lenient::{Object, what};

pub use sections::{Condition, Heartbeat, Mount, Profile};
pub use workload::{ConditionRef, ProfileRef, Retry, Workload};

/// The most workloads that are read.
pub const MAX_WORKLOADS: usize = 1_000;
/// The most Secrets that are read.
pub const MAX_SECRETS: usize = 10_000;

/// The content as the server sent it. It holds Secrets: its `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub struct Raw(Arc<Json>);

impl Raw {
    /// A content.
    #[must_use]
    pub fn new(content: Json) -> Raw {
        Raw(Arc::new(content))
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.0
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(content)")
    }
}

/// A configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// All of it, as it came.
    pub content: Raw,
    /// Whose it is.
    pub device_id: Option<String>,
    /// The EdgeDevice's `resourceVersion`: no mark of change (contract, section 4), only what heartbeats report.
    pub version: String,
    /// How often the device reports, and what.
    pub heartbeat: Heartbeat,
    /// The device's profiles; `None`: they cannot be read.
    pub profiles: Option<Vec<Profile>>,
    /// What the device is to mount.
    pub mounts: Vec<Mount>,
    /// What is to run.
    pub workloads: Vec<Workload>,
    /// Something among the workloads says neither what nor whose it is: no workload counts as removed.
    pub unclear: bool,
    /// What the workloads refer to.
    pub secrets: Vec<Secret>,
    /// What is asked for and not for this agent, by path: `configuration.storage`.
    pub unused: Vec<&'static str>,
    /// What is wrong outside of the workloads and profiles.
    pub problems: Vec<Problem>,
}

/// A Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Where it stands: `secrets[0]`.
    pub at: String,
    /// Its name.
    pub name: String,
    /// A JSON object, as text, of keys and base64; `None`: it cannot be read.
    pub data: Option<Hidden>,
}

impl Configuration {
    /// Reads the `content` of the server's message.
    ///
    /// # Errors
    /// It is no configuration at all: a sentence. Then the last one stays.
    pub fn read(content: &Json) -> Result<Configuration, String> {
        let Json::Object(_) = content else {
            return Err(format!("content: must be an object, not {}", what(content)));
        };
        let mut problems = Vec::new();
        let root = Object::root(content);
        if root.get("configuration").is_none() && root.get("workloads").is_none() {
            return Err("content: has neither configuration nor workloads, so it is no configuration".into());
        }
        let device_id = root.text(&mut problems, "device_id");
        let version = root.text(&mut problems, "version").unwrap_or_default();
        let configuration = root.object(&mut problems, "configuration");
        let readable = configuration.is_some() || root.get("configuration").is_none();
        let sections = sections::read(configuration.as_ref(), readable, &mut problems);
        let mut unused = sections.unused;
        unused.extend(
            root.text(&mut problems, "ansible_playbook").filter(|book| !book.is_empty()).map(|_| "ansible_playbook"),
        );
        let (workloads, unclear) = workloads(&root, &mut problems);
        Ok(Configuration {
            content: Raw::new(content.clone()),
            device_id,
            version,
            heartbeat: sections.heartbeat,
            profiles: sections.profiles,
            mounts: sections.mounts,
            workloads,
            unclear,
            secrets: secrets(&root, &mut problems),
            unused,
            problems,
        })
    }
}

/// The workloads, and whether one may be among them that nobody can tell.
fn workloads(root: &Object<'_>, problems: &mut Vec<Problem>) -> (Vec<Workload>, bool) {
    let Some(list) = root.list(problems, "workloads") else {
        return (Vec::new(), root.get("workloads").is_some());
    };
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let path = format!("workloads[{index}]");
        found.extend(Object::of(problems, &path, item).and_then(|object| Workload::read(&object, problems)));
    }
    let unclear = found.len() < list.len();
    (found, unclear)
}

fn secrets(root: &Object<'_>, problems: &mut Vec<Problem>) -> Vec<Secret> {
    let mut found = Vec::new();
    let list = root.list(problems, "secrets").unwrap_or_default();
    if list.len() > MAX_SECRETS {
        let more = list.len() - MAX_SECRETS;
        problems.push(lenient::problem("secrets", format!("more than {MAX_SECRETS}: {more} of them are not read")));
    }
    for (index, item) in list.iter().take(MAX_SECRETS).enumerate() {
        let at = format!("secrets[{index}]");
        let Some(object) = Object::of(problems, &at, item) else { continue };
        let Some(name) = object.name(problems, "a Secret") else { continue };
        // Said where it is needed: a workload that refers to it cannot be carried out.
        let data = match object.get("data") {
            None => Some(Hidden::default()),
            Some(Json::String(text)) => Some(Hidden::new(text.clone())),
            Some(_) => None,
        };
        found.push(Secret { at, name, data });
    }
    found
}
