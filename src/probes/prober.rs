//! When the probes of one running container are due, and what their results mean. Pure: time is an argument.
//!
//! As in Kubernetes: until the startup probe has succeeded the other two wait; a readiness probe that has not succeeded
//! yet means not ready; a liveness probe is believed to succeed until it has failed often enough. One try of each at a
//! time, on a grid of its period without jitter; a try that takes longer than the period delays the next one only.

use std::time::Duration;

use crate::model::time::{Mono, Now, Wall};

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Whether it has started.
    Startup,
    /// Whether it can be used.
    Readiness,
    /// Whether it has to be started again.
    Liveness,
}

impl Kind {
    /// As people say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Startup => "startup",
            Kind::Readiness => "readiness",
            Kind::Liveness => "liveness",
        }
    }
}

/// How often a probe is tried, and how many equal results in a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the container's start to the first try.
    pub initial_delay: Duration,
    /// From one try to the next.
    pub period: Duration,
    /// Successes in a row.
    pub successes: u32,
    /// Failures in a row.
    pub failures: u32,
}

impl Pace {
    /// After this time it has either succeeded or failed for good.
    fn longest(&self) -> Duration {
        self.initial_delay.saturating_add(self.period.saturating_mul(self.failures))
    }
}

/// The probes that a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paces {
    /// Of its startup probe.
    pub startup: Option<Pace>,
    /// Of its readiness probe.
    pub readiness: Option<Pace>,
    /// Of its liveness probe.
    pub liveness: Option<Pace>,
}

/// What a result means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that anybody would have to hear.
    Nothing,
    /// [`Prober::unready`] says something else than before.
    Changed,
    /// The container is to be ended: which probe failed how often, and why. Nothing is due any more.
    End(String),
}

/// Why a container is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// What of it fails, since when: `its readiness probe failed 3 times since 08:00:00Z (…)`.
    pub why: String,
    /// It has not been ready yet, and may still become so.
    pub starting: bool,
}

/// The probes of one run of a container.
#[derive(Clone, Debug)]
pub struct Prober {
    startup: Option<Series>,
    readiness: Option<Series>,
    liveness: Option<Series>,
    /// When the container started.
    since: Mono,
    /// It ran when the agent came: ready until a probe says otherwise.
    adopted: bool,
    /// It is being ended.
    ending: bool,
}

#[derive(Clone, Debug)]
struct Series {
    kind: Kind,
    pace: Pace,
    turn: Turn,
    /// The last results, all alike.
    streak: Option<(bool, u32)>,
    /// Since when, and at first why, it fails.
    failing: Option<(Wall, String)>,
    /// What enough of them in a row said.
    verdict: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Another probe has to succeed before.
    Waits,
    Due(Mono),
    /// Being tried; it was due then.
    Tried(Mono),
}

impl Prober {
    /// Of a container that started at `since`. `adopted`: before this agent did.
    #[must_use]
    pub fn new(paces: &Paces, since: Mono, now: Mono, adopted: bool) -> Prober {
        let series = |kind, pace: Option<Pace>| {
            pace.map(|pace| Series { kind, pace, turn: Turn::Waits, streak: None, failing: None, verdict: None })
        };
        let mut prober = Prober {
            startup: series(Kind::Startup, paces.startup),
            readiness: series(Kind::Readiness, paces.readiness),
            liveness: series(Kind::Liveness, paces.liveness),
            since,
            adopted,
            ending: false,
        };
        // It had its time, and the agent before this one did not end it: it has started.
        let started = |startup: &Series| adopted && now.since(since) >= startup.pace.longest();
        match &mut prober.startup {
            Some(startup) if !started(startup) => startup.begin(since, now),
            startup => {
                if let Some(startup) = startup {
                    startup.verdict = Some(true);
                }
                prober.begin_others(now);
            }
        }
        prober
    }

    fn begin_others(&mut self, now: Mono) {
        for series in [&mut self.readiness, &mut self.liveness].into_iter().flatten() {
            series.begin(self.since, now);
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Series> {
        [&mut self.startup, &mut self.readiness, &mut self.liveness].into_iter().flatten()
    }

    /// When something is due next.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        let due = |series: &Series| match series.turn {
            Turn::Due(at) => Some(at),
            Turn::Waits | Turn::Tried(_) => None,
        };
        let all = [&self.startup, &self.readiness, &self.liveness];
        all.into_iter().flatten().filter_map(due).min().filter(|_| !self.ending)
    }

    /// A probe that is due, which is being tried from now on.
    pub fn take(&mut self, now: Mono) -> Option<Kind> {
        if self.ending {
            return None;
        }
        let due = |series: &&mut Series| matches!(series.turn, Turn::Due(at) if at <= now);
        let series = self.all().filter(due).min_by_key(|series| series.due())?;
        series.turn = Turn::Tried(series.due());
        Some(series.kind)
    }

    /// What a try came to; the error: why it failed.
    pub fn result(&mut self, kind: Kind, result: Result<(), String>, now: Now) -> Meaning {
        if self.ending {
            return Meaning::Nothing;
        }
        let before = self.unready();
        let Some(series) = self.all().find(|series| series.kind == kind) else { return Meaning::Nothing };
        let Turn::Tried(due) = series.turn else { return Meaning::Nothing };
        series.turn = Turn::Due(due.plus(series.pace.period).max(now.mono));
        series.note(result, now.wall);
        let (verdict, words) = (series.verdict, series.failed());
        match (kind, verdict) {
            (Kind::Startup | Kind::Liveness, Some(false)) => {
                self.ending = true;
                return Meaning::End(words);
            }
            (Kind::Startup, Some(true)) => {
                series.turn = Turn::Waits;
                self.begin_others(now.mono);
            }
            _ => {}
        }
        if self.unready() == before { Meaning::Nothing } else { Meaning::Changed }
    }

    /// It could not be asked, which says nothing of it: asked again at the next time.
    pub fn unasked(&mut self, kind: Kind, now: Mono) {
        if let Some(series) = self.all().find(|series| series.kind == kind)
            && let Turn::Tried(due) = series.turn
        {
            series.turn = Turn::Due(due.plus(series.pace.period).max(now));
        }
    }

    /// It could not be ended: what says that it has to be is asked again.
    pub fn spared(&mut self, now: Mono) {
        self.ending = false;
        for series in self.all().filter(|series| series.verdict == Some(false) && series.kind != Kind::Readiness) {
            (series.verdict, series.streak, series.failing) = (None, None, None);
            series.turn = Turn::Due(now.plus(series.pace.period));
        }
    }

    /// It is not ended for now, and asked on.
    pub fn kept(&mut self) {
        self.ending = false;
    }

    /// Why it is not ready, if it is not.
    #[must_use]
    pub fn unready(&self) -> Option<NotReady> {
        let ended = |series: &&Series| series.kind != Kind::Readiness && series.verdict == Some(false);
        if let Some(series) = [&self.startup, &self.liveness].into_iter().flatten().find(ended) {
            let then = if self.ending { "it is being ended" } else { "it is ended when the device is unlocked" };
            return Some(NotReady { why: format!("{}; {then}", series.failed()), starting: false });
        }
        let (series, starting) = match (&self.startup, &self.readiness) {
            (Some(startup), _) if startup.verdict != Some(true) => (startup, true),
            (_, Some(readiness)) if readiness.verdict != Some(true) => (readiness, readiness.verdict.is_none()),
            _ => return None,
        };
        let name = series.kind.as_str();
        let why = match &series.failing {
            // Of an adopted one that is what was found; the agent before this one knew better.
            None if self.adopted => return None,
            _ if self.adopted && series.kind == Kind::Readiness && starting => return None,
            None => format!("its {name} probe has not succeeded yet"),
            Some((since, why)) if starting => {
                format!("its {name} probe has not succeeded yet, and fails since {} ({why})", since.clock())
            }
            Some((since, why)) => {
                format!("its {name} probe failed {} since {} ({why})", times(series.pace.failures), since.clock())
            }
        };
        Some(NotReady { why, starting })
    }
}

impl Series {
    fn begin(&mut self, since: Mono, now: Mono) {
        self.turn = Turn::Due(since.plus(self.pace.initial_delay).max(now));
    }

    fn due(&self) -> Mono {
        match self.turn {
            Turn::Due(at) | Turn::Tried(at) => at,
            Turn::Waits => Mono(u64::MAX),
        }
    }

    fn note(&mut self, result: Result<(), String>, at: Wall) {
        let well = result.is_ok();
        let count = match self.streak {
            Some((before, count)) if before == well => count.saturating_add(1),
            _ => 1,
        };
        self.streak = Some((well, count));
        match result {
            // The first words of a row stand: what changes with every try (a time, a number) is no news.
            Err(why) if count == 1 && self.verdict != Some(false) => self.failing = Some((at, why)),
            _ => {}
        }
        let enough = if well { self.pace.successes } else { self.pace.failures };
        if count >= enough {
            self.verdict = Some(well);
        }
        if well && self.verdict != Some(false) {
            self.failing = None;
        }
    }

    fn failed(&self) -> String {
        let why = self.failing.as_ref().map(|(_, why)| why.as_str()).unwrap_or_default();
        format!("its {} probe failed {} ({why})", self.kind.as_str(), times(self.pace.failures))
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests;
