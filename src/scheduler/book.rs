//! What is remembered of a workload between two plans.

use crate::executor::{Down, End, ExecutorId, Handle, Instance, Phase};
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::{Mono, Now, Wall};
use crate::model::workload::{RestartPolicy, Retry, SharedWorkload, SpecHash};

use super::times::{LATE, Times};

use std::collections::VecDeque;
use std::time::Duration;

/// A start that waits for something is tried again after this time even if nobody says that it is there.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The same for what may be away for days (a device that is unplugged): each try is an event, and its executor looks more often.
const VOLUME_WAIT_MAX: Duration = Duration::from_secs(600);
/// After an operation that nobody answered, or an end that failed, the next try comes this much later; doubled each time …
const SOON: Duration = Duration::from_secs(1);
/// … up to this.
const LATER: Duration = Duration::from_secs(20);
/// Removed instances that are remembered: events are late by seconds, and a crash loop goes round once a second at most.
const REMOVED: usize = 32;
/// Two tellings of one stop differ by less, in ms: who stopped it, and who looked at it later.
const SAME_END: i64 = 30_000;
/// A run this long resets the count of failures (SPEC "Retry").
pub const RESET_AFTER: Duration = Duration::from_secs(600);

/// An executor that is asked for nothing else of this workload until it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One copy is being started.
    Start,
    /// It is told to stop.
    Stop,
    /// What is left of an ended one is taken away.
    Remove,
    /// Its start goes on, or what is down of it is started again in place.
    Resume,
    /// It gets another CPU quota.
    Limit,
}

/// An instance and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The executor that knows it.
    pub by: ExecutorId,
    /// What it told.
    pub instance: Instance,
}

impl Seen {
    /// It has not ended.
    #[must_use]
    pub fn runs(&self) -> bool {
        !matches!(self.instance.phase, Phase::Ended(_))
    }

    fn end(&self) -> Option<(End, SpecHash)> {
        match &self.instance.phase {
            Phase::Ended(end) => Some((end.clone(), self.instance.hash.clone())),
            Phase::Starting(_) | Phase::Unfinished | Phase::Running | Phase::Degraded(_) => None,
        }
    }

    /// What is down of it.
    #[must_use]
    pub fn down(&self) -> &[Down] {
        match &self.instance.phase {
            Phase::Degraded(down) => down,
            Phase::Starting(_) | Phase::Unfinished | Phase::Running | Phase::Ended(_) => &[],
        }
    }
}

/// The wait before the next try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Bad ends and failed operations in a row.
    pub failures: u32,
    /// Not to be started before.
    pub until: Option<Mono>,
    /// Why the last start failed; `None` after one that did not.
    pub error: Option<(Reason, String)>,
    /// Starts in a row that nobody answered.
    pub unanswered: u32,
    /// Stops and removals that failed in a row, or that nobody answered.
    pub failed_ends: u32,
    /// Why the last one did, and when the next one may come.
    pub end_error: Option<(Mono, String)>,
}

/// Everything the scheduler knows of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// Who it is.
    pub id: WorkloadId,
    /// What should be; `None`: it should not be here.
    pub desired: Option<SharedWorkload>,
    /// What is; more than one is a fault that is mended.
    pub instances: Vec<Seen>,
    /// The operation under way, and by whom.
    pub operation: Option<(Operation, ExecutorId)>,
    /// The retry.
    pub backoff: Backoff,
    /// What was adopted rather than started by this agent.
    pub adopted: Option<Handle>,
    /// What was removed last, oldest first, at most [`REMOVED`] of them: late news of it mean nothing.
    pub removed: VecDeque<Handle>,
    /// How often its gates had fallen when it was last started or first seen.
    pub falls: Option<u64>,
    /// Code of its last end.
    pub last_exit_code: Option<i32>,
    /// When its last run started.
    pub last_run: Option<Wall>,
    /// Starts that followed an end of its own.
    pub restarts: u64,
    /// The next start follows an end of its own.
    pub ended_by_itself: bool,
    /// When its executor was last heard about it.
    pub observed_at: Option<Wall>,
    /// Counts what happened here; a list that began before is older news.
    pub touched: u64,
    /// When the run at hand was first seen running.
    pub running_since: Option<Mono>,
    /// An operation of this executor failed and may have had an effect all the same: nothing is started before it was
    /// asked what is there.
    pub uncertain: Option<ExecutorId>,
    /// A CPU quota could not be told: not again before.
    pub limit_retry: Option<Mono>,
    /// Why it could not be told; said as a warning until it can.
    pub limit_error: Option<String>,
    /// What a start waits for is there: said while the start had not told yet that it waits.
    pub retry_heard: bool,
    /// Counts what was news about its instances.
    pub news: u64,
    /// Its schedule, if it has one.
    pub times: Option<Times>,
    /// For which time the run at hand, or the last one, was begun.
    pub begun: Option<Wall>,
    /// Somebody asked for a run now.
    pub asked: bool,
    /// Another version ran before a restart of the agent, maybe by another executor.
    pub changed_away: bool,
    /// When the last end that was counted was: the same one is not counted again after a restart of the agent.
    pub counted: Option<Wall>,
    /// Where in its share a randomised wait falls, together with the count of failures; other devices have others.
    pub luck: u64,
}

impl Book {
    /// An empty page.
    #[must_use]
    pub fn new(id: WorkloadId) -> Book {
        Book {
            id,
            desired: None,
            instances: Vec::new(),
            operation: None,
            backoff: Backoff::default(),
            adopted: None,
            removed: VecDeque::new(),
            falls: None,
            last_exit_code: None,
            last_run: None,
            restarts: 0,
            ended_by_itself: false,
            observed_at: None,
            touched: 0,
            running_since: None,
            uncertain: None,
            limit_retry: None,
            limit_error: None,
            retry_heard: false,
            news: 0,
            times: None,
            begun: None,
            asked: false,
            changed_away: false,
            counted: None,
            luck: 0,
        }
    }

    /// Takes a new wish; another version forgets the old one's failures, and takes over what is known of its own.
    pub fn set_desired(&mut self, desired: Option<SharedWorkload>, now: Now) {
        let hash = |workload: &Option<SharedWorkload>| workload.as_ref().map(|w| w.hash.clone());
        let changed = hash(&self.desired) != hash(&desired);
        self.desired = desired;
        match self.desired.as_ref().map(|workload| workload.cron.is_some()) {
            Some(true) => drop(self.times.get_or_insert_default()),
            _ => self.times = None,
        }
        if !changed {
            return;
        }
        self.backoff = Backoff::default();
        self.ended_by_itself = false;
        self.asked = false;
        self.counted = None;
        let ends: Vec<(End, SpecHash)> = self.instances.iter().filter_map(Seen::end).collect();
        for (end, hash) in ends {
            self.note_end(&end, &hash, false, now);
        }
    }

    /// Takes news of an instance; what was looked at before the last news of it is none.
    pub fn observe(&mut self, by: ExecutorId, instance: Instance, now: Now) {
        if self.removed.contains(&instance.handle) {
            return;
        }
        self.observed_at = Some(now.wall);
        self.note_run(instance.started_at, now);
        let known = self.instances.iter().position(|known| known.instance.handle == instance.handle);
        let before = known.and_then(|at| self.instances.get(at)).map(|seen| seen.instance.clone());
        if before.as_ref().is_some_and(|before| before.look > instance.look) {
            return;
        }
        if before.as_ref() == Some(&Instance { look: before.as_ref().map_or(0, |b| b.look), ..instance.clone() }) {
            return;
        }
        self.news = self.news.saturating_add(1);
        if self.adopted.as_ref() == Some(&instance.handle)
            && matches!(instance.phase, Phase::Unfinished | Phase::Ended(_))
        {
            // What runs after this was started again by this agent, in place.
            self.adopted = None;
        }
        let found = before.is_none();
        let phase = before.map(|before| before.phase);
        match (&phase, &instance.phase) {
            (_, Phase::Starting(_) | Phase::Unfinished) => {}
            (_, Phase::Running) => self.running_since = self.running_since.or(Some(now.mono)),
            (_, Phase::Degraded(down)) => {
                let known = |one: &Down| matches!(&phase, Some(Phase::Degraded(before)) if before.iter().any(|b| same_end(b, one)));
                for one in down.iter().filter(|one| !known(one)) {
                    self.note_down(&one.end, &instance.hash, found, now);
                }
            }
            // Of the same end more is known. Another one: nobody saw it run meanwhile.
            (Some(Phase::Ended(before)), Phase::Ended(end))
                if (before.stopped && end.at.0 <= before.at.0.saturating_add(SAME_END))
                    || before.at.0 / 1000 == end.at.0 / 1000 => {}
            (_, Phase::Ended(end)) => self.note_end(end, &instance.hash, found, now),
        }
        match known.and_then(|at| self.instances.get_mut(at)) {
            Some(slot) => *slot = Seen { by, instance },
            None => {
                self.instances.push(Seen { by, instance });
                self.instances.sort_by(|a, b| a.instance.handle.cmp(&b.instance.handle));
            }
        }
    }

    /// One began then; zero: not yet. One that began far in the future did so by a clock that was wrong.
    fn note_run(&mut self, at: Wall, now: Now) {
        let before = self.last_run.filter(|before| before.since(now.wall) <= LATE);
        if at.0 != 0 {
            self.last_run = before.max(Some(at));
        }
    }

    /// Ten minutes of running make up for the failures before: when they are over, as the machine may lose its power before
    /// the next end.
    pub fn note_time(&mut self, now: Mono) {
        let long = self.running_since.is_some_and(|since| now.since(since) >= RESET_AFTER);
        if self.backoff.failures > 0 && long && self.instances.iter().any(Seen::runs) {
            self.backoff.failures = 0;
        }
    }

    /// A list that was asked for after the last outcome outranks it: what is said to have been stopped or removed, and runs,
    /// was not.
    pub fn believe(&mut self, instance: &Instance) {
        let outranked = |seen: &&mut Seen| seen.instance.handle == instance.handle && seen.instance.look == u64::MAX;
        if let Phase::Ended(end) = &instance.phase {
            // A later end than that of the stop: it was started again meanwhile, by what had failed for all that was known.
            let later = |seen: &Seen| matches!(&seen.instance.phase, Phase::Ended(before) if end.at.0 > before.at.0.saturating_add(SAME_END));
            if let Some(seen) = self.instances.iter_mut().find(outranked).filter(|seen| later(seen)) {
                seen.instance.look = instance.look;
            }
            return;
        }
        self.removed.retain(|removed| *removed != instance.handle);
        if let Some(seen) = self.instances.iter_mut().find(outranked) {
            seen.instance.look = instance.look;
        }
    }

    /// Takes the news that an instance is gone.
    pub fn forget(&mut self, handle: &Handle, now: Now) {
        self.instances.retain(|known| known.instance.handle != *handle);
        if !self.instances.iter().any(Seen::runs) {
            self.running_since = None;
        }
        if self.removed.len() >= REMOVED {
            self.removed.pop_front();
        }
        self.removed.push_back(handle.clone());
        self.observed_at = Some(now.wall);
        if self.adopted.as_ref() == Some(handle) {
            self.adopted = None;
        }
    }

    /// What its start needs is on its way: no failure. [`crate::executor::ExecutorEvent::Retry`] ends the wait, and if that
    /// gets lost, the time.
    pub fn note_waiting(&mut self, reason: Reason, message: String, now: Now) {
        let most = if reason == Reason::VolumeWait { VOLUME_WAIT_MAX } else { WAIT_MAX };
        let wait = if std::mem::take(&mut self.retry_heard) { Duration::ZERO } else { most };
        self.backoff.until = Some(now.mono.plus(wait));
        self.backoff.error = Some((reason, message));
        self.not_begun();
    }

    /// The run by schedule that was to be started was not, and is still due.
    fn not_begun(&mut self) {
        if let (Some(times), Some(at)) = (&mut self.times, self.begun) {
            times.not_begun(at);
        }
    }

    /// Counts a failure and plans the next try.
    pub fn note_failure(&mut self, reason: Reason, message: String, now: Now) {
        self.backoff.failures = self.backoff.failures.saturating_add(1);
        // A run by schedule has no retry: its next one is at its next time.
        let wait = self.retry().interval(self.backoff.failures, self.roll());
        self.backoff.until = Some(now.mono.plus(wait)).filter(|_| self.times.is_none());
        self.backoff.error = Some((reason, message));
    }

    /// Nobody answered: no failure of its own, and no reason to begin from scratch.
    pub fn note_unreachable(&mut self, message: String, now: Now) {
        let until = now.mono.plus(doubled(self.backoff.unanswered).min(self.retry().interval(1, 0)));
        self.not_begun();
        self.backoff.unanswered = self.backoff.unanswered.saturating_add(1);
        self.backoff.until = self.backoff.until.max(Some(until));
        if self.backoff.error.is_none() {
            self.backoff.error = Some((Reason::ExecutorUnreachable, message));
        }
    }

    /// A stop or a removal failed, or nobody answered it: says nothing about starts.
    pub fn note_end_failure(&mut self, message: String, now: Now) {
        let until = now.mono.plus(doubled(self.backoff.failed_ends));
        self.backoff.failed_ends = self.backoff.failed_ends.saturating_add(1);
        self.backoff.end_error = Some((until, message));
    }

    /// What failed before and works now is no error any more. That a start failed stays one until a start does not.
    /// `ends`: it was a stop or a removal that worked.
    pub fn note_success(&mut self, ends: bool) {
        if ends {
            self.backoff.failed_ends = 0;
            self.backoff.end_error = None;
            return;
        }
        self.backoff.unanswered = 0;
        if self.backoff.error.take().is_some() {
            self.backoff.until = None;
        }
    }

    /// A part of it ended while others run on.
    fn note_down(&mut self, end: &End, hash: &SpecHash, found: bool, now: Now) {
        let desired = self.desired.as_deref().filter(|w| w.hash == *hash);
        let Some(policy) = desired.map(|w| w.restart) else { return };
        self.last_exit_code = end.code;
        let again = policy == RestartPolicy::Always || (policy == RestartPolicy::OnFailure && end.code != Some(0));
        if again && !end.stopped {
            self.note_wait(end, found, now);
        }
    }

    fn note_end(&mut self, end: &End, hash: &SpecHash, found: bool, now: Now) {
        self.last_exit_code = end.code;
        let ours = end.stopped || self.operation.is_some_and(|(operation, _)| operation == Operation::Stop);
        let of_this_version = self.desired.as_ref().is_some_and(|w| w.hash == *hash);
        if ours || !of_this_version {
            self.running_since = None;
            return;
        }
        // The next run of a schedule is none that was started again.
        self.ended_by_itself = self.times.is_none();
        self.note_wait(end, found, now);
    }

    /// Counts an end that nobody asked for, and plans the next start. `found`: at the first look at it, which may be one of an
    /// agent that was started after it.
    fn note_wait(&mut self, end: &End, found: bool, now: Now) {
        if self.times.is_some() {
            self.backoff = Backoff::default();
            self.running_since = None;
            return;
        }
        // After a restart of the agent the same ends are found again: of several containers also those before the last.
        let (at, counted) = (end.at.0 / 1000, self.counted.map(|counted| counted.0 / 1000));
        let known = end.at.0 != 0 && counted.is_some_and(|counted| at == counted || (found && at < counted));
        if !known {
            self.counted = Some(end.at);
        }
        // Nobody knows when: now. It may have been while no agent was there.
        let at = if end.at.0 == 0 { now.wall } else { end.at };
        let ago = now.wall.since(at);
        let ran = self.running_since.take().map_or(Duration::ZERO, |since| now.mono.since(since)).saturating_sub(ago);
        if ran >= RESET_AFTER {
            self.backoff.failures = 0;
        }
        self.backoff.error = None;
        self.backoff.until = None;
        if end.code == Some(0) {
            self.backoff.failures = 0;
        } else if !known && !end.cut_off {
            self.backoff.failures = self.backoff.failures.saturating_add(1);
        }
        if !end.cut_off {
            // The wait counts from the end itself.
            let interval = self.retry().interval(self.backoff.failures.max(1), self.roll());
            self.backoff.until = Some(now.mono.plus(interval.saturating_sub(ago)));
        }
    }

    /// The same for the same count of failures, so that what was said of the next try stays true.
    fn roll(&self) -> u64 {
        let mut z = self.luck.wrapping_add(u64::from(self.backoff.failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn retry(&self) -> Retry {
        self.desired.as_ref().map_or(Retry::DEFAULT, |workload| workload.retry)
    }

    /// The executor that what is desired belongs to.
    #[must_use]
    pub fn executor(&self) -> Option<ExecutorId> {
        self.desired.as_ref().map(|workload| ExecutorId::of(workload.kind, workload.rootless))
    }

    /// Nothing is left to remember or to say.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.desired.is_none() && self.instances.is_empty() && self.operation.is_none()
    }
}

fn doubled(times: u32) -> Duration {
    SOON.saturating_mul(1 << times.min(10)).min(LATER)
}

/// The same part, ended at the same time: no news.
fn same_end(a: &Down, b: &Down) -> bool {
    a.name == b.name && a.end.at == b.end.at && a.end.code == b.end.code
}
