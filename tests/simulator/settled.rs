//! Once nothing goes wrong any more: everything that should run runs, nothing else does, and what is said is so.

use std::collections::BTreeMap;

use flotta_agent::executor::Phase;
use flotta_agent::gates::Gate;
use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::{Reason, State, WorkloadStatus};
use flotta_agent::model::workload::{RestartPolicy, Workload};
use flotta_agent::source::flotta::session::Phase as Relation;

use crate::broker::json;
use crate::machine::{Thing, marker};
use crate::tally::Done;
use crate::wanted::{METRICS, Wanted};
use crate::watch::Locked;
use crate::world::World;

const MINUTE: u64 = 60_000;
/// From the end of all faults until everything is as it should be: the longest retry, a list, an enrolment beside it.
const SETTLED: u64 = 5 * MINUTE;
/// From a metric's change until everything is as it should be: a stop's grace, a slow start, nothing to wait for.
const FOLLOWED: u64 = 45_000;
/// The session with a server that had thrown the device out, or was away, waits at most half an hour between tries.
const REGISTERED: u64 = 4 * 60 * MINUTE;
const FLIPS: usize = 5;
/// So long after a full minute what schedules begin has begun.
const QUIET: u64 = 20_000;
/// Times of schedules are counted over so many minutes.
const COUNTED: u64 = 11;

impl World {
    /// The whole of one seed: trouble, then calm.
    pub fn live(&mut self, trouble: u64) {
        self.run_until(trouble);
        self.end_of_trouble();
        self.calm();
        self.tally.ms += self.clock.now;
    }

    fn rest(&mut self, ms: u64) {
        self.run_until(self.clock.now + ms);
    }

    fn calm(&mut self) {
        let touched = self.operator.repair();
        self.files_changed(touched);
        self.server.repair();
        for name in METRICS {
            let value = self.dice.below(10) as f64;
            self.metric_when_there(name, value);
        }
        self.rest(SETTLED);
        self.register();
        self.check_settled("after the trouble");
        if self.watch.locked != Locked::No || self.watch.asking.is_some() {
            self.ask(Command::Unlock);
            self.rest(SETTLED);
            if self.watch.locked != Locked::No {
                self.fail("nobody answers to unlock");
            }
            self.check_settled("after the lock");
        }
        for _ in 0..FLIPS {
            for name in METRICS {
                let value = self.dice.below(10) as f64;
                self.metric_when_there(name, value);
            }
            self.rest(FOLLOWED);
            self.check_settled("after metrics changed");
        }
        self.count_times();
        self.check_quiet();
    }

    /// Metrics reach the agent once it is there.
    fn metric_when_there(&mut self, name: &'static str, value: f64) {
        for _ in 0..60 {
            if self.agent.is_some() || self.failure.is_some() {
                break;
            }
            self.rest(MINUTE);
        }
        self.metric(name, Some(value), None);
    }

    fn register(&mut self) {
        let until = self.clock.now + REGISTERED;
        while self.clock.now < until && self.failure.is_none() {
            let there = |agent: &crate::agent::Agent| agent.session.phase() == Relation::Registered;
            if self.agent.as_ref().is_some_and(there) {
                // Its configuration comes within a period.
                return self.rest(SETTLED);
            }
            self.rest(MINUTE);
        }
        self.fail("the device never gets on with its server again");
    }

    /// What should be, as those wrote it who want it.
    fn wishes(&self) -> BTreeMap<WorkloadId, Wanted> {
        let id = |name: &str| WorkloadId::parse(name).expect("a name");
        let mut wishes = BTreeMap::new();
        for (path, file) in &self.operator.files {
            let name = path.trim_start_matches("moved-").trim_end_matches(".yaml");
            if let Some(wanted) = &file.wanted {
                wishes.insert(id(name), wanted.clone());
            }
        }
        for (name, wanted) in &self.server.workloads {
            wishes.insert(id(name), wanted.clone());
        }
        wishes
    }

    fn check_settled(&mut self, when: &str) {
        if self.failure.is_some() {
            return;
        }
        // Not in the middle of what each full minute begins.
        let into = self.clock.wall().0.rem_euclid(60_000) as u64;
        self.rest(QUIET.saturating_sub(into));
        if let Some(why) = self.unsettled() {
            self.fail(format!("{when}: {why}"));
        }
    }

    /// What is not as it should be.
    fn unsettled(&mut self) -> Option<String> {
        let Some(agent) = &self.agent else { return Some("there is no agent".into()) };
        let wishes = self.wishes();
        let desired = &agent.brain.desired.workloads;
        for (id, wanted) in &wishes {
            let has = desired.get(id).and_then(|workload| marker(workload));
            if has != Some(wanted.marker) {
                return Some(format!("{id} is wanted as v{}, and the agent knows of {has:?}", wanted.marker));
            }
        }
        if let Some(id) = desired.keys().find(|id| !wishes.contains_key(*id)) {
            return Some(format!("{id} is wanted by nobody but the agent"));
        }
        for (_, thing) in self.machine.running() {
            if !wishes.contains_key(&thing.id) {
                return Some(format!("{} runs, and nobody wants it", thing.id));
            }
        }
        if !agent.statuses.keys().eq(desired.keys()) {
            return Some(format!("the statuses are of {:?}", agent.statuses.keys()));
        }
        for (id, workload) in desired {
            let gate = agent.brain.gates.gate(&workload.gates);
            let things: Vec<&Thing> =
                self.machine.running().map(|(_, thing)| thing).filter(|thing| thing.id == *id).collect();
            if let Some(why) = self.wrong(workload, gate, things.first().copied(), &agent.statuses[id]) {
                return Some(format!("{id} (v{:?}) {why}: {:?}", marker(workload), agent.statuses[id]));
            }
            let topic = agent.line.topics.workload(id);
            if self.broker.retained.get(&topic) != Some(&json(&agent.statuses[id])) {
                return Some(format!(
                    "the broker holds something else of {id} than what is so: {:?}",
                    self.broker.retained.get(&topic)
                ));
            }
        }
        if let Some((seq, said)) =
            self.broker.awaited.first_key_value().filter(|(_, said)| **said + MINUTE < self.clock.now)
        {
            return Some(format!("event {seq} was said at {said} ms, and never came"));
        }
        let held = self.broker.retained.keys().filter(|topic| topic.contains("/workloads/")).count();
        if held != desired.len() {
            return Some(format!("the broker holds {held} statuses of {} workloads", desired.len()));
        }
        self.store.late(self.clock.now, 5_000).map(|name| format!("{name} is not on disk"))
    }

    fn wrong(
        &self,
        workload: &Workload,
        gate: Gate,
        runs: Option<&Thing>,
        status: &WorkloadStatus,
    ) -> Option<&'static str> {
        let current = runs.filter(|thing| thing.hash == workload.hash);
        let quota_follows = |quota: Option<u32>| {
            use flotta_agent::executor::Quota;
            current.is_none_or(|thing| match thing.quota {
                Quota::Fixed => true,
                Quota::InForce(has) | Quota::Refused(has) => has == quota,
                Quota::Stale => false,
            })
        };
        if let Locked::Yes { keep } = self.watch.locked {
            return match (runs, status.state) {
                (Some(_), _) if !keep => Some("runs, and the device is locked"),
                (Some(_), State::Running | State::Degraded | State::Deploying) => None,
                (None, State::Inactive) => None,
                _ => Some("is not what a lock makes of it"),
            };
        }
        match (gate, workload.cron.is_some(), status.state, status.reason) {
            (Gate::Closed { .. }, _, State::Inactive, _) if runs.is_none() => None,
            (Gate::Closed { .. }, ..) => Some("should not run"),
            (Gate::Open { cpu_quota_us }, ..) if !quota_follows(cpu_quota_us) => Some("has another CPU quota"),
            // It comes and goes by itself; a run that could not be started is said until the next one.
            (_, true, State::Ready, Reason::CronWait) if runs.is_none() => None,
            (_, true, State::Error, _) if runs.is_none() => None,
            (_, true, State::Running | State::Deploying | State::Degraded, _) => None,
            (_, true, ..) => Some("does not wait for its time"),
            (_, false, State::Running, _) if current.is_some_and(|thing| thing.runs()) => None,
            (_, false, State::Degraded, _) => match current.map(|thing| &thing.phase) {
                Some(Phase::Degraded(_)) if workload.restart != RestartPolicy::Always => None,
                _ => Some("is not what it is said to be"),
            },
            (_, false, State::Stopped | State::Exited, _)
                if runs.is_none() && workload.restart != RestartPolicy::Always =>
            {
                None
            }
            _ => Some("has not settled"),
        }
    }

    /// Each time of a schedule is a run, or skipped and said.
    fn count_times(&mut self) {
        let into = self.clock.wall().0.rem_euclid(60_000) as u64;
        self.rest(60_000 - into + 30_000);
        let Some(agent) = &self.agent else { return };
        let from = self.clock.wall();
        let open = |workload: &Workload| matches!(agent.brain.gates.gate(&workload.gates), Gate::Open { .. });
        let known = agent.brain.desired.workloads.values().filter(|workload| workload.cron.is_some() && open(workload));
        let schedules: Vec<_> = known.cloned().collect();
        let before = self.watch.times.clone();
        if schedules.is_empty() {
            return;
        }
        self.rest(COUNTED * MINUTE);
        let to = self.clock.wall();
        for workload in schedules {
            let Some(cron) = &workload.cron else { continue };
            if cron.schedule.is_fixed() && self.watch.clock_was_odd {
                // By a clock that was ahead its time may have come already: then it does not come again.
                continue;
            }
            let mut due = 0;
            let mut at = from;
            while let Some(next) = cron.schedule.next(at).filter(|next| *next <= to) {
                (due, at) = (due + 1, next);
            }
            let (begun, skipped) = before.get(&workload.id).copied().unwrap_or_default();
            let (begun_now, skipped_now) = self.watch.times.get(&workload.id).copied().unwrap_or_default();
            let (begun, skipped) = (begun_now - begun, skipped_now - skipped);
            if begun + skipped != due {
                let (line, id) = (cron.schedule.expression(), &workload.id);
                let why = format!(
                    "{id} ({line}) had {due} times from {} to {}, and {begun} runs and {skipped} skipped: {:?}",
                    from.rfc3339(),
                    to.rfc3339(),
                    self.agent.as_ref().and_then(|agent| agent.statuses.get(id))
                );
                return self.fail(why);
            }
        }
    }

    /// Nothing is written while nothing changes.
    fn check_quiet(&mut self) {
        let Some(agent) = &self.agent else { return };
        if agent.brain.desired.workloads.values().any(|workload| workload.cron.is_some()) {
            return;
        }
        self.rest(11 * MINUTE);
        let before = self.tally.count(Done::DiskWrite);
        self.rest(10 * MINUTE);
        let written = self.tally.count(Done::DiskWrite) - before;
        if written > 0 {
            self.fail(format!("{written} writes while nothing changed"));
        }
    }
}
