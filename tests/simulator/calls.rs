//! What the executors are asked to do, and how that goes: well, badly, late, or otherwise than they say.
//!
//! What stands: a start that was reported as failed may still take effect, but not once its executor was asked for a list
//! after it (its names are taken, or it is gone); and no call of an agent that is dead takes effect after the next one asks.

use flotta_agent::executor::{End, ExecutorError, ExecutorId, Handle, Phase, Quota};
use flotta_agent::model::status::Reason;
use flotta_agent::scheduler::Input;
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Outcome;

use crate::due::Due;
use crate::machine::{end, marker};
use crate::mutation::Mutation;
use crate::tally::{Done, Fault};
use crate::trace::What;
use crate::wanted::{Behaviour, Wanted};
use crate::world::World;

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Well,
    /// Nothing happens, and that is said.
    Fails(Reason),
    /// It happens, and it is said that it did not.
    FailsAndDoes(Reason),
    /// It is said that it failed, and then it happens.
    DoesLate(Reason),
    /// It is said that it happened, and it did not, or is over at once.
    Lies,
}

/// An executor's call under way.
#[derive(Debug)]
pub struct Call {
    pub life: u64,
    pub step: Step,
    manner: Manner,
    /// It took effect, or never will.
    settled: bool,
    answered: bool,
    outcome: Option<Outcome>,
}

impl Call {
    /// The agent does not wait for it any more.
    pub fn is_over(&self) -> bool {
        self.answered
    }
}

fn error(reason: Reason) -> ExecutorError {
    ExecutorError { reason, message: "a fault of the simulator's".into() }
}

fn kind(action: &StepAction) -> (&'static str, Done) {
    match action {
        StepAction::Start(..) => ("start", Done::Start),
        StepAction::Stop(..) => ("stop", Done::Stop),
        StepAction::Remove(..) => ("remove", Done::Remove),
        StepAction::Resume(..) => ("resume", Done::Resume),
        StepAction::Limit(..) => ("limit", Done::Limit),
    }
}

impl World {
    pub fn begin(&mut self, step: Step) {
        let (name, done) = kind(&step.action);
        self.note(What::Of(name, step.id.to_string(), describe(&step)));
        self.tally.done(done);
        self.check_begun(&step);
        let away = self.machine.away.contains(&step.executor);
        let pods = step.executor == ExecutorId::Podman;
        let failure = match step.action {
            StepAction::Start(..) if pods && self.dice.one_in(3) => Reason::ImagePull,
            _ if self.dice.one_in(3) => Reason::ExecutorUnreachable,
            _ => Reason::StartFailed,
        };
        let lies = matches!(step.action, StepAction::Start(..) | StepAction::Stop(_));
        let manner = match () {
            () if away => Manner::Fails(Reason::ExecutorUnreachable),
            () if self.fault(Fault::CallFailed, 14) => Manner::Fails(failure),
            () if self.fault(Fault::CallFailedAndTookEffect, 30) => Manner::FailsAndDoes(Reason::ExecutorUnreachable),
            () if self.fault(Fault::CallTookEffectLate, 40) => Manner::DoesLate(Reason::ExecutorUnreachable),
            () if lies && self.fault(Fault::CallLied, 30) => Manner::Lies,
            () => Manner::Well,
        };
        let usual = match step.action {
            StepAction::Start(..) if pods => self.dice.between(100, 1_500),
            StepAction::Stop(..) => self.dice.around(200).min(5_000),
            _ => self.dice.between(3, 60),
        };
        let takes = if self.fault(Fault::CallHung, 50) { self.dice.between(5_000, 300_000) } else { usual };
        let life = self.life;
        self.call += 1;
        let call = self.call;
        self.calls.insert(call, Call { life, step, manner, settled: false, answered: false, outcome: None });
        let effect = match manner {
            Manner::DoesLate(_) => takes + self.dice.between(1, 20_000),
            _ => self.dice.below(takes + 1),
        };
        self.later(effect, Due::Effect(call));
        self.later(takes + 1, Due::Answer(call));
        if self.broken == Some(Mutation::StartsTwice) && self.dice.one_in(50) {
            self.start_once_more(call);
        }
    }

    /// What a broken agent does: the same call twice.
    fn start_once_more(&mut self, call: u64) {
        let Some(Call { life, step, .. }) = self.calls.get(&call) else { return };
        if matches!(step.action, StepAction::Start(..)) {
            let (life, step, manner) = (*life, step.clone(), Manner::Well);
            self.call += 1;
            self.calls.insert(self.call, Call { life, step, manner, settled: false, answered: true, outcome: None });
            self.later(2_000, Due::Effect(self.call));
        }
    }

    /// It takes effect, if it is one that does and nothing was in the way.
    pub fn effect(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.settled) else { return };
        call.settled = true;
        let (step, manner, answered) = (call.step.clone(), call.manner, call.answered);
        let done = match manner {
            Manner::Fails(_) => None,
            Manner::Lies => self.lie(&step),
            Manner::Well | Manner::FailsAndDoes(_) | Manner::DoesLate(_) => self.carry_out(&step),
        };
        if answered {
            self.calls.remove(&number);
        } else if let Some(call) = self.calls.get_mut(&number) {
            call.outcome = done;
        }
    }

    fn carry_out(&mut self, step: &Step) -> Option<Outcome> {
        let clock = self.clock.clone();
        match &step.action {
            StepAction::Start(workload, quota) => {
                let phase = match step.executor {
                    ExecutorId::Podman if self.dice.one_in(6) => Phase::Starting("waits for its init container".into()),
                    _ => Phase::Running,
                };
                let starting = phase != Phase::Running;
                let handle = self.machine.start(workload, *quota, phase, &clock);
                self.check_started(workload);
                self.comes_to_life(&handle, workload.cron.is_some(), marker(workload).unwrap_or(0));
                if starting {
                    let takes = self.dice.between(100, 20_000);
                    self.later(takes, Due::Progresses(handle.clone()));
                }
                if step.executor == ExecutorId::Podman {
                    self.tell(&handle);
                }
                self.machine.look(&handle).map(Outcome::Started)
            }
            StepAction::Stop(handle) => {
                let code = if self.dice.one_in(3) { 0 } else { 143 };
                let stopped = End { stopped: true, ..end(Some(code), &clock) };
                let ended = self.machine.end(handle, stopped, &clock)?;
                if self.dice.one_in(2) {
                    self.tell(handle);
                }
                Some(Outcome::Stopped(ended))
            }
            StepAction::Remove(handle) => {
                self.machine.remove(handle);
                Some(Outcome::Removed)
            }
            StepAction::Resume(handle, ..) => {
                let marker = self.machine.things.get(handle)?.marker;
                if !self.machine.resume(handle, &clock) {
                    return None;
                }
                self.comes_to_life(handle, false, marker);
                self.machine.look(handle).map(Outcome::Resumed)
            }
            StepAction::Limit(handle, quota) => {
                let refused = self.dice.one_in(20);
                let thing = self.machine.things.get_mut(handle).filter(|thing| thing.runs())?;
                thing.quota = if refused { Quota::Refused(*quota) } else { Quota::InForce(*quota) };
                self.machine.look(handle).map(Outcome::Limited)
            }
        }
    }

    /// A start that is over at once or never was, a stop that stops nothing; all else is as it is said.
    fn lie(&mut self, step: &Step) -> Option<Outcome> {
        match &step.action {
            StepAction::Start(..) => {
                let outcome = self.carry_out(step);
                if let Some(Outcome::Started(instance)) = &outcome {
                    let handle = instance.handle.clone();
                    if self.dice.one_in(2) {
                        self.machine.end(&handle, end(Some(1), &self.clock), &self.clock);
                        self.tell(&handle);
                    } else if self.machine.end(&handle, end(Some(1), &self.clock), &self.clock).is_some() {
                        self.machine.remove(&handle);
                        self.watch.never_ran(&step.id);
                    }
                }
                outcome
            }
            StepAction::Stop(handle) => {
                let thing = self.machine.things.get_mut(handle)?;
                thing.lied = true;
                Some(Outcome::Stopped(End { stopped: true, ..end(Some(0), &self.clock) }))
            }
            _ => self.carry_out(step),
        }
    }

    /// What it does of its own, from now on.
    fn comes_to_life(&mut self, handle: &Handle, cron: bool, marker: u64) {
        let started = self.clock.now;
        let life = match Wanted::behaviour(marker, cron) {
            Behaviour::Ends(after, code) if cron || self.faulty => Some((after, code)),
            _ if self.faulty && self.dice.one_in(12) => Some((self.dice.around(600_000), 9)),
            _ => None,
        };
        if let Some((after, code)) = life {
            self.later(after, Due::Dies(handle.clone(), code, started));
        }
    }

    pub fn dies(&mut self, handle: &Handle, code: i32, started: u64) {
        let clock = self.clock.clone();
        let current = self.machine.things.get(handle).is_some_and(|thing| thing.started <= started);
        if current && self.machine.die(handle, code, &clock) {
            self.tally.fault(Fault::RunEnded);
            self.note(What::Of("ends by itself", handle.0.to_string(), code.to_string()));
            self.note_end(handle);
            self.tell(handle);
        }
    }

    pub fn progresses(&mut self, handle: &Handle) {
        let Some(thing) = self.machine.things.get_mut(handle) else { return };
        if matches!(thing.phase, Phase::Starting(_)) {
            thing.phase = Phase::Running;
            self.tell(handle);
        }
    }

    pub fn answer(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.answered) else { return };
        if !call.settled && !matches!(call.manner, Manner::DoesLate(_)) {
            return self.effect_and_answer(number);
        }
        call.answered = true;
        let result = match (call.manner, call.outcome.take()) {
            (Manner::Well | Manner::Lies, Some(outcome)) => Ok(outcome),
            (Manner::Well | Manner::Lies, None) => Err(error(Reason::StartFailed)),
            (Manner::Fails(reason) | Manner::FailsAndDoes(reason) | Manner::DoesLate(reason), _) => Err(error(reason)),
        };
        let (life, step) = (call.life, call.step.clone());
        if call.settled {
            self.calls.remove(&number);
        }
        if matches!(&result, Err(error) if error.reason == Reason::ImagePull) {
            self.tell_retry(&step);
        }
        if self.alive(life).is_none() {
            return;
        }
        if self.broken == Some(Mutation::DropsOutcomes) && self.dice.one_in(50) {
            return;
        }
        let said = if result.is_ok() { "is done" } else { "failed" };
        self.note(What::Of(kind(&step.action).0, step.id.to_string(), said.into()));
        let id = step.id.clone();
        self.input(Input::Done(step, result));
        if let Some(agent) = &mut self.agent {
            agent.at_work.remove(&id);
        }
    }

    fn effect_and_answer(&mut self, number: u64) {
        self.effect(number);
        self.answer(number);
    }

    /// What a call that was given up may still do, it does now or never: its executor is asked what is there.
    pub fn settle_late(&mut self, by: ExecutorId) {
        let late: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| call.answered && !call.settled && call.step.executor == by)
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            if self.dice.one_in(2) {
                self.effect(number);
            } else {
                self.calls.remove(&number);
            }
        }
    }

    /// The agent is gone: what it had asked for happens now, or half of it, or not at all.
    pub fn cut_calls_off(&mut self) {
        let clock = self.clock.clone();
        for (number, call) in std::mem::take(&mut self.calls) {
            if call.settled {
                continue;
            }
            let pod = call.step.executor == ExecutorId::Podman;
            match &call.step.action {
                StepAction::Start(workload, quota) if pod && self.dice.one_in(3) => {
                    self.machine.start(workload, *quota, Phase::Unfinished, &clock);
                    self.check_started(workload);
                }
                _ if self.dice.one_in(2) => {
                    self.calls.insert(number, call);
                    self.effect(number);
                }
                _ => {}
            }
        }
        self.calls.clear();
    }
}

fn describe(step: &Step) -> String {
    match &step.action {
        StepAction::Start(workload, quota) => format!("v{} {quota:?}", marker(workload).unwrap_or(0)),
        StepAction::Resume(handle, ..) | StepAction::Stop(handle) | StepAction::Remove(handle) => handle.0.to_string(),
        StepAction::Limit(handle, quota) => format!("{} {quota:?}", handle.0),
    }
}
