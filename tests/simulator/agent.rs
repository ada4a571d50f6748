//! The agent's process: what it loads at its start, its turns, and how it ends. Its mind is real; what stands here is what
//! `agent::reconcile` and `agent::mod` do around it.

use std::collections::{BTreeMap, BTreeSet};

use flotta_agent::agent::core::{News, Save, object};
use flotta_agent::executor::ExecutorId;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::WorkloadStatus;
use flotta_agent::model::time::Mono;
use flotta_agent::scheduler::Input;
use flotta_agent::source::flotta::Configured;
use flotta_agent::source::flotta::desired::StoredConfiguration;
use flotta_agent::source::flotta::session::Session;
use flotta_agent::source::manifests::{Directory, StoredManifests, Update};
use flotta_agent::state::numbers::Numbers;
use flotta_agent::state::{Ticket, sealed};

use crate::brain::Brain;
use crate::broker::{Line, NUMBERS};
use crate::due::{Due, Life};
use crate::evidence::Evidence;
use crate::machine::EXECUTORS;
use crate::mutation::Mutation;
use crate::tally::Done;
use crate::trace::What;
use crate::world::World;

/// SPEC: what events missed is caught by a list, this often.
const RELIST: u64 = 30_000;
/// `mqtt.alive`.
const ALIVE: u64 = 60_000;
/// The watcher looks at all marks this often.
pub const RESCAN: u64 = 30_000;
/// A turn that was due comes within this time.
const LATE: std::time::Duration = std::time::Duration::from_secs(10);
/// Turns in a row that may want another one at once.
const MOST_SPINS: u32 = 20;
/// `GRACEFUL_SHUTDOWN`.
const GRACE: u64 = 10_000;

/// The process.
pub struct Agent {
    pub brain: Brain,
    pub directory: Directory,
    /// Which version of each file it has read.
    pub read: BTreeMap<String, u64>,
    /// Files of which it was told that they changed.
    pub changed: BTreeSet<String>,
    pub last_update: Option<Update>,
    pub configured: Configured,
    pub session: Session,
    pub listing: BTreeSet<ExecutorId>,
    /// Executors that have said what is there.
    pub answered: BTreeSet<ExecutorId>,
    /// Workloads with an operation under way.
    pub at_work: BTreeSet<WorkloadId>,
    pub wake: Option<Mono>,
    /// When it wanted to wake; what the machine sleeps through comes later.
    pub promised: Option<Mono>,
    pub turn_due: bool,
    pub write_due: Option<u64>,
    pub line: Line,
    pub evidence: Evidence,
    pub statuses: BTreeMap<WorkloadId, WorkloadStatus>,
    pub seq: Option<u64>,
    pub numbers: Numbers,
    /// Events that wait are about to be stored.
    pub keeping: bool,
    pub profiles: BTreeSet<String>,
    /// Commands whose answer waits until it is stored.
    pub asked: Vec<Ticket>,
    pub ending: bool,
    pub turns: u64,
    /// Turns in a row that wanted another one at once.
    spins: u32,
}

impl World {
    pub fn agent_starts(&mut self) {
        if self.agent.is_some() {
            return;
        }
        self.life += 1;
        self.tally.done(Done::AgentStart);
        self.note(What::Number("the agent starts, life", self.life));
        if let Err(why) = self.start_agent() {
            self.fail(why);
        }
    }

    fn start_agent(&mut self) -> Result<(), String> {
        let (life, now) = (self.life, self.clock.read());
        let numbers = self.store.start_numbers(now.wall)?;
        if self.store.is_off() {
            self.power_cut("at the agent's start");
            return Ok(());
        }
        let brain = Brain::load(&mut self.store, self.boot, numbers.used(), self.broken, now)?;
        let manifests = self.store.load::<StoredManifests>(object::MANIFESTS)?;
        let server = self.store.load::<Option<StoredConfiguration>>(object::FLOTTA)?;
        let manifests = manifests.filter(|_| self.broken != Some(Mutation::ForgetsManifests));
        let server = server.filter(|_| self.broken != Some(Mutation::ForgetsServer));
        let (configured, first) = Configured::restored(self.server.settings(), server);
        let session = self.server.session(configured.period(), life, now.mono);
        let agent = Agent {
            brain,
            directory: Directory::restored("manifests", &manifests.unwrap_or_default()),
            read: BTreeMap::new(),
            changed: BTreeSet::new(),
            last_update: None,
            configured,
            session,
            listing: BTreeSet::new(),
            answered: BTreeSet::new(),
            at_work: BTreeSet::new(),
            wake: None,
            promised: None,
            turn_due: false,
            write_due: None,
            line: Line::default(),
            evidence: Evidence::default(),
            statuses: BTreeMap::new(),
            seq: None,
            numbers,
            keeping: false,
            profiles: BTreeSet::new(),
            asked: Vec::new(),
            ending: false,
            turns: 0,
            spins: 0,
        };
        self.agent = Some(agent);
        self.recall_events()?;
        self.read_files(true);
        if let Some(update) = first {
            self.wish(News::Flotta(update));
        }
        self.check_start();
        self.later(0, Due::Relist(life));
        self.later(ALIVE, Due::Alive(life));
        self.later(RESCAN, Due::Rescan(life));
        self.turn_after(0);
        Ok(())
    }

    /// What a source wants now.
    pub fn wish(&mut self, news: News) {
        let now = self.clock.read();
        if let Some(agent) = &mut self.agent {
            agent.brain.wish(&news, now);
            self.turn_after(0);
        }
        self.check_wish();
    }

    pub fn input(&mut self, input: Input) {
        let now = self.clock.read();
        let Some(agent) = &mut self.agent else { return };
        agent.evidence.take(&input, &agent.at_work);
        agent.brain.input(input, now);
        // Sometimes more goes into the same turn.
        let wait = if self.dice.one_in(8) { self.dice.below(5) } else { 0 };
        self.turn_after(wait);
    }

    pub fn turn_after(&mut self, wait: u64) {
        let life = self.life;
        if let Some(agent) = &mut self.agent
            && !std::mem::replace(&mut agent.turn_due, true)
        {
            self.later(wait, Due::Turn(life));
        }
    }

    pub fn turn_due(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.turn_now();
        }
    }

    /// One turn of the loop.
    pub fn turn_now(&mut self) {
        let now = self.clock.read();
        let Some(agent) = &mut self.agent else { return };
        agent.turn_due = false;
        agent.turns += 1;
        self.tally.turns += 1;
        let late = agent.promised.filter(|promised| promised.plus(LATE) < now.mono);
        let turn = agent.brain.turn(now);
        agent.promised = turn.wake;
        agent.wake = turn.wake.filter(|_| self.broken != Some(Mutation::NeverWakes));
        let spins = agent.wake.is_some_and(|wake| wake <= now.mono);
        agent.spins = if spins { agent.spins + 1 } else { 0 };
        if spins {
            agent.wake = Some(Mono(now.mono.0 + 1));
        }
        if let Some(promised) = late {
            return self.fail(format!(
                "it was to wake at {} ms, and that was {} ms ago",
                promised.0,
                now.mono.0 - promised.0
            ));
        }
        if agent.spins > MOST_SPINS {
            return self.fail(format!("it wakes again and again for nothing: {:?}", turn.output));
        }
        let again = agent.turns.is_multiple_of(16);
        self.check_turn(&turn);
        for step in turn.output.steps {
            self.begin(step);
        }
        for by in turn.output.relist {
            self.list(by);
        }
        self.say(turn.output.statuses, turn.output.events, turn.profiles);
        for save in turn.saves {
            self.save(&save);
        }
        if again {
            self.check_nothing_left();
        }
        self.serve();
        self.pump();
        self.perhaps_end();
    }

    fn save(&mut self, save: &Save) {
        if matches!((self.broken, save), (Some(Mutation::ForgetsTruths), Save::Truths(_))) {
            return;
        }
        if matches!(save, Save::Books(_)) {
            self.watch.books_at = self.clock.now;
        }
        let bytes = sealed(save.name(), save).expect("sealed");
        self.store.save(save.name(), bytes, save.alone(), self.clock.now);
    }

    pub fn relist_all(&mut self, life: Life) {
        if self.alive(life).is_none() {
            return;
        }
        let first = self.agent.as_ref().is_some_and(|agent| agent.turns == 0);
        if first || self.broken != Some(Mutation::NeverLists) {
            for by in EXECUTORS {
                self.list(by);
            }
        }
        self.later(RELIST, Due::Relist(life));
    }

    pub fn say_alive(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.say_device();
            self.later(ALIVE, Due::Alive(life));
        }
    }

    /// Gives the disk what is due, or sees to it that it will.
    pub fn pump(&mut self) {
        let (life, mono) = (self.life, self.clock.mono());
        let Some(agent) = &mut self.agent else { return };
        let (writes, at) = self.store.next(mono);
        let due = match (writes, at) {
            (true, _) => self.clock.now + self.dice.between(1, 30),
            (false, Some(at)) => self.clock.at(at).max(self.clock.now),
            (false, None) => return,
        };
        if writes || agent.write_due.is_none_or(|known| known > due) {
            agent.write_due = Some(due);
            self.queue.put(due, Due::Write(life));
        }
    }

    pub fn write(&mut self, life: Life) {
        let (now, mono) = (self.clock.now, self.clock.mono());
        let Some(agent) = self.alive(life) else { return };
        if agent.write_due == Some(now) {
            agent.write_due = None;
        }
        if self.store.is_writing() {
            self.tally.done(Done::DiskWrite);
            if !self.store.carry_out(mono) {
                self.power_cut("in the middle of a write");
                return;
            }
            self.told_stored();
        }
        self.pump();
    }

    pub fn told_stored(&mut self) {
        for (ticket, result) in self.store.take_told() {
            let Some(agent) = &mut self.agent else { return };
            let known = agent.asked.len();
            agent.asked.retain(|asked| *asked != ticket);
            if agent.asked.len() < known {
                self.answered(result);
            }
        }
    }

    /// It was told to stop: it begins nothing new, and ends when nothing is under way, or its grace is over.
    pub fn stop_agent(&mut self) {
        let now = self.clock.read();
        let life = self.life;
        let Some(agent) = self.agent.as_mut().filter(|agent| !agent.ending) else { return };
        agent.ending = true;
        agent.brain.input(Input::Pause, now);
        self.note(What::Said("the agent is told to stop"));
        self.tally.done(Done::OrderlyStop);
        self.later(GRACE, Due::Killed(life));
        self.perhaps_end();
    }

    fn perhaps_end(&mut self) {
        if self.agent.as_ref().is_some_and(|agent| agent.ending && !agent.brain.core.reconciler().is_busy()) {
            self.end_in_order();
        }
    }

    pub fn killed_at_last(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.end_in_order();
        }
    }

    /// What is due is written, and it is gone.
    fn end_in_order(&mut self) {
        if let Some(agent) = &self.agent {
            let end = agent.numbers.end();
            self.store.save(NUMBERS, sealed(NUMBERS, &end).expect("sealed"), false, self.clock.now);
        }
        self.keep_events(self.life);
        self.store.end();
        let mono = self.clock.mono();
        while self.store.is_writing() || self.store.next(mono).0 {
            self.tally.done(Done::DiskWrite);
            if !self.store.carry_out(mono) {
                self.power_cut("at the agent's end");
                return;
            }
        }
        self.told_stored();
        if self.store.health() == crate::store::Health::Well
            && let Some(name) = self.store.late(self.clock.now, 0)
        {
            self.fail(format!("the agent ended, and {name} is not on disk as it was handed over"));
        }
        self.note(What::Said("the agent has ended"));
        self.agent_is_gone();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if self.agent.is_some() {
            self.note(What::Said("kill -9"));
            self.agent_is_gone();
        }
    }

    fn agent_is_gone(&mut self) {
        self.note_truths();
        self.note_events();
        self.store.killed();
        self.agent = None;
        self.cut_calls_off();
        self.broker.lost();
        self.watch_death();
        let wait = self.dice.around(3_000);
        self.later(wait, Due::AgentStarts);
    }

    /// The machine loses its power, and gets it back.
    pub fn power_cut(&mut self, when: &'static str) {
        self.note(What::Text("the power goes,", when.into()));
        self.tally.fault(crate::tally::Fault::PowerCut);
        self.note_truths();
        self.note_events();
        self.agent = None;
        self.cut_calls_off();
        self.store.power_cut();
        self.machine.power_cut(&self.clock);
        self.excuse_all();
        self.broker.lost();
        self.watch_death();
        self.clock.now += self.dice.between(500, 60_000);
        self.clock.boot();
        self.boot += 1;
        if self.faulty && self.dice.one_in(3) {
            // No battery behind its clock: it wakes in another year, and is told the time later.
            self.clock.jump(-400 * 86_400_000);
            self.watch.forget_times();
            let right = self.dice.between(1_000, 600_000);
            self.later(right, Due::ClockRight);
        }
        let wait = self.dice.between(500, 20_000);
        self.later(wait, Due::AgentStarts);
    }
}
