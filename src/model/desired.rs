//! Desired state: everything a source says should be, at one moment.

use std::collections::BTreeMap;

use super::id::WorkloadId;
use super::mount::Mount;
use super::problem::Problem;
use super::profile::ProfileSpec;
use super::workload::SharedWorkload;

/// What one source, or all of them merged, want of this device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// The id that the source gives the device (SPEC "Which EdgeDevice is ours"), where configuration gives none.
    pub device_id: Option<String>,
    /// The device's labels.
    pub labels: BTreeMap<String, String>,
    /// The device's profiles; names are unique.
    pub profiles: Vec<ProfileSpec>,
    /// Where the profiles stand, for people: `manifests/a.yaml:1`.
    pub profiles_origin: Option<String>,
    /// The workloads that select this device.
    pub workloads: BTreeMap<WorkloadId, SharedWorkload>,
    /// What is to be mounted on the device.
    pub mounts: Vec<Mount>,
    /// What a person should mend.
    pub problems: Vec<Problem>,
}
