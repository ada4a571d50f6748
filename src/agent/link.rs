//! Which broker carries our topics: the one inside, another, or none.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::counters;
use super::endpoints::Endpoints;
use crate::board::Board;
use crate::config::{self, Config};
use crate::model::problem::Problem;
use crate::mqtt::topics::Topics;
use crate::mqtt::{self, Outlet};
use crate::state::{self, Saves, StateDir};

/// Which broker carries our topics.
#[derive(Clone)]
pub(super) enum Link {
    Embedded(flotta_broker::Broker, Arc<Topics>),
    External(Arc<mqtt::external::External>, Arc<Mutex<Option<rumqttc::EventLoop>>>),
    None,
}

impl Link {
    pub(super) fn open(
        config: &Config,
        device_id: &str,
        topics: Arc<Topics>,
        metrics: mqtt::metrics::Metrics,
        retained: PathBuf,
    ) -> Link {
        match &config.mqtt.broker {
            config::Broker::None => Link::None,
            config::Broker::Embedded => {
                let limits = config.mqtt.limits.clone();
                Link::Embedded(mqtt::embedded::start(topics.clone(), metrics, limits, retained), topics)
            }
            config::Broker::External { host, port, .. } => {
                let address = mqtt::external::Address {
                    host: host.clone(),
                    port: *port,
                    username: config.mqtt.username.clone(),
                    password_file: config.mqtt.password_file.clone(),
                };
                let (external, events) = mqtt::external::open(address, config.mqtt.keep_alive, device_id, topics);
                Link::External(Arc::new(external), Arc::new(Mutex::new(Some(events))))
            }
        }
    }

    /// What an earlier run did not get rid of. It goes to whichever broker is configured now; to none of ours, where it
    /// is the one inside: nobody has waited for it there.
    pub(super) fn restore(&self, state: &StateDir, saves: &Saves) -> Option<Problem> {
        let (stored, damaged) = state::load::<mqtt::external::Undelivered>(state.path(), mqtt::external::OBJECT);
        match (self, stored) {
            (Link::External(external, _), stored) => external.restore(stored.unwrap_or_default()),
            (_, Some(stored)) if !stored.events.is_empty() => {
                saves.save(mqtt::external::OBJECT, &mqtt::external::Undelivered::default());
            }
            _ => {}
        }
        damaged
    }

    pub(super) fn outlet(&self) -> Arc<dyn Outlet> {
        match self {
            Link::Embedded(broker, _) => Arc::new(mqtt::embedded::EmbeddedOutlet(broker.clone())),
            Link::External(external, _) => external.outlet(),
            Link::None => Arc::new(mqtt::Nowhere),
        }
    }

    pub(super) fn counted(&self) -> counters::Counted {
        match self {
            Link::Embedded(broker, _) => counters::Counted::Embedded(broker.clone()),
            Link::External(external, _) => counters::Counted::External(external.outlet()),
            Link::None => counters::Counted::None,
        }
    }

    pub(super) async fn keep(
        self,
        listen: std::net::SocketAddr,
        metrics: mqtt::metrics::Metrics,
        board: Arc<Board>,
        endpoints: Arc<Endpoints>,
        saves: Saves,
    ) {
        match self {
            Link::Embedded(broker, _) => {
                let bound = mqtt::embedded::listen(&broker, listen, &board).await;
                endpoints.bound("mqtt", bound);
            }
            Link::External(external, events) => {
                let keep = async {
                    // Before the first plan nothing of ours is known to be true, and all of it would be cleared.
                    while !board.is_planned() {
                        board.planned.notified().await;
                    }
                    let events = events.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(events) = events {
                        external.keep(events, &metrics, &board).await;
                    }
                };
                tokio::select! {
                    () = keep => {}
                    () = external.store(&saves) => {}
                }
            }
            Link::None => {}
        }
    }

    pub(super) async fn close(&self, saves: &Saves) {
        match self {
            Link::Embedded(broker, topics) => {
                broker.publish(&topics.status(), br#"{"state":"offline"}"#, 1, true);
                broker.shutdown().await;
            }
            Link::External(external, _) => {
                external.close(Duration::from_secs(3)).await;
                external.store_now(saves);
            }
            Link::None => {}
        }
    }
}
