//! A broker that goes away and loses connections; and the agent's line to it: what `agent::voice` says, through the real
//! [`ExternalOutlet`], to what the broker holds.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::{Event, ProfileStatus, WorkloadStatus};
use flotta_agent::mqtt::Outlet;
use flotta_agent::mqtt::external::{ExternalOutlet, Item, OBJECT, Undelivered};
use flotta_agent::mqtt::topics::Topics;
use flotta_agent::state::sealed;

use crate::due::{Due, Life};
use crate::mutation::Mutation;
use crate::store::{Health, RECOVERED};
use crate::tally::{Done, Fault};
use crate::trace::What;
use crate::watch::SOON_ON_DISK;
use crate::world::World;

/// As many are in flight as in `mqtt::external`.
const WINDOW: usize = 16;

/// As in `mqtt::external::kept`.
const KEPT_AFTER: u64 = 1_000;
/// As in `agent::events`.
pub const NUMBERS: &str = "event-numbers";

/// Numbers from here on contain the time of day.
const UNRESERVED: u64 = 1 << 40;

/// What the broker holds.
#[derive(Debug, Default)]
pub struct Broker {
    pub away: bool,
    pub retained: BTreeMap<String, Bytes>,
    /// What came under each number.
    events: BTreeMap<u64, Bytes>,
    /// Said and not come yet, since when.
    pub awaited: BTreeMap<u64, u64>,
}

/// The agent's end.
pub struct Line {
    pub outlet: ExternalOutlet,
    pub topics: Topics,
    connected: bool,
    due: bool,
    flying: VecDeque<(Item, Bytes)>,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            outlet: ExternalOutlet::default(),
            topics: Topics::new("flotta", "toto"),
            connected: false,
            due: false,
            flying: VecDeque::new(),
        }
    }
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

pub fn json<T: Serialize>(object: &T) -> Bytes {
    serde_json::to_vec(object).expect("written").into()
}

impl Broker {
    /// The connection of an agent that is gone: its last will.
    pub fn lost(&mut self) {
        self.retained.insert("flotta/devices/toto/status".into(), Bytes::from_static(br#"{"state":"offline"}"#));
    }
}

impl World {
    /// Says what a turn brought about.
    pub fn say(
        &mut self,
        statuses: Vec<(WorkloadId, Option<WorkloadStatus>)>,
        events: Vec<Event>,
        profiles: Vec<ProfileStatus>,
    ) {
        if statuses.is_empty() && events.is_empty() && profiles.is_empty() {
            return;
        }
        let drops = self.broken == Some(Mutation::DropsStatuses) && self.dice.one_in(100);
        let Some(agent) = &mut self.agent else { return };
        let line = &agent.line;
        for (id, status) in statuses {
            if !drops {
                let payload = status.as_ref().map_or_else(Bytes::new, json);
                line.outlet.publish(&line.topics.workload(&id), payload, true);
            }
            match status {
                Some(status) => drop(agent.statuses.insert(id, status)),
                None => drop(agent.statuses.remove(&id)),
            }
        }
        let now = self.clock.now;
        let some = !events.is_empty();
        if let Some(last) = events.last() {
            let further = agent.numbers.use_up_to(last.seq);
            if let Some(reserved) = further {
                self.store.save(NUMBERS, sealed(NUMBERS, &reserved).expect("sealed"), false, now);
            }
        }
        for event in events {
            self.broker.awaited.insert(event.seq, now);
            line.outlet.publish(&line.topics.events(), json(&event), false);
        }
        for profile in profiles {
            line.outlet.publish(&line.topics.profile(&profile.name), json(&profile), true);
            agent.profiles.insert(profile.name);
        }
        let known = agent.brain.desired.profiles.iter().map(|profile| &profile.name);
        let known: std::collections::BTreeSet<&String> = known.collect();
        for gone in agent.profiles.iter().filter(|name| !known.contains(name)) {
            line.outlet.publish(&line.topics.profile(gone), Bytes::new(), true);
        }
        agent.profiles.retain(|name| known.contains(name));
        if some {
            self.events_changed();
        }
        self.publish_soon(2);
    }

    /// What waits for the broker is kept, once it has stayed for a moment.
    fn events_changed(&mut self) {
        let life = self.life;
        if let Some(agent) = &mut self.agent
            && !std::mem::replace(&mut agent.keeping, true)
        {
            self.later(KEPT_AFTER, Due::KeepEvents(life));
        }
    }

    /// What waits for the broker is kept.
    pub fn keep_events(&mut self, life: Life) {
        let now = self.clock.now;
        let Some(agent) = self.agent.as_mut().filter(|_| self.life == life) else { return };
        let line = &agent.line;
        let payloads = line.outlet.undelivered();
        agent.keeping = false;
        let events = payloads.iter().filter_map(|payload| serde_json::from_slice(payload).ok()).collect();
        let undelivered = Undelivered { topic: line.topics.events(), events };
        self.store.save(OBJECT, sealed(OBJECT, &undelivered).expect("sealed"), false, now);
        self.pump();
    }

    /// What was not delivered before comes first.
    pub fn recall_events(&mut self) -> Result<(), String> {
        let stored = self.store.load::<Undelivered>(OBJECT)?.unwrap_or_default();
        let Some(agent) = &mut self.agent else { return Ok(()) };
        for event in &stored.events {
            agent.line.outlet.publish(&stored.topic, json(event), false);
        }
        if !stored.events.is_empty() {
            self.events_changed();
        }
        Ok(())
    }

    /// The agent is gone: what was said long enough ago, and could be kept, still has to come.
    pub fn note_events(&mut self) {
        let now = self.clock.now;
        let kept = self.store.well_for(now) >= RECOVERED && self.store.health() == Health::Well;
        let full = self.agent.as_ref().is_some_and(|agent| agent.line.outlet.counts().dropped > 0);
        self.broker.awaited.retain(|_, said| kept && !full && *said + KEPT_AFTER + 2 * SOON_ON_DISK < now);
    }

    pub fn say_device(&mut self) {
        let at = self.clock.wall();
        if let Some(agent) = &mut self.agent {
            let line = &agent.line;
            line.outlet.publish(&line.topics.status(), json(&at), true);
            self.publish_soon(1);
        }
    }

    fn publish_soon(&mut self, after: u64) {
        let life = self.life;
        if let Some(agent) = &mut self.agent
            && !std::mem::replace(&mut agent.line.due, true)
        {
            self.later(after, Due::Publish(life));
        }
    }

    /// The line moves on: connects, hears what the broker has, says what is due.
    pub fn publish(&mut self, life: Life) {
        let away = self.broker.away;
        let loses = self.fault(Fault::BrokerLostConnection, 2_000);
        let Some(agent) = self.agent.as_mut().filter(|_| self.life == life) else { return };
        agent.line.due = false;
        if away || loses {
            self.disconnect();
            let wait = self.dice.between(500, 10_000);
            return self.publish_soon(wait);
        }
        if !agent.line.connected {
            // Before the first plan nothing of ours is known to be true, and all of it would be cleared.
            if !agent.brain.core.reconciler().has_planned() {
                return self.publish_soon(200);
            }
            agent.line.connected = true;
            agent.line.outlet.connected();
            let ours = self.broker.retained.keys().filter(|topic| agent.line.topics.is_ours(topic));
            let untrue: Vec<String> = ours.filter(|topic| !agent.line.outlet.stands(topic)).cloned().collect();
            for topic in untrue {
                self.broker.retained.remove(&topic);
            }
        }
        while let Some((item, payload)) = self.agent.as_mut().and_then(|agent| agent.line.flying.pop_front()) {
            self.broker_takes(&item, payload);
            if let Some(agent) = &self.agent {
                agent.line.outlet.settled(&item, true);
            }
            if !item.is_retained() {
                self.events_changed();
            }
        }
        let Some(agent) = &mut self.agent else { return };
        let line = &mut agent.line;
        while line.flying.len() < WINDOW {
            let said = line.outlet.say_next(|_, payload, _| Ok(payload));
            let Some((item, payload)) = said else { break };
            line.flying.push_back((item, payload));
        }
        let waiting = line.outlet.counts().waiting;
        self.tally.queue("events for the broker", waiting);
        if !line.flying.is_empty() {
            let trip = self.dice.between(1, 20);
            self.publish_soon(trip);
        }
    }

    /// What was in flight may have arrived.
    fn disconnect(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if !std::mem::take(&mut agent.line.connected) {
            return;
        }
        agent.line.outlet.disconnected();
        let flying = std::mem::take(&mut agent.line.flying);
        let arrived = self.dice.below(flying.len() as u64 + 1) as usize;
        for (nth, (item, payload)) in flying.into_iter().enumerate() {
            if nth < arrived {
                self.broker_takes(&item, payload);
            }
            if let Some(agent) = &self.agent {
                agent.line.outlet.settled(&item, false);
            }
        }
        self.broker.lost();
    }

    fn broker_takes(&mut self, item: &Item, payload: Bytes) {
        self.tally.done(Done::Publish);
        if item.is_retained() {
            if payload.is_empty() {
                self.broker.retained.remove(item.topic());
            } else {
                self.broker.retained.insert(item.topic().to_owned(), payload);
            }
            return;
        }
        let Ok(Numbered { seq }) = serde_json::from_slice(&payload) else {
            return self.fail("an event that nobody can read");
        };
        self.broker.awaited.remove(&seq);
        // Numbers of a start for which the disk had no room to reserve any are far ahead of all others.
        let newest = self.broker.events.range(..UNRESERVED).next_back().map_or(0, |(newest, _)| *newest);
        if seq >= UNRESERVED {
            // A disk that took nothing, twice, and a clock that was set back between: then a number may come twice.
            return;
        }
        match self.broker.events.get(&seq) {
            // Once more: at least once is what is promised.
            Some(before) if *before == payload => {}
            Some(_) => self.fail(format!("event {seq} came with another content before")),
            None if seq < newest => self.fail(format!("event {seq} comes after {newest}")),
            None => drop(self.broker.events.insert(seq, payload)),
        }
    }

    pub fn broker_back(&mut self) {
        self.broker.away = false;
        self.note(What::Said("the broker is back"));
        self.publish_soon(1);
    }
}
