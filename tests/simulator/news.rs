//! How the agent hears of what is there: events, which get lost, come twice or late, and lists.

use flotta_agent::executor::{ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance};
use flotta_agent::model::status::Reason;
use flotta_agent::scheduler::Input;
use flotta_agent::scheduler::plan::Step;

use crate::due::{Due, Life};
use crate::tally::{Done, Fault};
use crate::world::World;

impl World {
    /// Something changed about an instance.
    pub fn tell(&mut self, handle: &Handle) {
        let Some(thing) = self.machine.things.get(handle) else { return };
        let by = thing.by;
        if self.machine.away.contains(&by) {
            return;
        }
        let Some(instance) = self.machine.look(handle) else { return };
        self.send(by, ExecutorEvent::Changed(instance));
    }

    /// What a start waits for will be there.
    pub fn tell_retry(&mut self, step: &Step) {
        let after = self.dice.between(0, 40_000);
        if !self.fault(Fault::EventLost, 12) {
            let event = ExecutorEvent::Retry(step.id.clone());
            self.later(after, Due::Told(self.life, step.executor, Box::new(event)));
        }
    }

    fn send(&mut self, by: ExecutorId, event: ExecutorEvent) {
        if self.fault(Fault::EventLost, 12) {
            if self.dice.one_in(4) {
                let after = self.dice.between(10, 2_000);
                self.later(after, Due::Told(self.life, by, Box::new(ExecutorEvent::Relist)));
            }
            return;
        }
        let times = 1 + usize::from(self.fault(Fault::EventDoubled, 14));
        for _ in 0..times {
            let late = self.fault(Fault::EventLate, 14);
            let after = if late { self.dice.between(100, 30_000) } else { self.dice.below(15) };
            self.later(after, Due::Told(self.life, by, Box::new(event.clone())));
        }
    }

    pub fn told(&mut self, life: Life, by: ExecutorId, event: ExecutorEvent) {
        if self.alive(life).is_some() {
            self.input(Input::Told(by, event));
        }
    }

    /// The agent asks what is there; at most one question at a time.
    pub fn list(&mut self, by: ExecutorId) {
        let life = self.life;
        let Some(agent) = &mut self.agent else { return };
        if !agent.listing.insert(by) {
            return;
        }
        let ticket = agent.brain.core.reconciler().ticket();
        self.tally.done(Done::List);
        let late = self.fault(Fault::ListLate, 60);
        let after = if late { self.dice.between(1_000, 90_000) } else { self.dice.between(1, 20) };
        self.later(after, Due::Looked(life, by, ticket));
    }

    /// The executor looks.
    pub fn looked(&mut self, life: Life, by: ExecutorId, ticket: u64) {
        if self.alive(life).is_none() {
            return;
        }
        let away = self.machine.away.contains(&by);
        let listed = if away || self.fault(Fault::ListFailed, 60) {
            let message = "cannot be asked".into();
            Err(ExecutorError { reason: Reason::ExecutorUnreachable, message })
        } else {
            self.settle_late(by);
            Ok(self.machine.list(by))
        };
        let after = self.dice.between(1, 20);
        self.later(after, Due::Listed(life, by, ticket, listed));
    }

    pub fn listed(&mut self, life: Life, by: ExecutorId, ticket: u64, listed: Result<Vec<Instance>, ExecutorError>) {
        if let Some(agent) = self.alive(life) {
            agent.listing.remove(&by);
            if listed.is_ok() {
                agent.answered.insert(by);
            }
            self.input(Input::Listed(by, ticket, listed));
        }
    }

    pub fn executor_back(&mut self, by: ExecutorId) {
        self.machine.away.remove(&by);
        let life = self.life;
        // Its events begin with a word that some may be missing.
        self.later(1, Due::Told(life, by, Box::new(ExecutorEvent::Relist)));
    }
}
