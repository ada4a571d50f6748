//! The rules: what is done with one workload now, and what is said about it (SPEC "Scheduler").

use std::collections::BTreeMap;

use crate::executor::{Down, End, ExecutorId, Handle, Phase, Quota};
use crate::gates::Gate;
use crate::model::status::{Reason, State};
use crate::model::time::{Mono, Now};
use crate::model::workload::{Payload, RestartPolicy, Workload};

use super::book::{Book, Operation, Seen};
use super::plan::earlier;

/// Whether an executor can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked yet: nothing is known, so nothing is decided.
    #[default]
    Unasked,
    /// It answered.
    Reachable,
    /// It did not: why, and what to do, in a sentence.
    Unreachable(String),
    /// This version of the agent has none for that kind.
    Absent,
}

/// Whether each executor can be asked; one that is not there is [`Reach::Absent`].
pub type Reaches = BTreeMap<ExecutorId, Reach>;

/// The device is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lock {
    /// What runs goes on.
    pub keep: bool,
}

/// All that the decision about one workload rests on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What is desired, observed and remembered.
    pub book: &'a Book,
    /// What its profiles say.
    pub gate: Gate,
    /// How often its gates have fallen.
    pub falls: u64,
    /// Whether its executor can be asked.
    pub reaches: &'a Reaches,
    /// The agent stops and takes its workloads along.
    pub shutting_down: bool,
    /// Nothing is started until the device is unlocked.
    pub lock: Option<Lock>,
    /// Both clocks.
    pub now: Now,
}

impl Situation<'_> {
    fn reach(&self, executor: ExecutorId) -> &Reach {
        self.reaches.get(&executor).unwrap_or(&Reach::Absent)
    }

    /// Until when a failed stop or removal is not tried again. That a start failed holds back no end.
    fn held_back(&self) -> Option<Mono> {
        self.book.backoff.end_error.as_ref().map(|(until, _)| *until).filter(|until| *until > self.now.mono)
    }

    /// Until when nothing is to be started.
    fn waits(&self) -> Option<Mono> {
        self.book.backoff.until.filter(|until| *until > self.now.mono)
    }

    /// The next time of its schedule, on the clock that timers live on.
    fn next_time(&self) -> Option<Mono> {
        // One that has passed waits for a clock that can be believed, and not for an alarm.
        let next = self.book.times.as_ref()?.next.filter(|next| *next > self.now.wall)?;
        Some(self.now.mono_at(next))
    }

    /// Starting it again in place was tried, and failed: a new one is needed.
    fn failed_in_place(&self) -> bool {
        let no_failure = |reason: Reason| matches!(reason, Reason::ExecutorUnreachable | Reason::VolumeWait);
        self.book.backoff.error.as_ref().is_some_and(|(reason, _)| !no_failure(*reason))
    }
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start one copy, held to this CPU quota (µs per 100 ms).
    Start(Option<u32>),
    /// Go on with its start, or start again in place what is down of it.
    Resume(ExecutorId, Handle, RestartPolicy),
    /// Hold this one to a CPU quota, or lift it.
    Limit(ExecutorId, Handle, Option<u32>),
    /// Ask this one to end.
    Stop(ExecutorId, Handle),
    /// Take away what is left of this one.
    Remove(ExecutorId, Handle),
}

/// The decision about one workload, with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is said; `None`: nothing yet (its executor was not asked), or nothing any more.
    pub say: Option<(State, Reason)>,
    /// What is done, if anything.
    pub action: Option<Action>,
    /// When to decide again even if nothing happens.
    pub wake: Option<Mono>,
    /// When what is waited for is tried: said. Not the time of a schedule, which is one of the wall clock: counted on this
    /// one it would differ from turn to turn.
    pub next: Option<Mono>,
}

impl Verdict {
    fn say(state: State, reason: Reason) -> Verdict {
        Verdict { say: Some((state, reason)), ..Verdict::NONE }
    }

    const NONE: Verdict = Verdict { say: None, action: None, wake: None, next: None };

    fn act(mut self, action: Action) -> Verdict {
        self.action = Some(action);
        self
    }

    fn until(mut self, wake: Option<Mono>) -> Verdict {
        (self.wake, self.next) = (wake, wake);
        self
    }
}

/// Decides one workload. Pure: the same situation gives the same verdict.
#[must_use]
pub fn decide(at: &Situation<'_>) -> Verdict {
    match at.book.operation.map(|(operation, _)| operation) {
        None => settled(at),
        // One operation at a time: what else is to be done waits for its outcome.
        Some(Operation::Start) => Verdict::say(State::Deploying, Reason::Starting),
        Some(Operation::Stop) => Verdict::say(State::Running, Reason::Stopping),
        Some(Operation::Remove | Operation::Resume | Operation::Limit) => Verdict { action: None, ..settled(at) },
    }
}

fn settled(at: &Situation<'_>) -> Verdict {
    let verdict = known(at);
    match verdict.action {
        // What failed may have taken effect all the same: what had ended may run again, and what was down too.
        Some(Action::Resume(..) | Action::Remove(..)) if at.book.uncertain.is_some() => {
            Verdict { action: None, ..verdict }
        }
        _ => verdict,
    }
}

/// What is done if all that is known is so.
fn known(at: &Situation<'_>) -> Verdict {
    let lost = |seen: &Seen| matches!(at.reach(seen.by), Reach::Unreachable(_));
    if at.book.instances.iter().any(lost) {
        return unreachable(at.book);
    }
    let Some(desired) = at.book.desired.as_deref() else {
        return leave(at, None);
    };
    let executor = ExecutorId::of(desired.kind, desired.rootless);
    let wrong = match (at.reach(executor), &desired.payload) {
        (Reach::Unasked, _) => return Verdict::NONE,
        (_, Payload::Invalid(_)) => Some(Reason::InvalidSpec),
        (_, Payload::Forbidden(_)) => Some(Reason::ForbiddenByPolicy),
        (Reach::Absent, _) => Some(Reason::NotSupported),
        (Reach::Unreachable(_), _) => return unreachable(at.book),
        (Reach::Reachable, _) => None,
    };
    if at.shutting_down {
        return leave(at, Some((State::Inactive, Reason::ShuttingDown)));
    }
    if let Some(reason) = wrong {
        return leave(at, Some((State::Error, reason)));
    }
    let verdict = match (at.lock, at.gate) {
        (Some(lock), _) => locked(at, desired, lock),
        (None, Gate::Closed { reason, .. }) => leave(at, Some((State::Inactive, reason))),
        (None, Gate::Open { cpu_quota_us }) => run(at, desired, cpu_quota_us),
    };
    // Its times go by whatever it does.
    Verdict { wake: earlier(verdict.wake, at.next_time()), ..verdict }
}

/// Nothing is started. What has ended stays as it is, so that unlocking does not ask for a new run of it.
fn locked(at: &Situation<'_>, desired: &Workload, lock: Lock) -> Verdict {
    let inactive = Some((State::Inactive, Reason::Locked));
    let current = |seen: &&Seen| seen.runs() && seen.instance.hash == desired.hash;
    let running = at.book.instances.iter().find(current).or(at.book.instances.iter().find(|seen| seen.runs()));
    match running {
        Some(running) if lock.keep => {
            let (state, reason) = says(at.book, running);
            Verdict::say(state, reason)
        }
        Some(running) => end_of(at, running, Some((State::Running, Reason::Stopping))),
        None => Verdict { say: inactive, ..Verdict::NONE },
    }
}

fn unreachable(book: &Book) -> Verdict {
    let seen = book.observed_at.is_some();
    Verdict::say(if seen { State::Unknown } else { State::Error }, Reason::ExecutorUnreachable)
}

/// It should not run here: whatever is left of it goes, then `then` is said.
fn leave(at: &Situation<'_>, then: Option<(State, Reason)>) -> Verdict {
    if let Some(running) = at.book.instances.iter().find(|seen| seen.runs()) {
        return end_of(at, running, Some((State::Running, Reason::Stopping)));
    }
    match at.book.instances.first() {
        Some(ended) => end_of(at, ended, then),
        None => Verdict { say: then, ..Verdict::NONE },
    }
}

/// A running one is stopped, an ended one removed; after a failure of that, not before its time.
fn end_of(at: &Situation<'_>, seen: &Seen, say: Option<(State, Reason)>) -> Verdict {
    let verdict = Verdict { say, ..Verdict::NONE };
    let handle = seen.instance.handle.clone();
    match at.held_back() {
        // What is left of the one before it is in the way of a start.
        Some(until) if say == Some((State::Deploying, Reason::Starting)) => {
            Verdict::say(State::Error, Reason::StopFailed).until(Some(until))
        }
        Some(until) => verdict.until(Some(until)),
        None if seen.runs() => verdict.act(Action::Stop(seen.by, handle)),
        None => verdict.act(Action::Remove(seen.by, handle)),
    }
}

/// It should run here, once, in this version.
fn run(at: &Situation<'_>, desired: &Workload, cpu_quota_us: Option<u32>) -> Verdict {
    let executor = ExecutorId::of(desired.kind, desired.rootless);
    let ours = |seen: &&Seen| seen.instance.hash == desired.hash && seen.by == executor;
    let keep = at.book.instances.iter().filter(|seen| seen.runs()).find(ours);
    // Doubles and other versions go first, running ones before ended ones.
    let is = |one: Option<&Seen>, seen: &Seen| one.is_some_and(|one| one.instance.handle == seen.instance.handle);
    if let Some(running) = at.book.instances.iter().find(|seen| seen.runs() && !is(keep, seen)) {
        return end_of(at, running, Some((State::Running, Reason::Stopping)));
    }
    let last = at.book.instances.iter().filter(|seen| !seen.runs() && keep.is_none()).rfind(ours);
    if let Some(old) = at.book.instances.iter().find(|seen| !is(keep, seen) && !is(last, seen)) {
        let (state, reason) = match keep {
            Some(keep) => says(at.book, keep),
            None => (State::Deploying, Reason::Starting),
        };
        return end_of(at, old, Some((state, reason)));
    }
    match (keep, last.map(|last| (last, &last.instance.phase))) {
        (Some(keep), _) => go_on(at, desired, keep, cpu_quota_us),
        (None, last) if desired.cron.is_some() => by_schedule(at, last.map(|(last, _)| last), cpu_quota_us),
        (None, Some((last, Phase::Ended(end)))) => after_end(at, desired, last, end),
        (None, _) => start(at, cpu_quota_us),
    }
}

/// What is said of one that should be there, and is.
fn says(book: &Book, seen: &Seen) -> (State, Reason) {
    let adopted = book.adopted.as_ref() == Some(&seen.instance.handle);
    match &seen.instance.phase {
        Phase::Starting(_) | Phase::Unfinished => (State::Deploying, Reason::Starting),
        Phase::Degraded(down) if down.iter().any(|one| one.end.code != Some(0) || awaited(book, one)) => {
            (State::Degraded, Reason::ContainerDown)
        }
        Phase::Running | Phase::Degraded(_) if !seen.instance.unready.is_empty() => {
            let starting = seen.instance.unready.iter().all(|one| one.starting);
            if starting { (State::Deploying, Reason::Starting) } else { (State::Degraded, Reason::NotReady) }
        }
        // What ended well and is not to be started again has done its work.
        Phase::Running | Phase::Degraded(_) | Phase::Ended(_) if adopted => (State::Running, Reason::Adopted),
        Phase::Running | Phase::Degraded(_) | Phase::Ended(_) => (State::Running, Reason::Running),
    }
}

/// What is down is to be started again, as its restart policy says.
pub(super) fn awaited(book: &Book, down: &Down) -> bool {
    book.desired.as_ref().is_some_and(|desired| again(desired.restart, down.end.code == Some(0)))
}

fn again(policy: RestartPolicy, ended_well: bool) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => !ended_well,
        RestartPolicy::Never => false,
    }
}

/// It is there, in the version that is wanted: what is down of it comes back, and it gets the CPU that its conditions say.
fn go_on(at: &Situation<'_>, desired: &Workload, keep: &Seen, cpu_quota_us: Option<u32>) -> Verdict {
    let (state, reason) = says(at.book, keep);
    let verdict = Verdict::say(state, reason);
    let to_mend = match &keep.instance.phase {
        Phase::Unfinished => true,
        Phase::Degraded(down) => down.iter().any(|one| awaited(at.book, one)),
        Phase::Starting(_) | Phase::Running | Phase::Ended(_) => false,
    };
    if !to_mend {
        return limit(at, keep, cpu_quota_us, verdict);
    }
    match (at.waits(), &at.book.backoff.error) {
        // What runs of it follows its conditions meanwhile.
        (Some(until), error) => {
            let verdict = limit(at, keep, cpu_quota_us, verdict);
            let wake = Some(verdict.wake.map_or(until, |wake| wake.min(until)));
            let say = match error {
                // The others run on meanwhile.
                Some((Reason::VolumeWait, _)) if matches!(keep.instance.phase, Phase::Degraded(_)) => verdict.say,
                Some((reason, _)) => Some(failing(*reason)),
                None => verdict.say,
            };
            Verdict { say, wake, next: Some(until), ..verdict }
        }
        // In place; where that failed, or cannot be done, by a new one.
        (None, _) if keep.instance.in_place && !at.failed_in_place() => {
            verdict.act(Action::Resume(keep.by, keep.instance.handle.clone(), desired.restart))
        }
        (None, _) => end_of(at, keep, Some((State::Running, Reason::Stopping))),
    }
}

fn limit(at: &Situation<'_>, keep: &Seen, cpu_quota_us: Option<u32>, verdict: Verdict) -> Verdict {
    match keep.instance.quota {
        Quota::Fixed => verdict,
        Quota::InForce(quota) | Quota::Refused(quota) if quota == cpu_quota_us => verdict,
        Quota::InForce(_) | Quota::Refused(_) | Quota::Stale => {
            match at.book.limit_retry.filter(|until| *until > at.now.mono) {
                Some(until) => Verdict { wake: Some(until), ..verdict },
                None => verdict.act(Action::Limit(keep.by, keep.instance.handle.clone(), cpu_quota_us)),
            }
        }
    }
}

/// It runs at its times: the run that is due, or the wait for the next one.
fn by_schedule(at: &Situation<'_>, last: Option<&Seen>, cpu_quota_us: Option<u32>) -> Verdict {
    let due = at.book.times.as_ref().is_some_and(|times| times.due.is_some());
    let waiting = (at.waits(), &at.book.backoff.error);
    match (due, last, waiting) {
        // Its image is on its way, or nobody answered: the run that is due waits for that.
        (true, _, (Some(until), Some((reason, _)))) => {
            let (state, reason) = failing(*reason);
            Verdict::say(state, reason).until(Some(until))
        }
        (true, Some(last), _) => end_of(at, last, Some((State::Deploying, Reason::Starting))),
        (true, None, _) => start(at, cpu_quota_us),
        // There is no retry of a run: its next one is at its next time.
        (false, _, (_, Some((reason, _)))) => {
            let (state, reason) = failing(*reason);
            Verdict::say(state, reason)
        }
        (false, _, (_, None)) => Verdict::say(State::Ready, Reason::CronWait),
    }
}

fn after_end(at: &Situation<'_>, desired: &Workload, last: &Seen, end: &End) -> Verdict {
    let well = end.code == Some(0);
    let again = again(desired.restart, well);
    // A gate that closed and opened again between two plans asks for a new run as well.
    // So does a person, and one that was stopped for a reason that is no more.
    let asked_again = at.book.asked || end.stopped || at.book.falls.is_some_and(|seen| seen != at.falls);
    let starting = Some((State::Deploying, Reason::Starting));
    match (at.waits(), &at.book.backoff.error) {
        _ if !again && !asked_again && well => Verdict::say(State::Stopped, Reason::Completed),
        _ if !again && !asked_again => Verdict::say(State::Exited, Reason::Failed),
        (Some(until), None) if again && !end.stopped => Verdict::say(State::Ready, Reason::BackOff).until(Some(until)),
        (Some(until), Some((reason, _))) => {
            let (state, reason) = failing(*reason);
            Verdict::say(state, reason).until(Some(until))
        }
        (None, _) if again && !asked_again && last.instance.in_place && !at.failed_in_place() => {
            let resume = Action::Resume(last.by, last.instance.handle.clone(), desired.restart);
            Verdict { say: starting, action: Some(resume), ..Verdict::NONE }
        }
        _ => end_of(at, last, starting),
    }
}

/// What the failure of an operation is said as.
fn failing(reason: Reason) -> (State, Reason) {
    match reason {
        Reason::ImagePull | Reason::VolumeWait => (State::Ready, reason),
        _ => (State::Error, reason),
    }
}

fn start(at: &Situation<'_>, cpu_quota_us: Option<u32>) -> Verdict {
    let starting = Verdict::say(State::Deploying, Reason::Starting);
    if at.book.changed_away && at.reaches.values().any(|reach| *reach == Reach::Unasked) {
        // What ran before may still, and another executor may be the one that knows.
        return starting;
    }
    if at.book.uncertain.is_some_and(|by| matches!(at.reach(by), Reach::Unreachable(_))) {
        // It may run there; it is not to run twice.
        return unreachable(at.book);
    }
    if at.book.uncertain.is_some() {
        return match &at.book.backoff.error {
            Some((reason, _)) => {
                let (state, reason) = failing(*reason);
                Verdict::say(state, reason).until(at.held_back())
            }
            None => starting,
        };
    }
    match (at.waits(), &at.book.backoff.error) {
        (None, _) => starting.act(Action::Start(cpu_quota_us)),
        (Some(until), Some((reason, _))) => {
            let (state, reason) = failing(*reason);
            Verdict::say(state, reason).until(Some(until))
        }
        // Ended well and asked for again: nothing to wait for.
        (Some(_), None) if at.book.backoff.failures == 0 => starting.act(Action::Start(cpu_quota_us)),
        (Some(until), None) => Verdict::say(State::Ready, Reason::BackOff).until(Some(until)),
    }
}
