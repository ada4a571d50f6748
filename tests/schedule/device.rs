//! A device with one workload, and an executor that does at once what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::cron::{Schedule, Zone};
use flotta_agent::executor::{Down, End, ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::gates::Gates;
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::profile::{ConditionRef, ProfileRef};
use flotta_agent::model::status::{Reason, WorkloadStatus};
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::model::workload::{Cron, Kind, Payload, RestartPolicy, ShellSpec, Workload};
use flotta_agent::scheduler::memory::StoredBooks;
use flotta_agent::scheduler::plan::{Step, StepAction};
use flotta_agent::scheduler::reconciler::Outcome;
use flotta_agent::scheduler::times::Skipped;
use flotta_agent::scheduler::{Input, Limits, Reconciler};

use crate::{gates, models};

const SHELL: ExecutorId = ExecutorId::Shell;
pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

pub fn utc(text: &str) -> Wall {
    Wall::parse_rfc3339(text).expect("a time")
}

pub fn id() -> WorkloadId {
    WorkloadId::parse("w").expect("a name")
}

/// Runs all the time.
pub fn steady(restart: RestartPolicy) -> Workload {
    let argv = vec!["/bin/true".to_owned()];
    let shell = ShellSpec { argv, env: BTreeMap::new(), working_dir: None, user: None, grace: Duration::from_secs(10) };
    models::workload("w", 0xaa, Kind::Shell, Payload::Shell(shell), restart)
}

/// Runs at its times, in UTC.
pub fn timed(expression: &str, catch_up: bool) -> Workload {
    let schedule = Schedule::parse(expression, Zone::named("UTC").expect("UTC")).expect("a schedule");
    Workload { cron: Some(Cron { schedule, catch_up }), ..steady(RestartPolicy::Never) }
}

/// Behind the profile `open` (true) or `closed` (false).
pub fn behind(gate: &str, workload: Workload) -> Workload {
    let conditions = vec![ConditionRef { name: "c".into(), cpu_quota_us: None }];
    Workload { gates: vec![ProfileRef { name: gate.into(), conditions }], ..workload }
}

pub struct Device {
    pub reconciler: Reconciler,
    pub gates: Gates,
    pub now: Now,
    pub there: Option<Instance>,
    /// When each run began, in seconds of the wall clock.
    pub runs: Vec<String>,
    pub skipped: Vec<(String, Skipped)>,
    /// How long a run takes, and how it ends; `None`: until it is stopped.
    pub lasts: Option<(u64, i32)>,
    /// What the next starts fail with.
    pub fails: Option<Reason>,
    /// The newest that was handed out to be stored.
    pub stored: StoredBooks,
    ends: Option<u64>,
    handles: u64,
    boots: u64,
}

impl Device {
    pub fn at(wall: &str, workload: Workload) -> Device {
        let now = Now { mono: Mono(1_000_000), wall: utc(wall) };
        let reconciler = Reconciler::new(Limits::default(), &[SHELL]);
        let mut device = Device {
            reconciler,
            gates: gates::open_and_closed(now),
            now,
            there: None,
            runs: Vec::new(),
            skipped: Vec::new(),
            lasts: Some((SECOND, 0)),
            fails: None,
            stored: StoredBooks::default(),
            ends: None,
            handles: 0,
            boots: 0,
        };
        device.reconciler = device.fresh(StoredBooks::default(), "boot 1");
        device.wants(workload);
        device
    }

    fn fresh(&self, stored: StoredBooks, boot: &str) -> Reconciler {
        Reconciler::new(Limits::default(), &[SHELL]).remembering(stored, self.reconciler.lock(), boot)
    }

    /// The agent ends and another begins with `stored`; what runs, runs on.
    pub fn restart(&mut self, stored: StoredBooks, boot: &str, workload: Workload) {
        self.restart_unanswered(stored, boot, workload);
        self.list();
        self.turn();
    }

    /// The same, and nobody has said yet what is there: as it always is at first.
    pub fn restart_unanswered(&mut self, stored: StoredBooks, boot: &str, workload: Workload) {
        self.reconciler = self.fresh(stored, boot);
        self.hear(Input::Desired(Box::new(desired(workload))));
        self.turn();
    }

    /// The agent does not believe a clock that shows less than this. It has `stored` from before.
    pub fn restart_believing_from(&mut self, wall: &str, stored: StoredBooks, workload: Workload) {
        self.reconciler = self.fresh(stored, "boot 1").with_clock_from(utc(wall));
        self.wants(workload);
    }

    /// The machine loses its power, and is there again.
    pub fn power_cut(&mut self, workload: Workload) {
        self.ends = None;
        if let Some(instance) = &mut self.there {
            let cut = End { code: None, how: "cut off".into(), cut_off: true, ..end(0, self.now.wall, false) };
            instance.phase = Phase::Ended(cut);
        }
        self.boots += 1;
        self.now.mono.0 = 5_000;
        self.restart(self.stored.clone(), &format!("after cut {}", self.boots), workload);
    }

    pub fn wants(&mut self, workload: Workload) {
        self.hear(Input::Desired(Box::new(desired(workload))));
        self.list();
        self.turn();
    }

    pub fn list(&mut self) {
        let there = self.there.clone().into_iter().collect();
        self.hear(Input::Listed(SHELL, u64::MAX, Ok(there)));
    }

    pub fn hear(&mut self, input: Input) {
        self.reconciler.handle(input, self.now);
    }

    pub fn says(&self) -> WorkloadStatus {
        self.reconciler.statuses().next().expect("a status").clone()
    }

    /// The wall clock is set.
    pub fn set_clock(&mut self, wall: &str) {
        self.now.wall = utc(wall);
        self.turn();
    }

    /// Time goes by without anybody looking.
    pub fn sleep(&mut self, ms: u64) {
        self.now.mono.0 += ms;
        self.now.wall.0 += i64::try_from(ms).expect("small");
    }

    /// Time goes by; whatever is due meanwhile happens at its moment. A turn at least once a minute.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.mono.0 + ms;
        while self.now.mono.0 < until {
            let wake = self.turn().map_or(until, |wake| wake.0);
            let next =
                wake.min(self.ends.unwrap_or(until)).min(self.now.mono.0 + MINUTE).clamp(self.now.mono.0 + 1, until);
            self.sleep(next - self.now.mono.0);
            if self.ends.is_some_and(|ends| ends <= self.now.mono.0) {
                self.end();
            }
        }
        self.turn();
    }

    /// It ends after this time, while nobody is there to hear of it.
    pub fn end_unheard(&mut self, ms: u64) {
        self.sleep(ms);
        self.ends = None;
        let code = self.lasts.map_or(0, |(_, code)| code);
        if let Some(instance) = &mut self.there {
            instance.phase = Phase::Ended(end(code, self.now.wall, false));
            instance.look += 1;
        }
    }

    /// These containers of it end, badly, one second after the other; another one runs on.
    pub fn falls_apart(&mut self, containers: &[&str]) {
        let mut down = Vec::new();
        for name in containers {
            self.sleep(SECOND);
            down.push(Down { name: (*name).to_owned(), end: end(1, self.now.wall, false) });
            let Some(instance) = &mut self.there else { return };
            instance.phase = Phase::Degraded(down.clone());
            instance.look += 1;
            let told = instance.clone();
            self.hear(Input::Told(SHELL, ExecutorEvent::Changed(told)));
            self.turn();
        }
    }

    fn end(&mut self) {
        self.ends = None;
        let Some(instance) = &mut self.there else { return };
        let code = self.lasts.map_or(0, |(_, code)| code);
        instance.phase = Phase::Ended(end(code, self.now.wall, false));
        instance.look += 1;
        let told = instance.clone();
        self.hear(Input::Told(SHELL, ExecutorEvent::Changed(told)));
    }

    pub fn turn(&mut self) -> Option<Mono> {
        loop {
            let output = self.reconciler.turn(&self.gates, self.now);
            self.stored = output.remember.unwrap_or_else(|| self.stored.clone());
            self.skipped.extend(output.skipped.into_iter().map(|(_, at, why)| (at.rfc3339(), why)));
            if output.steps.is_empty() {
                return output.wake;
            }
            for step in output.steps {
                let result = self.carry_out(&step);
                self.hear(Input::Done(step, result));
            }
            if !output.relist.is_empty() || self.fails.is_some() {
                self.list();
            }
        }
    }

    pub fn carry_out(&mut self, step: &Step) -> Result<Outcome, ExecutorError> {
        match &step.action {
            StepAction::Start(workload, _) => {
                assert!(self.there.is_none(), "two at once");
                if let Some(reason) = self.fails {
                    return Err(ExecutorError { reason, message: "it does not start".into() });
                }
                self.handles += 1;
                self.runs.push(self.now.wall.rfc3339());
                let instance = Instance {
                    id: workload.id.clone(),
                    hash: workload.hash.clone(),
                    handle: Handle(format!("h{}", self.handles).into()),
                    phase: Phase::Running,
                    started_at: self.now.wall,
                    warnings: Vec::new(),
                    look: 0,
                    quota: Quota::Fixed,
                    in_place: false,
                    unready: Vec::new(),
                };
                self.there = Some(instance.clone());
                self.ends = self.lasts.map(|(ms, _)| self.now.mono.0 + ms);
                Ok(Outcome::Started(instance))
            }
            StepAction::Stop(_) => {
                self.ends = None;
                let end = end(143, self.now.wall, true);
                if let Some(instance) = &mut self.there {
                    instance.phase = Phase::Ended(end.clone());
                    instance.look += 1;
                }
                Ok(Outcome::Stopped(end))
            }
            StepAction::Remove(_) => {
                self.there = None;
                Ok(Outcome::Removed)
            }
            other => panic!("not for this executor: {other:?}"),
        }
    }
}

fn desired(workload: Workload) -> Desired {
    Desired { workloads: BTreeMap::from([(workload.id.clone(), Arc::new(workload))]), ..Desired::default() }
}

fn end(code: i32, at: Wall, stopped: bool) -> End {
    End {
        code: Some(code),
        at,
        how: format!("exit code {code}"),
        tail: "the last line".into(),
        cut_off: false,
        stopped,
    }
}
