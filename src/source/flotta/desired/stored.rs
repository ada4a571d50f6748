//! What is kept on disk, so that the server's workloads are there at the next start before the server is.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::kept::Kept;
use super::{Outcome, Settings, desired};
use crate::source::flotta::wire::configuration::Configuration;

/// The last configuration that was applied, as the server sent it. It holds Secrets: it belongs in a file of mode 0600, and
/// its `Debug` does not show them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredConfiguration {
    /// The version that heartbeats report.
    pub version: String,
    /// The `content` of the server's message.
    pub content: Json,
    /// Earlier ones, cut down to what is in force of them: the last good versions of workloads whose newest cannot be
    /// carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Json>,
}

impl std::fmt::Debug for StoredConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredConfiguration")
            .field("version", &self.version)
            .field("earlier", &self.earlier.len())
            .finish_non_exhaustive()
    }
}

impl StoredConfiguration {
    /// What is to be stored of an outcome that was applied.
    #[must_use]
    pub fn of(outcome: &Outcome) -> StoredConfiguration {
        let mut earlier: Vec<Json> = outcome.kept.values().map(|kept| kept.content.json().clone()).collect();
        if let Some(content) = &outcome.kept_profiles {
            earlier.push(json!({ "configuration": { "profiles": content.json()["configuration"]["profiles"] } }));
        }
        StoredConfiguration { version: outcome.version.clone(), content: outcome.content.json().clone(), earlier }
    }

    /// The configuration, for comparing with what the server says next.
    ///
    /// # Errors
    /// What was stored is no configuration: a sentence.
    pub fn configuration(&self) -> Result<Configuration, String> {
        Configuration::read(&self.content)
    }

    /// What came of it, as it was before the restart.
    ///
    /// # Errors
    /// As [`StoredConfiguration::configuration`].
    pub fn outcome(&self, settings: &Settings) -> Result<Outcome, String> {
        let configuration = self.configuration()?;
        let mut before: Option<Outcome> = None;
        for earlier in self.earlier.iter().filter_map(|content| Configuration::read(content).ok()) {
            let part = desired(&earlier, settings, None);
            let before = before.get_or_insert_with(|| Outcome { kept_profiles: None, ..part.clone() });
            if !part.desired.profiles.is_empty() {
                before.kept_profiles = Some(part.content.clone());
                before.desired.profiles.clone_from(&part.desired.profiles);
            }
            for (id, workload) in part.desired.workloads {
                let kept = Kept { workload: workload.clone(), content: part.content.clone() };
                before.kept.insert(id.clone(), kept);
                before.desired.workloads.insert(id, workload);
            }
        }
        Ok(desired(&configuration, settings, before.as_ref()))
    }
}
