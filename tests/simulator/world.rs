//! All of it together, and time: what is due next happens, then the agent has its turn, then everything is looked at.

use std::collections::BTreeMap;

use crate::agent::Agent;
use crate::broker::Broker;
use crate::calls::Call;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::due::{Due, Queue};
use crate::machine::Machine;
use crate::mutation::Mutation;
use crate::operator::Operator;
use crate::run::number;
use crate::server::Server;
use crate::store::Store;
use crate::tally::{Fault, Tally};
use crate::trace::{Trace, What};
use crate::watch::Watch;

/// More than this on the way at once would be a flood of the simulator's own making.
const MOST_DUE: usize = 20_000;

pub struct World {
    pub dice: Dice,
    pub clock: Clock,
    pub queue: Queue,
    pub machine: Machine,
    pub calls: BTreeMap<u64, Call>,
    pub call: u64,
    pub store: Store,
    pub operator: Operator,
    pub server: Server,
    pub broker: Broker,
    pub agent: Option<Agent>,
    pub life: u64,
    pub boot: u64,
    /// Things go wrong.
    pub faulty: bool,
    /// Somebody changes something.
    pub busy: bool,
    pub watch: Watch,
    pub tally: Tally,
    pub trace: Trace,
    pub broken: Option<Mutation>,
    /// The first promise that was not kept.
    pub failure: Option<String>,
}

impl World {
    pub fn new(seed: u64, broken: Option<Mutation>) -> World {
        let mut dice = Dice::new(seed);
        let mut world = World {
            clock: Clock::new(),
            queue: Queue::default(),
            machine: Machine::default(),
            calls: BTreeMap::new(),
            call: 0,
            store: Store::new(dice.fork()),
            operator: Operator::new(dice.fork()),
            server: Server::new(dice.fork()),
            broker: Broker::default(),
            agent: None,
            life: 0,
            boot: 1,
            faulty: true,
            busy: true,
            watch: Watch::default(),
            tally: Tally { runs: 1, ..Tally::default() },
            trace: Trace::new(number("SIM_LINES")),
            broken,
            failure: None,
            dice,
        };
        world.begin_operating();
        world.later(0, Due::AgentStarts);
        world.trouble_soon();
        world
    }

    pub fn later(&mut self, after: u64, due: Due) {
        self.queue.put(self.clock.now + after, due);
    }

    pub fn note(&mut self, what: What) {
        self.trace.note(self.clock.now, what);
    }

    pub fn fail(&mut self, why: impl Into<String>) {
        if self.failure.is_none() {
            let why = why.into();
            self.note(What::Text("BROKEN", why.clone()));
            self.failure = Some(why);
        }
    }

    /// Whether chance has this go wrong; counted.
    pub fn fault(&mut self, fault: Fault, one_in: u64) -> bool {
        let happens = self.faulty && self.dice.one_in(one_in);
        if happens {
            self.tally.fault(fault);
        }
        happens
    }

    /// The agent of that start, if it is still that one.
    pub fn alive(&mut self, life: u64) -> Option<&mut Agent> {
        let current = self.life == life;
        self.agent.as_mut().filter(|_| current)
    }

    pub fn run_until(&mut self, until: u64) {
        while self.failure.is_none() && self.step(until) {}
        self.clock.now = self.clock.now.max(until);
    }

    /// `false`: nothing is due before then.
    fn step(&mut self, until: u64) -> bool {
        let wake = self.agent.as_ref().and_then(|agent| agent.wake).map_or(u64::MAX, |wake| self.clock.at(wake));
        let first = self.queue.first().unwrap_or(u64::MAX);
        let next = wake.min(first).max(self.clock.now);
        if next >= until {
            return false;
        }
        if self.queue.len() > MOST_DUE {
            self.fail("more is on its way than there can be");
        }
        self.clock.now = next;
        if wake < first {
            if let Some(agent) = &mut self.agent {
                agent.wake = None;
            }
            if self.fault(Fault::WakeLate, 400) {
                let late = self.dice.between(1, 3_000);
                self.turn_after(late);
            } else {
                self.turn_now();
            }
        } else if let Some((_, due)) = self.queue.take() {
            self.happen(due);
        }
        self.look();
        true
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Effect(call) => self.effect(call),
            Due::Answer(call) => self.answer(call),
            Due::Dies(handle, code, started) => self.dies(&handle, code, started),
            Due::Progresses(handle) => self.progresses(&handle),
            Due::Told(life, by, event) => self.told(life, by, *event),
            Due::Looked(life, by, ticket) => self.looked(life, by, ticket),
            Due::Listed(life, by, ticket, listed) => self.listed(life, by, ticket, listed),
            Due::ExecutorBack(by) => self.executor_back(by),
            Due::AgentStarts => self.agent_starts(),
            Due::Turn(life) => self.turn_due(life),
            Due::Relist(life) => self.relist_all(life),
            Due::Alive(life) => self.say_alive(life),
            Due::FilesQuiet(life) => self.files_quiet(life),
            Due::Rescan(life) => self.rescan(life),
            Due::Write(life) => self.write(life),
            Due::Exchanged(life, exchange, epoch) => self.exchanged(life, exchange, epoch),
            Due::Serve(life) => self.serve_due(life),
            Due::Publish(life) => self.publish(life),
            Due::KeepEvents(life) => self.keep_events(life),
            Due::Killed(life) => self.killed_at_last(life),
            Due::Metric => self.metric_changes(),
            Due::Edit => self.edit(),
            Due::ServerEdit => self.server_edit(),
            Due::Command => self.command(),
            Due::Trouble => self.trouble(),
            Due::BrokerBack => self.broker_back(),
            Due::ServerBack => self.server_back(),
            Due::DiskWell => self.disk_well(),
            Due::ClockRight => self.clock_right(),
            Due::DirectoryBack => self.directory_back(),
        }
    }
}
