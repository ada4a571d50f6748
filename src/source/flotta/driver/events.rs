//! Changes of state on their way to the server.

use tokio::sync::broadcast::error::RecvError;

use super::super::session::Answer;
use super::exchange::Sent;
use super::{Driver, EVENTS, GIVE_UP};
use crate::clock;
use crate::model::id::WorkloadId;
use crate::model::status;

impl Driver {
    /// A workload changed its state.
    pub(super) fn heard(&mut self, change: Result<status::Event, RecvError>) {
        match change {
            Ok(event) => {
                if self.take_event(&event) {
                    self.tell();
                }
            }
            Err(RecvError::Lagged(_)) => self.catch_up(),
            Err(RecvError::Closed) => {}
        }
    }

    /// Hears what the board still has and this has not heard: all before the start, and after a burst.
    pub(super) fn catch_up(&mut self) {
        let (recent, changes) = self.ports.board.follow();
        self.changes = changes;
        let oldest = recent.first().map_or(0, |event| event.seq);
        let missed = oldest.saturating_sub(self.seen.saturating_add(1));
        self.events.lose(missed);
        let heard = recent.iter().fold(missed > 0, |heard, event| self.take_event(event) | heard);
        if heard {
            self.tell();
        }
    }

    /// Whether it is one for the server.
    pub(super) fn take_event(&mut self, event: &status::Event) -> bool {
        if event.seq <= self.seen {
            return false;
        }
        self.seen = event.seq;
        let Ok(id) = WorkloadId::try_new(&event.namespace, &event.name) else { return false };
        if !self.known.contains(&id) {
            return false;
        }
        if event.to.is_none() && !self.configured.workloads().any(|assigned| *assigned == id) {
            self.known.remove(&id);
        }
        self.events.push(event);
        true
    }

    pub(super) fn tell(&mut self) {
        self.ports.saves.save(EVENTS, &self.events);
        self.session.changed(clock::mono());
    }

    /// What became of the events and the hardware that a heartbeat carried.
    pub(super) fn delivered(&mut self, answer: Answer, sent: &Sent) {
        if answer == Answer::Accepted {
            self.hardware = sent.hardware.clone().or(self.hardware.take());
            self.introduce &= sent.hardware.is_none();
        }
        self.carrying &= sent.batch.is_none() && !sent.broken;
        let Some((batch, before)) = &sent.batch else {
            self.spared = self.spared.saturating_add(u32::from(answer == Answer::Accepted && sent.least));
            if self.spared >= GIVE_UP {
                // Without them it took the heartbeat, each time: it will never take them.
                self.spared = 0;
                self.events.give_up(&self.events.batch(), 0);
                self.ports.saves.save(EVENTS, &self.events);
            }
            return;
        };
        if answer == Answer::Accepted && !batch.events.is_empty() {
            self.spared = 0;
        }
        let since = self.events.dropped().saturating_sub(*before);
        match answer {
            // The server makes its events before it writes the status, which is what fails with 500.
            Answer::Accepted | Answer::Status(500) => self.events.delivered(batch, since),
            _ => return,
        }
        self.ports.saves.save(EVENTS, &self.events);
        if self.events.waiting() > 0 {
            self.session.changed(clock::mono());
        }
    }
}
