//! The last good version of a workload, and the small configuration that it comes from: enough to have it again after a
//! restart.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::Outcome;
use crate::model::id::WorkloadId;
use crate::model::workload::{Payload, SharedWorkload};
use crate::source::flotta::wire::configuration::Raw;
use crate::source::reading::kube;

/// A workload's last good version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    /// As it was, without a word that it is not the newest.
    pub workload: SharedWorkload,
    /// `{"workloads":[…],"secrets":[…]}` with this workload alone.
    pub content: Raw,
}

impl Outcome {
    /// The last version of a workload that could be carried out, if there was one.
    pub(super) fn last_good(&self, id: &WorkloadId) -> Option<Kept> {
        if let Some(kept) = self.kept.get(id) {
            return Some(kept.clone());
        }
        let workload = self.desired.workloads.get(id)?;
        let secrets: BTreeSet<String> = match &workload.payload {
            Payload::Pod(job) => job.contents.secrets.keys().cloned().collect(),
            Payload::Kube(spec) => kube::references(spec).secrets.into_keys().collect(),
            _ => return None,
        };
        let content = alone(self.content.json(), id, &secrets)?;
        Some(Kept { workload: workload.clone(), content: Raw::new(content) })
    }
}

/// What a configuration says of one workload.
fn alone(content: &Json, id: &WorkloadId, secrets: &BTreeSet<String>) -> Option<Json> {
    let text = |of: &Json, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let list = |field: &str| content[field].as_array().into_iter().flatten();
    let ours = |of: &&Json| WorkloadId::try_new(&text(of, "namespace"), &text(of, "name")).as_ref() == Ok(id);
    let workload = list("workloads").find(ours)?;
    let secrets: Vec<&Json> = list("secrets").filter(|secret| secrets.contains(&text(secret, "name"))).collect();
    Some(json!({ "workloads": [workload], "secrets": secrets }))
}
