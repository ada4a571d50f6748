//! A Flotta server that goes away, comes back, answers nonsense, and removes the device. The session with it and what is in
//! force are the agent's own; between them stands what `source::flotta::driver` does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use flotta_agent::agent::core::News;
use flotta_agent::executor::ExecutorId;
use flotta_agent::model::time::Mono;
use flotta_agent::source::flotta::Taken;
use flotta_agent::source::flotta::desired::Settings;
use flotta_agent::source::flotta::session::{Answer, Exchange, Holds, Session, Verdict};
use flotta_agent::spec_hash::DeviceKey;

use crate::dice::Dice;
use crate::due::{Due, Life};
use crate::tally::{Done, Fault};
use crate::trace::What;
use crate::wanted::Wanted;
use crate::world::World;

/// The names of the workloads that it may want; the last one is in a file too.
pub const NAMES: [&str; 4] = ["s0", "s1", "s2", "both"];
const EDIT_EVERY: u64 = 3_600_000;

#[derive(Debug)]
pub struct Server {
    dice: Dice,
    pub away: bool,
    pub workloads: BTreeMap<&'static str, Wanted>,
    version: u64,
    threshold: u64,
    /// It has thrown the device out.
    pub removed: bool,
    /// The device's certificate.
    holds: Holds,
    /// When the session has something to do.
    due: Option<u64>,
}

impl Server {
    pub fn new(dice: Dice) -> Server {
        let workloads = BTreeMap::new();
        Server {
            dice,
            away: false,
            workloads,
            version: 1,
            threshold: 3,
            removed: false,
            holds: Holds::Nothing,
            due: None,
        }
    }

    pub fn settings(&self) -> Settings {
        Settings { device_id: "toto".into(), key: DeviceKey::new([7; 32]) }
    }

    pub fn session(&mut self, period: Duration, seed: u64, now: Mono) -> Session {
        self.due = None;
        Session::new(self.holds, period, seed, now)
    }

    /// Nothing that it wants is nonsense any more.
    pub fn repair(&mut self) {
        for wanted in self.workloads.values_mut() {
            wanted.invalid = false;
        }
        self.version += 1;
    }

    fn configuration(&self) -> Value {
        let workloads: Vec<Value> = self.workloads.iter().map(|(name, wanted)| wanted.json(name)).collect();
        let conditions = json!([{ "name": "asked", "expression": format!("m1 > {}", self.threshold) }]);
        json!({ "type": "data", "content": {
            "device_id": "toto",
            "version": self.version.to_string(),
            "configuration": {
                "heartbeat": { "period_seconds": 60 },
                "profiles": [{ "name": "remote", "conditions": conditions }],
            },
            "workloads": workloads,
        }})
    }
}

impl World {
    pub fn server_edit(&mut self) {
        let name = *self.server.dice.pick(&NAMES);
        self.server.version += 1;
        match self.server.dice.below(10) {
            0 | 1 => drop(self.server.workloads.remove(name)),
            2 => self.server.threshold = self.server.dice.below(9),
            3 if self.faulty && self.server.dice.one_in(3) => {
                self.note(What::Said("the server removes the device"));
                self.server.removed = true;
            }
            _ => {
                self.operator.markers += 1;
                let marker = self.operator.markers;
                self.operator.written.insert((name.to_owned(), marker));
                let mut wanted = Wanted::draw(&mut self.server.dice, marker, ExecutorId::Podman, false);
                // What the server cannot say.
                wanted.invalid &= self.faulty;
                self.server.workloads.insert(name, wanted);
            }
        }
        self.tally.done(Done::Edit);
        let every = self.server.dice.around(EDIT_EVERY);
        if self.busy {
            self.later(every, Due::ServerEdit);
        }
    }

    /// What the session wants to ask, is asked.
    pub fn serve(&mut self) {
        let (life, now) = (self.life, self.clock.mono());
        let Some(agent) = &mut self.agent else { return };
        let epoch = agent.session.epoch();
        let exchanges = agent.session.next(now);
        let wake = agent.session.wake();
        for exchange in exchanges {
            self.tally.done(Done::Exchange);
            let takes = if self.server.away { self.dice.between(10, 20_000) } else { self.dice.between(5, 300) };
            self.later(takes, Due::Exchanged(life, exchange, epoch));
        }
        if let Some(at) = wake.map(|wake| self.clock.at(wake).max(self.clock.now + 1))
            && self.server.due.is_none_or(|due| due > at || due <= self.clock.now)
        {
            self.server.due = Some(at);
            self.queue.put(at, Due::Serve(life));
        }
    }

    pub fn serve_due(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.serve();
        }
    }

    pub fn exchanged(&mut self, life: Life, exchange: Exchange, epoch: u64) {
        let now = self.clock.mono();
        if self.alive(life).is_none() {
            return;
        }
        let answer = self.answer_of(exchange, epoch);
        let Some(agent) = &mut self.agent else { return };
        let verdict = agent.session.answered(exchange, answer, epoch, now);
        match verdict {
            None => {}
            Some(Verdict::Promote) => self.server.holds = Holds::Proven,
            Some(Verdict::GoBack) => self.server.holds = Holds::Nothing,
            Some(Verdict::Removed) => {
                self.note(What::Said("the device hears that it is removed"));
                if let Some(agent) = &mut self.agent {
                    let update = agent.configured.clear();
                    self.wish(News::Flotta(update));
                }
            }
        }
        self.serve();
    }

    fn answer_of(&mut self, exchange: Exchange, epoch: u64) -> Answer {
        if self.server.away {
            return Answer::Unreachable;
        }
        if self.fault(Fault::ServerWrong, 60) {
            let wrong = [Answer::Status(500), Answer::Page(502), Answer::Unusable, Answer::Aborted, Answer::Page(404)];
            return *self.dice.pick(&wrong);
        }
        match exchange {
            Exchange::Enrol => Answer::Accepted,
            Exchange::Register => {
                // Somebody approves it at last.
                if self.dice.one_in(4) {
                    return Answer::Status(404);
                }
                self.server.removed = false;
                self.server.holds = Holds::Candidate(false);
                Answer::Accepted
            }
            Exchange::Renew | Exchange::Control => Answer::Accepted,
            Exchange::Heartbeat if self.server.removed => Answer::Status(404),
            Exchange::Heartbeat => Answer::Accepted,
            Exchange::Get if self.server.removed => Answer::Status(401),
            Exchange::Get => self.configure(epoch),
        }
    }

    fn configure(&mut self, epoch: u64) -> Answer {
        let now = self.clock.mono();
        let message = self.server.configuration();
        let Some(agent) = self.agent.as_mut().filter(|agent| agent.session.epoch() == epoch) else {
            return Answer::Accepted;
        };
        match agent.configured.take_now(&message) {
            Taken::Same => Answer::Accepted,
            Taken::Unusable(_) => Answer::Unusable,
            Taken::New(update) => {
                agent.session.set_period(agent.configured.period());
                agent.session.reconfigured();
                agent.session.changed(now);
                self.note(What::Said("a new configuration of the server's"));
                self.wish(News::Flotta(*update));
                Answer::Accepted
            }
        }
    }

    pub fn server_back(&mut self) {
        self.server.away = false;
    }
}
