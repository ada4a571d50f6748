//! What a machine with podman has, and how podman answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

/// Podman writes Go's zero time for "never".
pub const NEVER_MS: i64 = -62_135_596_800_000;

pub type Labels = BTreeMap<String, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    /// Told to stop, and still there.
    Stopping,
    Exited,
}

impl State {
    pub fn runs(self) -> bool {
        matches!(self, State::Running | State::Stopping)
    }

    pub fn word(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Exited => "exited",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub pod: String,
    pub labels: Labels,
    pub infra: bool,
    pub state: State,
    /// What podman says of its last end; after a reboot it lies.
    pub exit_code: i64,
    /// How it really ended; `None`: it did not end by itself.
    pub true_code: Option<i64>,
    pub started_ms: i64,
    pub exited_ms: i64,
    pub pid: i64,
    /// What it was made with: back in force after each start.
    pub own_quota: Option<u32>,
    pub quota: Option<u32>,
    pub script: String,
    pub volumes: Vec<String>,
    pub secrets: Vec<String>,
    pub binds: Vec<PathBuf>,
    pub grace: Duration,
    /// Which run of it this is.
    pub run: u64,
}

#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub labels: Labels,
}

#[derive(Clone, Debug)]
pub struct Volume {
    pub labels: Labels,
    pub dir: PathBuf,
}

/// What a call is answered with.
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

pub fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes() }
}

pub fn empty(status: u16) -> Reply {
    Reply { status, body: Vec::new() }
}

pub fn fail(status: u16, message: &str) -> Reply {
    reply(status, &json!({ "cause": message, "message": message, "response": status }))
}
