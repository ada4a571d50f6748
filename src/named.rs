//! The workload that a person means by what they wrote.

use crate::config::near::nearest;
use crate::model::status::WorkloadStatus;

/// Workloads that a refusal lists at most.
const SHOWN: usize = 10;

/// `namespace/name`.
pub(crate) fn id(workload: &WorkloadStatus) -> String {
    format!("{}/{}", workload.namespace, workload.name)
}

/// `namespace/name`; a bare name is that of namespace `default`, else of the only namespace that has it. The error names
/// what could be meant instead.
pub(crate) fn find<'a>(workloads: &'a [WorkloadStatus], wanted: &str) -> Result<&'a WorkloadStatus, String> {
    let whole = if wanted.contains('/') { wanted.to_string() } else { format!("default/{wanted}") };
    if let Some(found) = workloads.iter().find(|workload| id(workload) == whole) {
        return Ok(found);
    }
    let same: Vec<&WorkloadStatus> = workloads.iter().filter(|workload| workload.name == wanted).collect();
    match same.as_slice() {
        [only] => return Ok(only),
        [] => {}
        several => {
            let ids: Vec<String> = several.iter().map(|workload| id(workload)).collect();
            return Err(format!("{wanted:?} is the name of {}: write one of them whole", ids.join(", ")));
        }
    }
    Err(format!("no workload {wanted:?} on this device: {}", hint(workloads, wanted, &whole)))
}

fn hint(workloads: &[WorkloadStatus], wanted: &str, whole: &str) -> String {
    let mut ids: Vec<String> = workloads.iter().map(id).collect();
    ids.sort();
    let names = workloads.iter().map(|workload| workload.name.as_str());
    let near = nearest(whole, ids.iter().map(String::as_str)).map(String::from).or_else(|| {
        let near = nearest(wanted, names)?;
        workloads.iter().find(|workload| workload.name == near).map(id)
    });
    match near {
        Some(near) => format!("did you mean {near}?"),
        None if ids.is_empty() => "it has none at all".into(),
        None if ids.len() > SHOWN => {
            format!("there are {}, and {} more", ids.get(..SHOWN).unwrap_or(&ids).join(", "), ids.len() - SHOWN)
        }
        None => format!("there are {}", ids.join(", ")),
    }
}
