//! What comes with an answer: a certificate, a configuration, the end.

use std::sync::atomic::Ordering::Relaxed;

use super::super::heartbeat::events::Events;
use super::super::identity::{Request, Stored};
use super::super::meaning::Meaning;
use super::super::renewal::Receipt;
use super::super::session::{Answer, Exchange};
use super::super::{Taken, Update};
use super::{Driver, EVENTS};
use crate::model::time::{Now, Wall};

impl Driver {
    pub(super) fn take_certificate(
        &mut self,
        meaning: &mut Meaning,
        certificate: &str,
        request: Option<&Request>,
        date: Option<Wall>,
        now: Now,
    ) {
        let Some(request) = request else { return };
        let receipt = Receipt::new(date, &self.time.lock(), &self.boot, now);
        match self.store.put(request, certificate, receipt) {
            Ok(stored) => {
                self.ports.counts.certificates.fetch_add(1, Relaxed);
                if let Stored::InMemory(why) = stored {
                    tracing::error!("{why}");
                }
                tracing::info!("a new certificate was received");
                self.report.forget(&[Exchange::Enrol, Exchange::Register, Exchange::Renew]);
            }
            Err(why) => {
                meaning.answer = Answer::Unusable;
                meaning.trouble = Some(format!("the server's certificate for this device is not usable: {why}"));
            }
        }
    }

    pub(super) async fn take_configuration(&mut self, meaning: &mut Meaning, message: serde_json::Value) {
        match self.configured.take(message).await {
            Taken::Same => {}
            Taken::New(update) => {
                self.ports.counts.configurations.fetch_add(1, Relaxed);
                self.known.extend(self.configured.workloads().cloned());
                self.session.set_period(self.configured.period());
                self.session.reconfigured();
                tracing::info!(
                    version = update.version,
                    workloads = update.desired.workloads.len(),
                    "a new configuration"
                );
                self.update(*update).await;
            }
            Taken::Unusable(why) => {
                meaning.answer = Answer::Unusable;
                meaning.trouble = Some(why);
            }
        }
    }

    pub(super) async fn update(&self, update: Update) {
        // The loop is gone: the agent ends.
        let _ = self.ports.updates.send(update).await;
    }

    pub(super) async fn removed(&mut self) {
        self.report.forget(&[Exchange::Get, Exchange::Heartbeat, Exchange::Control, Exchange::Renew]);
        self.clients.forget();
        self.hardware = None;
        self.events = Events::default();
        self.ports.saves.save(EVENTS, &self.events);
        // Those that go on are told of once the server knows the device again.
        self.known = match self.setting.leave {
            true => self.configured.workloads().cloned().collect(),
            false => std::collections::BTreeSet::new(),
        };
        if self.setting.leave {
            tracing::warn!("the server has removed this device; its workloads go on (remote.on_removal: leave)");
            return;
        }
        tracing::warn!("the server has removed this device: its workloads are stopped (remote.on_removal: stop)");
        let update = self.configured.clear();
        self.update(update).await;
    }
}
