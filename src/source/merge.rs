//! Several sources into one desired state (SPEC "Sources of desired state"). Pure.

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::problem::Problem;

/// What the manifests want and what the server wants, together. The server wins a name clash, of workloads and of profiles,
/// and a problem says so. Labels and the device's id are the manifests' to say. Workloads carry their own Secrets, so
/// neither source gets at those of the other.
#[must_use]
pub fn merge(manifests: &Desired, server: &Desired) -> Desired {
    let mut merged = manifests.clone();
    merged.problems.extend(server.problems.iter().cloned());
    for (id, theirs) in &server.workloads {
        if let Some(ours) = merged.workloads.insert(id.clone(), theirs.clone()) {
            let message = format!(
                "EdgeWorkload {id} is on the {} too, which wins; delete it here, or give it another name",
                theirs.origin
            );
            merged.problems.push(Problem::new(ours.origin.clone(), message));
        }
    }
    let names: BTreeSet<&str> = server.profiles.iter().map(|profile| profile.name.as_str()).collect();
    for profile in manifests.profiles.iter().filter(|profile| names.contains(profile.name.as_str())) {
        let place = manifests.profiles_origin.clone().unwrap_or_else(|| "manifests".to_owned());
        let message =
            format!("profile {} is on the server too, which wins; delete it here, or rename it", profile.name);
        merged.problems.push(Problem::new(place, message));
    }
    merged.profiles.retain(|profile| !names.contains(profile.name.as_str()));
    merged.profiles.extend(server.profiles.iter().cloned());
    merged
}
