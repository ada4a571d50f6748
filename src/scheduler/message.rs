//! What is said of a workload: the status object, with its sentence.

use std::sync::Arc;

use crate::executor::{Down, End, ExecutorId, Handle, Phase, Quota, Unready};
use crate::gates::{Gate, Gates};
use crate::model::status::{Reason, State, WorkloadStatus};
use crate::model::time::{Mono, Now, Wall};
use crate::model::workload::{Kind, Payload, Workload};

use super::book::{Book, Operation, Seen};
use super::decide::{Lock, Reach, Reaches, Verdict, awaited};

mod schedule;

/// What a status is made of, cheap to compare: the sentence is made again only when one of these changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    state: State,
    reason: Reason,
    /// The very object that was desired; its address tells versions apart without comparing them.
    desired: Option<usize>,
    handle: Option<Handle>,
    until: Option<Mono>,
    cpu_quota_us: Option<u32>,
    failures: u32,
    restarts: u64,
    last_exit_code: Option<i32>,
    /// How often the truth of any condition of its profiles changed.
    gate_changes: u64,
    unreachable: Option<String>,
    /// What became known of its instances.
    news: u64,
    /// Of its schedule: the next time, the one that is due, how many were skipped, whether the clock can be believed.
    times: Option<(Option<Wall>, Option<Wall>, u64, bool)>,
    lock: Option<Lock>,
}

/// What is the same for all workloads.
pub(super) struct Sky<'a> {
    pub reaches: &'a Reaches,
    pub gates: &'a Gates,
    pub lock: Option<Lock>,
    pub not_before: Wall,
}

impl Facts {
    pub(super) fn of(book: &Book, say: (State, Reason), verdict: &Verdict, sky: &Sky<'_>, now: Now) -> Facts {
        let (state, reason) = say;
        let Sky { reaches, gates, .. } = *sky;
        let gate_refs = book.desired.as_ref().map_or(&[][..], |workload| &workload.gates);
        // What is in force, not what is wished.
        let hash = book.desired.as_ref().map(|workload| &workload.hash);
        let current = book.instances.iter().find(|seen| Some(&seen.instance.hash) == hash);
        let cpu_quota_us = match (gates.gate(gate_refs), current.map(|seen| seen.instance.quota)) {
            (Gate::Open { .. }, Some(Quota::InForce(quota))) => quota,
            (Gate::Open { .. }, Some(Quota::Stale | Quota::Refused(_))) | (Gate::Closed { .. }, _) => None,
            (Gate::Open { cpu_quota_us }, Some(Quota::Fixed) | None) => cpu_quota_us,
        };
        Facts {
            state,
            reason,
            desired: book.desired.as_ref().map(|workload| Arc::as_ptr(workload) as usize),
            handle: book.instances.iter().rfind(|seen| seen.runs()).map(|seen| seen.instance.handle.clone()),
            until: verdict.next,
            cpu_quota_us,
            // Of one that runs well they are not said.
            failures: if matches!(reason, Reason::BackOff | Reason::ContainerDown) { book.backoff.failures } else { 0 },
            restarts: book.restarts,
            last_exit_code: book.last_exit_code,
            gate_changes: gates.changes(gate_refs),
            unreachable: (reason == Reason::ExecutorUnreachable).then(|| unreachable(book, reaches)),
            news: book.news,
            times: book.times.as_ref().map(|times| (times.next, times.due, times.skips, now.wall >= sky.not_before)),
            lock: sky.lock,
        }
    }
}

/// The status object. `None` for an orphan: what nobody wanted since this agent started is removed, not shown.
pub(super) fn status(
    book: &Book,
    facts: &Facts,
    before: Option<&WorkloadStatus>,
    sky: &Sky<'_>,
    now: Now,
) -> Option<WorkloadStatus> {
    let gates = sky.gates;
    let message = sentence(book, facts, sky, now);
    let unchanged = |last: &&WorkloadStatus| (last.state, last.reason) == (facts.state, facts.reason);
    let since = before.filter(unchanged).map_or(now.wall, |last| last.since);
    let observed_at = book.observed_at.unwrap_or(now.wall);
    let Some(workload) = book.desired.as_deref() else {
        let last = before?.clone();
        let WorkloadStatus { namespace, name, kind, rootless, hash, .. } = last.clone();
        let (state, reason) = (facts.state, facts.reason);
        return Some(WorkloadStatus {
            namespace,
            name,
            kind,
            rootless,
            hash,
            state,
            reason,
            message,
            since,
            observed_at,
            ..last
        });
    };
    Some(WorkloadStatus {
        namespace: workload.id.namespace().into(),
        name: workload.id.name().into(),
        kind: workload.kind,
        rootless: workload.rootless,
        state: facts.state,
        reason: facts.reason,
        message,
        since,
        observed_at,
        hash: workload.hash.short().into(),
        restarts: book.restarts,
        last_exit_code: book.last_exit_code,
        last_run: book.last_run,
        // What wakes one that runs is not a run.
        next_run: match &book.times {
            Some(times) => times.next.filter(|_| facts.reason != Reason::Locked),
            None => facts
                .until
                .filter(|_| !matches!(facts.reason, Reason::Running | Reason::Adopted | Reason::Stopping))
                .map(|until| now.wall_at(until)),
        },
        cpu_quota_us: facts.cpu_quota_us,
        warnings: warnings(book, workload, facts),
        profiles: gates.gate_status(&workload.gates),
    })
}

fn warnings(book: &Book, workload: &Workload, facts: &Facts) -> Vec<String> {
    let mut warnings = workload.warnings.clone();
    warnings.extend(book.instances.iter().flat_map(|seen| seen.instance.warnings.iter().cloned()));
    let stale = book.instances.iter().any(|seen| seen.instance.quota == Quota::Stale);
    let untold = book.limit_error.iter().filter(|_| stale);
    warnings.extend(untold.map(|why| format!("LimitNotEnforced: the CPU quota: {why}")));
    let fixed = book.instances.iter().all(|seen| seen.instance.quota == Quota::Fixed);
    if facts.cpu_quota_us.is_some() && fixed && workload.kind != Kind::Pod {
        warnings.push(format!(
            "LimitNotEnforced: cpu of a condition is not applied to workloads of kind {} by this version",
            workload.kind.as_str()
        ));
    }
    warnings
}

fn unreachable(book: &Book, reaches: &Reaches) -> String {
    let lost = |executor: &ExecutorId| match reaches.get(executor) {
        Some(Reach::Unreachable(why)) => Some(why.clone()),
        _ => None,
    };
    let owners = book.instances.iter().map(|seen| seen.by).chain(book.uncertain).chain(book.executor());
    owners.filter_map(|executor| lost(&executor)).next().unwrap_or_default()
}

fn sentence(book: &Book, facts: &Facts, sky: &Sky<'_>, now: Now) -> String {
    let Sky { reaches, gates, .. } = *sky;
    let at = |when: Option<Mono>| when.map_or_else(String::new, |when| now.wall_at(when).clock());
    let again = || match (facts.until, facts.times.and_then(|(next, due, ..)| next.filter(|_| due.is_none()))) {
        (Some(until), _) => format!("tried again at {}", now.wall_at(until).clock()),
        (None, Some(next)) => format!("tried again at {}", next.clock()),
        (None, None) => "tried again when it is known what is there".to_owned(),
    };
    let why = || book.desired.as_deref().map_or_else(String::new, |workload| gates.explain(&workload.gates, now));
    let because = || match book.desired.as_deref() {
        Some(workload) if !workload.gates.is_empty() => format!("; {}", why()),
        _ => String::new(),
    };
    match facts.reason {
        Reason::ConditionFalse | Reason::UnknownProfile => format!("{}{}", why(), schedule::due(book, now)),
        Reason::Locked => "the device is locked: nothing is started until `flotta-agent host unlock`".into(),
        Reason::CronWait => format!("{}{}", schedule::waits(book, sky, now), last_end(book)),
        Reason::ShuttingDown => "the agent stops and takes its workloads along (workloads.on_exit: stop)".into(),
        Reason::Starting => format!("{}{}", starting(book), because()),
        Reason::Running => {
            format!("runs since {}{}{}", started(book).clock(), because(), schedule::meanwhile(book, sky, now))
        }
        Reason::Adopted => format!(
            "was running when the agent started (since {}) and goes on{}{}",
            started(book).clock(),
            because(),
            schedule::meanwhile(book, sky, now)
        ),
        Reason::Stopping => format!("told to stop, still there: {}", stopping(book, facts, sky, now)),
        Reason::BackOff => format!(
            "{}{}; started again at {} ({} in a row){}",
            if facts.failures >= CRASH_LOOP { "crash loop: " } else { "" },
            ended(book),
            at(facts.until),
            plural(facts.failures, "failure"),
            tail(book)
        ),
        Reason::InvalidSpec => match book.desired.as_deref().map(|workload| (&workload.payload, &workload.origin)) {
            Some((Payload::Invalid(why), origin)) => format!("{origin}: {why}"),
            _ => "its spec is not valid".into(),
        },
        Reason::ForbiddenByPolicy if book.backoff.error.is_none() => {
            match book.desired.as_deref().map(|w| &w.payload) {
                Some(Payload::Forbidden(why)) => why.clone(),
                _ => "this device does not allow it".into(),
            }
        }
        Reason::NotSupported => not_supported(book, reaches),
        Reason::ExecutorUnreachable => match (facts.unreachable.as_deref().unwrap_or_default(), &book.backoff.error) {
            // It answers again; what failed meanwhile waits for its next try.
            ("", Some((_, why))) => format!("{why}; {}", again()),
            (why, _) => why.to_owned(),
        },
        Reason::ContainerDown => match &book.backoff.error {
            Some((Reason::VolumeWait, why)) => {
                format!("{why}; {}{}", down(book, facts, sky.lock.is_some(), now), because())
            }
            _ => format!("{}{}", down(book, facts, sky.lock.is_some(), now), because()),
        },
        Reason::NotReady => format!("{}{}", unready(book), because()),
        Reason::ImagePull | Reason::VolumeWait => {
            book.backoff.error.as_ref().map(|(_, why)| why.clone()).unwrap_or_default()
        }
        Reason::StopFailed => match &book.backoff.end_error {
            Some((_, why)) => format!("{why}; {}", again()),
            None => again(),
        },
        Reason::StartFailed | Reason::ImagePullFailed | Reason::ForbiddenByPolicy => match &book.backoff.error {
            Some((_, why)) => format!("{why}; {}", again()),
            None => again(),
        },
        Reason::Completed => format!("{}; not started again (restartPolicy: {})", ended(book), policy(book)),
        Reason::Failed => format!("{}; not started again (restartPolicy: {}){}", ended(book), policy(book), tail(book)),
    }
}

/// From so many bad ends in a row on it is called one.
const CRASH_LOOP: u32 = 3;

/// Of a schedule's last run, if there was one.
fn last_end(book: &Book) -> String {
    match (last(book), book.last_run) {
        (Some((_, end)), _) if end.code == Some(0) => format!("; its last run {}", end_at(end)),
        (Some((_, end)), _) => format!("; its last run {}{}", end_at(end), tail(book)),
        (None, Some(_)) => {
            book.last_exit_code.map_or_else(String::new, |code| format!("; its last run ended: exit code {code}"))
        }
        (None, None) => String::new(),
    }
}

fn stopping(book: &Book, facts: &Facts, sky: &Sky<'_>, now: Now) -> String {
    let gates = sky.gates;
    if let (Some((_, why)), Some(until)) = (&book.backoff.end_error, facts.until) {
        return format!("{why}; tried again at {}", now.wall_at(until).clock());
    }
    let Some(workload) = book.desired.as_deref() else { return "it is no longer wanted".into() };
    if sky.lock.is_some_and(|lock| !lock.keep) {
        return "the device is locked (flotta-agent host unlock)".into();
    }
    let other = |seen: &Seen| seen.runs() && seen.instance.hash != workload.hash;
    match gates.gate(&workload.gates) {
        Gate::Closed { .. } => gates.explain(&workload.gates, now),
        Gate::Open { .. } if book.instances.iter().any(other) => {
            format!("its spec changed ({}); the new version starts when it is gone", workload.origin)
        }
        Gate::Open { .. } => "the agent ends it".into(),
    }
}

fn not_supported(book: &Book, reaches: &Reaches) -> String {
    let Some(workload) = book.desired.as_deref() else { return String::new() };
    let absent = book.executor().is_none_or(|executor| !reaches.contains_key(&executor));
    if absent {
        let kind = workload.kind.as_str();
        return format!(
            "this version of flotta-agent does not run workloads of type {kind}; it runs types pod and shell"
        );
    }
    "this version of flotta-agent does not carry it out".into()
}

fn last(book: &Book) -> Option<(&Seen, &End)> {
    book.instances.iter().rev().find_map(|seen| match &seen.instance.phase {
        Phase::Ended(end) => Some((seen, end)),
        Phase::Starting(_) | Phase::Unfinished | Phase::Running | Phase::Degraded(_) => None,
    })
}

fn starting(book: &Book) -> String {
    let doing = book.instances.iter().find_map(|seen| match &seen.instance.phase {
        Phase::Starting(what) => Some(what.clone()),
        Phase::Running | Phase::Degraded(_) if !seen.instance.unready.is_empty() => Some(unready(book)),
        _ => None,
    });
    doing.map_or_else(|| "is being started".into(), |what| format!("is being started: {what}"))
}

/// What runs and is not ready: those first that are not merely starting.
fn unready(book: &Book) -> String {
    let mut all: Vec<&Unready> = book.instances.iter().flat_map(|seen| &seen.instance.unready).collect();
    all.sort_by_key(|one| one.starting);
    all.iter().map(|one| format!("container {}: {}", one.container, one.why)).collect::<Vec<_>>().join("; ")
}

fn down(book: &Book, facts: &Facts, locked: bool, now: Now) -> String {
    let all: Vec<&Down> = book.instances.iter().flat_map(|seen| seen.down()).collect();
    let said: Vec<String> = all
        .iter()
        .map(|one| {
            let tail =
                if one.end.tail.is_empty() { String::new() } else { format!(" (last output: {})", one.end.tail) };
            format!("container {} {}{tail}", one.name, end_at(&one.end))
        })
        .collect();
    let next = match (&book.backoff.error, facts.until) {
        (Some((_, why)), Some(until)) => format!("{why}; the pod is replaced at {}", now.wall_at(until).clock()),
        (_, Some(until)) => {
            format!("started again at {} ({} in a row)", now.wall_at(until).clock(), plural(facts.failures, "failure"))
        }
        (_, None) if matches!(book.operation, Some((Operation::Resume, _))) => "is being started again".into(),
        (_, None) if locked && all.iter().any(|one| awaited(book, one)) => {
            "started again when the device is unlocked (flotta-agent host unlock)".into()
        }
        (_, None) => format!("not started again (restartPolicy: {})", policy(book)),
    };
    format!("{}; the others run; {next}", said.join("; "))
}

fn started(book: &Book) -> Wall {
    let running = book.instances.iter().find(|seen| seen.runs());
    running.map(|seen| seen.instance.started_at).or(book.last_run).unwrap_or_default()
}

fn end_at(end: &End) -> String {
    // Nobody may know when.
    let at = if end.at.0 == 0 { String::new() } else { format!(" at {}", end.at.clock()) };
    format!("ended{at}: {}", end.how)
}

fn ended(book: &Book) -> String {
    match last(book) {
        Some((_, end)) => end_at(end),
        None => match book.last_exit_code {
            Some(code) => format!("ended: exit code {code}"),
            None => "ended".into(),
        },
    }
}

fn tail(book: &Book) -> String {
    match last(book) {
        Some((_, end)) if !end.tail.is_empty() => format!(". Last output: {}", end.tail),
        _ => String::new(),
    }
}

fn policy(book: &Book) -> String {
    book.desired.as_ref().map_or_else(String::new, |workload| format!("{:?}", workload.restart))
}

fn plural(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
