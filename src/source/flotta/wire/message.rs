//! The envelope of every exchange, and what the device says in it (API "Message envelope", "What the client sends").
//!
//! Nothing is ever null: the server falls over null elements, so what is not known is absent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::time::Wall;
use crate::node::hardware::Hardware;

/// What the server keeps for itself at the beginning of every path.
pub const BASE: &str = "/api/flotta-management/v1";

/// A message of the device's.
#[derive(Clone, Debug, Serialize)]
pub struct Message<'a, T> {
    /// Always `data`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A new one for each message.
    pub message_id: String,
    /// Of the envelope.
    pub version: u8,
    /// When.
    pub sent: Wall,
    /// Which of the three.
    pub directive: Directive,
    /// What it says.
    pub content: &'a T,
}

impl<'a, T> Message<'a, T> {
    /// A message that is sent now.
    pub fn new(directive: Directive, content: &'a T, sent: Wall) -> Message<'a, T> {
        Message { kind: "data", message_id: uuid::Uuid::new_v4().to_string(), version: 1, sent, directive, content }
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Directive {
    /// [`Enrolment`].
    Enrolment,
    /// [`Registration`].
    Registration,
    /// [`Heartbeat`].
    Heartbeat,
}

/// The device asks to be known.
#[derive(Clone, Debug, Serialize)]
pub struct Enrolment {
    /// The server's namespace for it.
    pub target_namespace: String,
    /// Never absent: the server falls over an enrolment without.
    pub features: Features,
}

/// What the device is.
#[derive(Clone, Debug, Serialize)]
pub struct Features {
    /// Of the machine.
    pub hardware: Hardware,
}

/// The device asks for a certificate.
#[derive(Clone, Debug, Serialize)]
pub struct Registration {
    /// PKCS#10, PEM.
    pub certificate_request: String,
    /// Of the machine; without it where the server fell over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
}

/// The answer to a [`Registration`].
#[derive(Clone, Debug, Deserialize)]
pub struct Registered {
    /// What it says.
    pub content: Issued,
}

/// A certificate, in an answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Issued {
    /// PEM, one certificate.
    pub certificate: String,
}

/// What runs, and what happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heartbeat {
    /// Of the device as a whole.
    pub status: DeviceState,
    /// Of the configuration whose content was applied last; absent: none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Every workload of the server's.
    pub workloads: Vec<WorkloadState>,
    /// In order.
    pub events: Vec<Event>,
    /// All of it, or nothing: the server replaces what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
}

/// Of the device as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// Nothing to mend.
    Up,
    /// Somebody should look at it.
    Degraded,
}

/// One workload of the server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadState {
    /// As the server calls it.
    pub name: String,
    /// What it does.
    pub status: Status,
}

/// What a workload does, in the server's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On its way.
    Deploying,
    /// Runs.
    Running,
    /// Does not run and should.
    Crashed,
    /// Does not run and should not.
    Stopped,
}

/// Something that happened; the server makes a Kubernetes event of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How bad.
    #[serde(rename = "type")]
    pub kind: Severity,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well.
    Info,
    /// Somebody should look at it.
    Warn,
}

/// Whether an answer of the control channel says that the server has removed the device.
#[must_use]
pub fn is_disconnect(message: &Value) -> bool {
    message["type"] == "command" && message["content"]["command"] == "disconnect"
}
