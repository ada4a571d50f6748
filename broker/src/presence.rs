//! That a client is here, and what the rest of the broker is told when it no longer is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::time::Instant;

use crate::connect::Will;
use crate::counters::Refusal;
use crate::hub::{Hub, Incoming};
use crate::registry::Place;
use crate::session::Session;

/// What the broker has to be told when a connection is no more, in this order: session, will, client id.
pub(crate) struct Presence {
    pub hub: Arc<Hub>,
    /// `Some` until dropped.
    pub session: Option<Session>,
    pub will: Option<Box<Will>>,
    pub place: Place,
    pub since: Instant,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let client = session.client.clone();
        if session.clean {
            drop(session);
        } else {
            session.park();
            session.served = session.served.saturating_add(self.since.elapsed());
            if self.hub.registry.park(session, self.hub.limits.parked_sessions).is_some() {
                self.hub.counters.refuse(Refusal::ParkedSessions);
            }
        }
        if let Some(will) = self.will.take() {
            let Will { topic, payload, qos, retain } = *will;
            let will = Incoming { client: &client, topic: &topic, payload, qos, retain };
            // This may already be a panic (of a tap): a second one would end the process.
            catch_unwind(AssertUnwindSafe(|| self.hub.take(will).is_ok())).ok();
        }
        self.hub.counters.disconnected();
    }
}
