//! The schedule of one workload: which time is next, which one is due, which ones were skipped and why.
//!
//! ```text
//!  next ≤ wall clock ──► due ──► begun (last)          a run that goes on, a lock, a long absence: skipped, and said
//!       ▲                 └── waits while the profiles say no, or nobody can carry it out: one of it, however long
//!       └── recomputed when the schedule changes, and when the clock is set
//! ```
//! Pure: both clocks are arguments. Nothing comes due before the clock is plausible.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::{Now, Wall};
use crate::model::workload::Cron;

/// A time that is found later than this (a suspended device, a clock set forward) is missed; before, it is late. As
/// Debian's cron has it.
pub const LATE: Duration = Duration::from_secs(3 * 3600);

/// A clock that is set back by less was put right: what ran a moment ago does not run again. A schedule knows nothing
/// smaller than a minute.
const PUT_RIGHT: Duration = Duration::from_secs(60);

/// Why a time was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skipped {
    /// The run before was still going.
    StillGoing,
    /// No agent was there.
    AgentAway,
    /// The clock was set over it, or the device slept through it.
    ClockSet,
    /// The device was locked.
    Locked,
}

impl Skipped {
    /// For a sentence: "... was skipped: ".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Skipped::StillGoing => "the run before it was still going",
            Skipped::AgentAway => "the agent was not running",
            Skipped::ClockSet => "the clock was set past it, or the device slept",
            Skipped::Locked => "the device was locked",
        }
    }
}

/// What is remembered of a schedule; stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Of which schedule: expression and zone.
    pub of: String,
    /// The next time; `None` until the clock is plausible, or when there is none any more.
    #[serde(default)]
    pub next: Option<Wall>,
    /// A run is due, for this time, and was not begun.
    #[serde(default)]
    pub due: Option<Wall>,
    /// The run for this time is being begun. Whether it was, an agent that is killed meanwhile does not know.
    #[serde(default)]
    pub beginning: Option<Wall>,
    /// The newest time that was begun or skipped.
    #[serde(default)]
    pub last: Option<Wall>,
    /// The newest time that was skipped.
    #[serde(default)]
    pub skipped: Option<(Wall, Skipped)>,
    /// Skipped since the last one that was begun.
    #[serde(default)]
    pub skips: u64,
    /// What is due may have been begun: by an agent that was killed before it had stored it, or by an executor that did not
    /// answer. Or it came before anybody had said what runs. What is there tells.
    #[serde(skip)]
    pub unsure: bool,
}

/// What the schedule is held against.
#[derive(Clone, Copy, Debug)]
pub struct Hands {
    /// Both clocks.
    pub now: Now,
    /// The wall clock can be believed.
    pub plausible: bool,
    /// By how much, in ms, the wall clock was set since the last look; 0: it was not.
    pub stepped: i64,
    /// The first look of this agent: what passed before it, passed while nobody was there.
    pub first: bool,
    /// A run goes on.
    pub runs: bool,
    /// Whether one does is known: the executor has answered.
    pub known: bool,
    /// For which time the last run was begun by this agent.
    pub begun: Option<Wall>,
    /// The device is locked.
    pub locked: bool,
    /// When the newest run that was observed had begun.
    pub last_run: Option<Wall>,
}

impl Hands {
    /// By the second, as executors count; a run of the far future was one by a clock that was wrong.
    fn has_run_since(&self, due: Wall) -> bool {
        let believed = |at: &Wall| !self.plausible || at.since(self.now.wall) <= LATE;
        self.last_run.filter(believed).is_some_and(|at| at.0 / 1_000 >= due.0 / 1_000)
    }
}

impl Times {
    /// Brings it up to the present.
    pub fn advance(&mut self, cron: &Cron, hands: &Hands) {
        self.find_begun(hands);
        self.tick(cron, hands);
        // What has just come due may be there already, too.
        self.find_begun(hands);
    }

    /// What is due, and may have been begun, is looked for among what was seen to run.
    fn find_begun(&mut self, hands: &Hands) {
        if let Some(due) = self.due.filter(|_| self.unsure) {
            if hands.has_run_since(due) {
                self.due = None;
            } else if hands.runs {
                // It is the one that may not have begun, or one that went over this time before anybody could tell.
                self.due = None;
                if hands.begun != Some(due) {
                    self.skip(due, Skipped::StillGoing);
                }
            }
        }
    }

    fn tick(&mut self, cron: &Cron, hands: &Hands) {
        if !hands.plausible {
            return;
        }
        let wall = hands.now.wall;
        let schedule = &cron.schedule;
        if !self.is_of(cron) {
            // Before the first schedule there can only be a run that a person asked for.
            let asked = self.due.filter(|_| self.of.is_empty());
            let (next, unsure) = (schedule.next(wall), self.unsure);
            *self = Times { of: name(cron), next, due: asked, last: self.last, unsure, ..Times::default() };
            return;
        }
        if hands.stepped < 0 {
            // What waits has come by this clock too: else a run that is begun now would be older than what it was begun for.
            self.due = self.due.map(|due| due.min(wall));
        }
        if hands.first || hands.stepped != 0 {
            self.clock_set(cron, hands);
        }
        let Some(first) = self.next else {
            self.next = schedule.next(wall);
            return;
        };
        if first > wall {
            return;
        }
        // The newest of those that have come; after a long time it is looked for from nearer by.
        let late = wall.since(first);
        let mut newest = first;
        if late <= LATE {
            while let Some(next) = schedule.next(newest).filter(|next| *next <= wall) {
                newest = next;
            }
        }
        self.next = schedule.next(wall);
        self.last = Some(newest);
        let missed = match (hands.first, late > LATE) {
            (true, _) => Some(Skipped::AgentAway),
            (false, true) => Some(Skipped::ClockSet),
            (false, false) => None,
        };
        match (missed, cron.catch_up) {
            _ if hands.locked && !cron.catch_up => self.skip(newest, Skipped::Locked),
            _ if hands.runs => self.skip(newest, Skipped::StillGoing),
            (Some(why), false) => self.skip(newest, why),
            (Some(_), true) | (None, _) => {
                self.due = Some(newest);
                self.unsure = hands.first || !hands.known;
            }
        }
    }

    /// The next time by the clock as it is now: it may have been set back, also while nobody was there to see by how much.
    /// A time that comes a second time: real time for wildcards, once for fixed ones (as when daylight saving ends), once
    /// for all when the clock was put right by seconds.
    fn clock_set(&mut self, cron: &Cron, hands: &Hands) {
        let wall = hands.now.wall;
        if self.next.is_none_or(|next| next <= wall) {
            // What has come by this clock too is due.
            return;
        }
        let next = cron.schedule.next(wall);
        let by = |had: Wall| match hands.stepped {
            seen if seen < 0 => Duration::from_millis(seen.unsigned_abs()),
            _ => had.since(wall),
        };
        let had = self.last.filter(|had| by(*had) <= if cron.schedule.is_fixed() { LATE } else { PUT_RIGHT });
        self.next = match (next, had) {
            (Some(next), Some(had)) if next <= had => cron.schedule.next(had),
            (next, _) => next,
        };
    }

    fn skip(&mut self, at: Wall, why: Skipped) {
        self.skipped = Some((at, why));
        self.skips = self.skips.saturating_add(1);
    }

    /// Asks for a run now, out of turn.
    pub fn ask(&mut self, now: Wall) {
        self.due = Some(now);
        self.unsure = false;
    }

    /// The run that is due is begun: for which time.
    pub fn begin(&mut self) -> Option<Wall> {
        self.skipped = None;
        self.skips = 0;
        self.unsure = false;
        self.beginning = self.due.take();
        self.beginning
    }

    /// An agent before this one left it so: what it was beginning is due, unless it is there.
    #[must_use]
    pub fn recalled(self) -> Times {
        Times { due: self.due.max(self.beginning), beginning: None, unsure: true, ..self }
    }

    /// The run that was begun for this time may not have been.
    pub fn not_begun(&mut self, at: Wall) {
        self.due = self.due.max(Some(at));
        self.unsure = true;
    }

    /// Whether it is remembered of this schedule.
    #[must_use]
    pub fn is_of(&self, cron: &Cron) -> bool {
        self.of.strip_prefix(cron.schedule.expression()).and_then(|rest| rest.strip_prefix(" in "))
            == Some(cron.schedule.zone().name())
    }
}

fn name(cron: &Cron) -> String {
    format!("{} in {}", cron.schedule.expression(), cron.schedule.zone().name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cron::{Schedule, Zone};
    use crate::model::time::Mono;

    #[test]
    fn a_time_that_was_missed_and_whose_run_is_there_is_not_due_for_a_moment() {
        let noon = Wall::parse_rfc3339("2026-06-01T12:00:00Z").expect("a time");
        let schedule = Schedule::parse("0 * * * *", Zone::utc()).expect("a schedule");
        let cron = Cron { schedule, catch_up: true };
        let hands = Hands {
            now: Now { wall: Wall(noon.0 + 30_000), mono: Mono(1_000) },
            plausible: true,
            stepped: 0,
            first: true,
            runs: false,
            known: true,
            begun: None,
            locked: false,
            last_run: Some(Wall(noon.0 + 5)),
        };
        let missed = Times { of: name(&cron), next: Some(noon), ..Times::default() };
        let mut times = missed.clone();
        times.advance(&cron, &hands);
        assert_eq!(times.due, None, "its run began at {:?}", hands.last_run);
        let mut times = missed;
        times.advance(&cron, &Hands { last_run: None, ..hands });
        assert_eq!(times.due, Some(noon), "nobody has seen a run of it");
    }

    #[test]
    fn what_waits_when_the_clock_is_set_back_is_due_by_the_clock_as_it_is_then() {
        let noon = Wall::parse_rfc3339("2026-06-01T12:00:00Z").expect("a time");
        let schedule = Schedule::parse("0 * * * *", Zone::utc()).expect("a schedule");
        let cron = Cron { schedule, catch_up: false };
        let hands = |wall: i64, stepped| Hands {
            now: Now { wall: Wall(wall), mono: Mono(1_000) },
            plausible: true,
            stepped,
            first: false,
            runs: false,
            known: true,
            begun: None,
            locked: false,
            last_run: None,
        };
        let next = Some(Wall(noon.0 + 3_600_000));
        let mut times = Times { of: name(&cron), next, due: Some(noon), ..Times::default() };
        let back = noon.0 - 1_800_000;
        times.advance(&cron, &hands(back, -1_800_000));
        assert_eq!(times.begin(), Some(Wall(back)));
        // An agent that was killed right after the start, and finds the run.
        let mut after = times.recalled();
        after.advance(&cron, &Hands { first: true, last_run: Some(Wall(back + 5)), ..hands(back + 10_000, 0) });
        assert_eq!(after.due, None, "it is there");
    }
}
