//! What podman's API answers, as far as it is read (libpod v4 and v5; the fields are the same in both).

use std::collections::BTreeMap;

use serde::Deserialize;

/// A container of `GET containers/json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its pod's id; empty: in none.
    pub pod: String,
    /// Its pod's name.
    pub pod_name: String,
    /// `created`, `initialized`, `running`, `paused`, `stopping`, `stopped`, `exited`, `removing`, …
    pub state: String,
    /// Of its last run.
    pub exit_code: i64,
    /// Its end was seen. Podman 5 says `exited`, code 0, of what a restart of the machine cut off, and `false` here.
    pub exited: bool,
    /// Seconds since 1970; far below zero: never.
    pub exited_at: i64,
    /// Seconds since 1970; far below zero: never.
    pub started_at: i64,
    /// Its first process; 0: none.
    pub pid: i64,
    /// It is the one that holds the pod's namespaces.
    pub is_infra: bool,
    /// Its labels; podman writes `null` for none.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its process is gone, and podman does not know it: its monitor was killed with it. Not of podman's.
    #[serde(skip)]
    pub lost: bool,
}

impl Listed {
    /// A label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether something of it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.lost && matches!(self.state.as_str(), "running" | "paused" | "stopping")
    }

    /// Its removal was begun; podman that was killed meanwhile leaves it so, and can do nothing with it but remove it.
    #[must_use]
    pub fn is_being_removed(&self) -> bool {
        self.state == "removing"
    }

    /// It ended; not: it was never started (or not since the machine was).
    #[must_use]
    pub fn ended(&self) -> bool {
        let cut_off = self.state == "exited" && !self.exited;
        !self.runs() && !cut_off && !matches!(self.state.as_str(), "created" | "configured" | "initialized")
    }
}

/// The state in `GET containers/{id}/json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspected {
    /// How it is.
    pub state: InspectedState,
    /// Podman's file for the runtime, with the environment in it.
    #[serde(rename = "OCIConfigPath")]
    pub oci_config_path: String,
    /// Where it is reached.
    pub network_settings: NetworkSettings,
}

/// Where a container is reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// Its networks, by name; podman writes `null` for none.
    pub networks: Option<BTreeMap<String, Network>>,
}

/// In one network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// IPv4; empty: none.
    #[serde(rename = "IPAddress")]
    pub address: String,
    /// IPv6; empty: none.
    #[serde(rename = "GlobalIPv6Address")]
    pub address6: String,
}

/// How a container is, or ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InspectedState {
    /// The kernel ended it for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Why podman could not start it.
    pub error: String,
    /// RFC 3339.
    pub finished_at: String,
    /// RFC 3339.
    pub started_at: String,
    /// Its first process; 0: none.
    pub pid: i64,
}

impl InspectedState {
    /// Seconds since 1970, as in [`Listed::started_at`].
    #[must_use]
    pub fn started_seconds(&self) -> i64 {
        crate::model::time::Wall::parse_rfc3339(&self.started_at).map_or(0, |at| at.0.div_euclid(1000))
    }
}

/// A line of `GET events`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// `died`, `start`, `remove`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// Whose.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// When, by the machine's clock.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// Whose event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// The container's labels, among other things.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// What `GET info` says that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Info {
    /// About the machine.
    pub host: InfoHost,
}

/// What podman can do on this machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InfoHost {
    /// A limit is only kept where its controller is named.
    pub cgroup_controllers: Option<Vec<String>>,
    /// `v1` or `v2`.
    pub cgroup_version: String,
    /// Cores.
    pub cpus: u64,
    /// Bytes of memory.
    pub mem_total: u64,
    /// How it confines.
    pub security: InfoSecurity,
}

/// How podman confines on this machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InfoSecurity {
    /// It is a user's, not root's.
    pub rootless: Option<bool>,
}

/// A pod of `GET pods/json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedPod {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its containers; podman writes `null` for none.
    pub containers: Option<Vec<serde_json::Value>>,
}

/// A volume of `GET volumes/json` or `POST volumes/create`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub mountpoint: String,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A secret of `GET secrets/json`, without its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
    /// The part that is read.
    pub spec: SecretSpec,
}

/// What a secret was made with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretSpec {
    /// Its name.
    pub name: String,
}

/// A line of `POST images/pull`: errors come with a 200.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PullLine {
    /// Why not.
    pub error: String,
    /// What was pulled.
    pub id: String,
}

/// What podman says of a failure; the words are not always in the same place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The usual one.
    pub message: String,
    /// Of pods.
    #[serde(rename = "Errs")]
    pub errs: Option<Vec<serde_json::Value>>,
    /// Of a removed pod.
    #[serde(rename = "Err")]
    pub err: Option<serde_json::Value>,
}

impl Failure {
    /// The words, if there are any: they may come with a 200.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let word = |value: &serde_json::Value| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) if text.is_empty() => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let all: Vec<String> = self.errs.iter().flatten().chain(&self.err).filter_map(word).collect();
        match (self.message.is_empty(), all.is_empty()) {
            (false, _) => Some(self.message.clone()),
            (true, false) => Some(all.join("; ")),
            (true, true) => None,
        }
    }
}
