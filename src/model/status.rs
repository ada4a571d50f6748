//! What users see: states, reasons, and the objects on topics and over HTTP (SPEC "HTTP", last part).
//!
//! Fields may be added to the objects, none renamed; snake_case; `None` is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::WorkloadId;
use super::metric::MetricSource;
use super::problem::Problem;
use super::time::Wall;
use super::workload::Kind;

/// A workload's state (SPEC "Scheduler", the table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Profiles say no, or the device is locked.
    Inactive,
    /// Waits for cron, an image, a volume, room, or its retry after a bad end.
    Ready,
    /// Is being started.
    Deploying,
    /// Runs, or is told to stop and still there.
    Running,
    /// Some of it is down or not ready.
    Degraded,
    /// Could not be started; the next try is planned.
    Error,
    /// Ended well and is not to be started again.
    Stopped,
    /// Ended badly and is not to be started again.
    Exited,
    /// Its executor cannot be asked.
    Unknown,
}

impl State {
    /// Every state, in the order of the table.
    pub const ALL: [State; 9] = [
        State::Inactive,
        State::Ready,
        State::Deploying,
        State::Running,
        State::Degraded,
        State::Error,
        State::Stopped,
        State::Exited,
        State::Unknown,
    ];

    /// As it stands in the objects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Inactive => "inactive",
            State::Ready => "ready",
            State::Deploying => "deploying",
            State::Running => "running",
            State::Degraded => "degraded",
            State::Error => "error",
            State::Stopped => "stopped",
            State::Exited => "exited",
            State::Unknown => "unknown",
        }
    }
}

/// Why a workload is in its state: the closed list (also in docs/reasons.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// `inactive`: a profile has none of the named conditions true.
    ConditionFalse,
    /// `inactive`: the device has no such profile or condition.
    UnknownProfile,
    /// `inactive`: the device is locked.
    Locked,
    /// `inactive`: the agent stops and was told to take its workloads along.
    ShuttingDown,
    /// `deploying`: a start was asked for or waits for its turn.
    Starting,
    /// `running`: started by this agent.
    Running,
    /// `running`: was running when this agent started.
    Adopted,
    /// `running`: told to stop, still there.
    Stopping,
    /// `ready`: waits for its next time.
    CronWait,
    /// `ready`: its image is on its way.
    ImagePull,
    /// `ready`: a mount or device that it uses is not there yet.
    VolumeWait,
    /// `degraded`: some of its containers have ended.
    ContainerDown,
    /// `degraded`: all of it runs, and a probe says that some of it is not ready.
    NotReady,
    /// `ready`: ran, ended badly (or `restartPolicy: Always`), waits for its retry.
    BackOff,
    /// `error`: what it asks for is not a valid spec.
    InvalidSpec,
    /// `error`: this version of the agent does not carry out what it asks for.
    NotSupported,
    /// `error`: the executor refused or failed to start it.
    StartFailed,
    /// `error`: its image cannot be had.
    ImagePullFailed,
    /// `error`: a server asked for what this device does not give it.
    ForbiddenByPolicy,
    /// `error`: it could not be stopped; tried again.
    StopFailed,
    /// `error` or `unknown`: whoever carries it out cannot be asked.
    ExecutorUnreachable,
    /// `stopped`: ended well.
    Completed,
    /// `exited`: ended badly, not to be started again.
    Failed,
}

impl Reason {
    /// Every reason, for docs and tests.
    pub const ALL: [Reason; 23] = [
        Reason::ConditionFalse,
        Reason::UnknownProfile,
        Reason::Locked,
        Reason::ShuttingDown,
        Reason::Starting,
        Reason::Running,
        Reason::Adopted,
        Reason::Stopping,
        Reason::CronWait,
        Reason::ImagePull,
        Reason::VolumeWait,
        Reason::ContainerDown,
        Reason::NotReady,
        Reason::BackOff,
        Reason::InvalidSpec,
        Reason::NotSupported,
        Reason::StartFailed,
        Reason::ImagePullFailed,
        Reason::ForbiddenByPolicy,
        Reason::StopFailed,
        Reason::ExecutorUnreachable,
        Reason::Completed,
        Reason::Failed,
    ];
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The workload object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// Half of who it is.
    pub namespace: String,
    /// The other half.
    pub name: String,
    /// Which executor's.
    pub kind: Kind,
    /// Run by the user's own podman.
    pub rootless: bool,
    /// What it does now.
    pub state: State,
    /// Why, as one word.
    pub reason: Reason,
    /// Why, as a sentence: which condition, which metric at which value, when it is tried next.
    pub message: String,
    /// Since when it is in this state for this reason.
    pub since: Wall,
    /// When its executor was last heard about it.
    pub observed_at: Wall,
    /// The first 12 hex digits of its version.
    pub hash: String,
    /// Starts that followed an end of its own, of this version; restarts of the agent do not reset it.
    pub restarts: u64,
    /// Of its last ended run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_exit_code: Option<i32>,
    /// When its last run started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_run: Option<Wall>,
    /// When it is started or tried next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_run: Option<Wall>,
    /// CPU quota by condition in µs per 100 ms, while one says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_quota_us: Option<u32>,
    /// What it asks for and does not get.
    pub warnings: Vec<String>,
    /// What gates it.
    pub profiles: Vec<GateStatus>,
}

impl WorkloadStatus {
    /// Who it is.
    ///
    /// # Errors
    /// Only for an object that did not come from an agent.
    pub fn id(&self) -> Result<WorkloadId, String> {
        WorkloadId::try_new(&self.namespace, &self.name)
    }
}

/// One profile that gates a workload, as that workload sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// The profile's name.
    pub name: String,
    /// Whether one of the conditions is true.
    pub active: bool,
    /// The conditions it names; empty: any.
    pub conditions: Vec<String>,
}

/// The profile object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileStatus {
    /// The profile's name.
    pub name: String,
    /// Its conditions in the order they are written.
    pub conditions: Vec<ConditionStatus>,
}

/// One condition of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionStatus {
    /// The condition's name.
    pub name: String,
    /// As written.
    pub expression: String,
    /// Whether it counts as true.
    pub value: bool,
    /// The value is the stored one of before a restart; its metrics have not arrived yet.
    pub stale: bool,
    /// Why the expression was refused.
    pub error: Option<String>,
    /// The metrics it uses with their values; `null` is nil.
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// The metric object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricStatus {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// When it arrived.
    pub received_at: Wall,
    /// How long ago that was.
    pub age_seconds: f64,
    /// By which way it came.
    pub source: MetricSource,
}

/// The event object: one change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up by one per event; tells doubles and gaps.
    pub seq: u64,
    /// When.
    pub time: Wall,
    /// Whose.
    pub namespace: String,
    /// Whose.
    pub name: String,
    /// The state before; absent: it was not known before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<State>,
    /// The state after; absent: it is gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<State>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// Why, as a sentence.
    pub message: String,
}

/// The device object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Who the device is.
    pub device_id: String,
    /// `online`, or `offline` in the last will and at an orderly end.
    pub state: String,
    /// The agent's version.
    pub version: String,
    /// Since when the agent runs.
    pub since: Wall,
    /// When this was said.
    pub observed_at: Wall,
    /// If nothing newer came by then, do not believe any topic of this device.
    pub valid_until: Wall,
    /// No workload may run.
    pub locked: bool,
    /// How many workloads are in each state.
    pub workloads: BTreeMap<State, usize>,
    /// The Flotta server.
    pub server: ServerStatus,
    /// The broker.
    pub broker: LinkStatus,
    /// What a person should mend.
    pub problems: Vec<Problem>,
}

/// The Flotta server, and how the device stands with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// `disabled`, `connecting`, `enrolling`, `pending_approval`, `needs_administrator`, `refused`, `connected`,
    /// `unreachable`, `distrusted`, `removed` (docs/flotta-server.md).
    pub state: String,
    /// The state in a sentence, with what to do where something has to be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Wall>,
    /// When the server answered last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_contact: Option<Wall>,
    /// Of the configuration that is in force.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// The device's certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<CertificateStatus>,
    /// What went wrong last, in words, even if all is well again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error_at: Option<Wall>,
}

impl ServerStatus {
    /// A state without more words.
    #[must_use]
    pub fn of(state: &str) -> ServerStatus {
        ServerStatus {
            state: state.into(),
            message: None,
            since: None,
            last_contact: None,
            version: None,
            certificate: None,
            last_error: None,
            last_error_at: None,
        }
    }
}

/// A certificate and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// When it ends. Nothing on the device stops then.
    pub not_after: Wall,
    /// When a new one is asked for, or was.
    pub renew_at: Wall,
}

/// A peer of the agent's and whether it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// `disabled`, `connected`, `connecting`…
    pub state: String,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

impl LinkStatus {
    /// A state without more words.
    #[must_use]
    pub fn of(state: &str) -> LinkStatus {
        LinkStatus { state: state.into(), message: None }
    }
}
