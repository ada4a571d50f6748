//! The configuration that is in force: taken from an answer if it is one and differs, kept for the next start.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Update;
use super::desired::{DEFAULT_PERIOD, Outcome, Scope, Settings, StoredConfiguration, desired, same_content};
use super::wire::configuration::Configuration;
use crate::model::desired::Desired;
use crate::model::id::WorkloadId;

/// What is in force.
#[derive(Debug)]
pub struct Configured {
    settings: Arc<Settings>,
    now: Option<Arc<InForce>>,
}

#[derive(Debug)]
struct InForce {
    configuration: Configuration,
    outcome: Outcome,
}

/// What became of an answer.
#[derive(Debug)]
pub enum Taken {
    /// It says what is in force already.
    Same,
    /// It differs.
    New(Box<Update>),
    /// It is no configuration: a sentence.
    Unusable(String),
}

impl Configured {
    /// What was in force before a restart, and what it wants.
    #[must_use]
    pub fn restored(settings: Settings, stored: Option<Option<StoredConfiguration>>) -> (Configured, Option<Update>) {
        let mut configured = Configured { settings: Arc::new(settings), now: None };
        let Some(stored) = stored.flatten() else { return (configured, None) };
        let restored = stored.configuration().and_then(|configuration| {
            if let Some(other) =
                configuration.device_id.as_ref().filter(|id| !id.eq_ignore_ascii_case(&configured.settings.device_id))
            {
                return Err(format!("it is that of the device {other:?}"));
            }
            let outcome = stored.outcome(&configured.settings)?;
            Ok(InForce { configuration, outcome })
        });
        match restored {
            Ok(in_force) => configured.now = Some(Arc::new(in_force)),
            Err(why) => {
                tracing::error!(
                    "the stored configuration of the server is not usable ({why}); the server's next one will be"
                );
            }
        }
        let update = configured.now.as_ref().map(|in_force| in_force.update());
        (configured, update)
    }

    /// How often GET and heartbeat are due.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.now.as_ref().map_or(DEFAULT_PERIOD, |in_force| in_force.outcome.heartbeat.period)
    }

    /// Whether heartbeats carry the hardware, and how much of it.
    #[must_use]
    pub fn hardware(&self) -> Option<Scope> {
        let heartbeat = self.now.as_ref()?.outcome.heartbeat;
        heartbeat.include_hardware.then_some(heartbeat.scope)
    }

    /// The server's workloads.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.now.iter().flat_map(|in_force| in_force.outcome.desired.workloads.keys())
    }

    /// Takes an answer to the question for the configuration.
    pub async fn take(&mut self, message: Value) -> Taken {
        let (settings, before) = (self.settings.clone(), self.now.clone());
        // It may be large: not where others wait for their turn.
        let read = tokio::task::spawn_blocking(move || read(&settings, before.as_deref(), &message));
        match read.await {
            Ok(read) => self.taken(read),
            Err(why) => Taken::Unusable(format!(
                "an error of the agent itself over the server's configuration, please report it: {why}; the last one stays in force"
            )),
        }
    }

    /// [`Configured::take`] without a thread of its own, for whoever has none: the simulator in `tests/`.
    pub fn take_now(&mut self, message: &Value) -> Taken {
        let read = read(&self.settings, self.now.as_deref(), message);
        self.taken(read)
    }

    fn taken(&mut self, read: Result<Option<InForce>, String>) -> Taken {
        match read {
            Ok(Some(in_force)) => {
                let update = in_force.update();
                self.now = Some(Arc::new(in_force));
                Taken::New(Box::new(update))
            }
            Ok(None) => Taken::Same,
            Err(why) => {
                Taken::Unusable(format!("the server's answer is no configuration: {why}; the last one stays in force"))
            }
        }
    }

    /// Nothing is wanted any more.
    pub fn clear(&mut self) -> Update {
        self.now = None;
        Update { desired: Desired::default(), stored: None, version: None }
    }
}

impl InForce {
    fn update(&self) -> Update {
        let Outcome { desired, version, notes, .. } = &self.outcome;
        for note in notes {
            tracing::info!(place = %note.place, "{}", note.message);
        }
        Update {
            desired: desired.clone(),
            stored: Some(StoredConfiguration::of(&self.outcome)),
            version: Some(version.clone()),
        }
    }
}

fn read(settings: &Settings, before: Option<&InForce>, message: &Value) -> Result<Option<InForce>, String> {
    if message.get("type").is_some_and(|kind| kind != "data") {
        return Err(format!("its type is {}", message["type"]));
    }
    let configuration = Configuration::read(message.get("content").unwrap_or(&Value::Null))?;
    if before.is_some_and(|before| same_content(&before.configuration, &configuration)) {
        return Ok(None);
    }
    let outcome = desired(&configuration, settings, before.map(|before| &before.outcome));
    Ok(Some(InForce { configuration, outcome }))
}
