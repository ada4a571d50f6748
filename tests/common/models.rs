//! A workload as most tests want it; what a test is about it changes.

use std::collections::BTreeMap;

use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, Retry, SourceKind, SpecHash, Workload};

/// Told apart by its first twelve digits, which are those that are shown.
pub fn hash(version: u64) -> SpecHash {
    SpecHash(format!("{version:012x}{:052x}", 0))
}

/// Ungated, from a manifest, with the retry of those that say none.
pub fn workload(name: &str, version: u64, kind: Kind, payload: Payload, restart: RestartPolicy) -> Workload {
    Workload {
        id: WorkloadId::parse(name).expect("a name"),
        hash: hash(version),
        kind,
        rootless: false,
        payload,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        gates: Vec::new(),
        cron: None,
        retry: Retry::DEFAULT,
        restart,
        priority: 0,
        source: SourceKind::Manifests,
        origin: "a.yaml:1".into(),
        warnings: Vec::new(),
    }
}
