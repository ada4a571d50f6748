//! When which object is written: no clock, no thread, no I/O.
//!
//! The newest value of each object, at most once a second; one that somebody waits for, at once. What the disk refuses stays
//! due and is tried again after 2 s, 4 s … 60 s, each object for itself: a large one that finds no room does not hold up a
//! small one. What is on disk already is not written.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::time::Mono;

use super::object::{Stored, Write};

/// An object is written at most this often (SPEC "Scheduler").
pub const SPACING: Duration = Duration::from_secs(1);
/// The first wait after a write failed; doubled up to [`LAST_RETRY`].
pub const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait between tries.
pub const LAST_RETRY: Duration = Duration::from_secs(60);

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects written.
    pub writes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Values that a newer one replaced before they were written.
    pub coalesced: u64,
}

/// Somebody waits for a value to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this, and then [`Saving::settle`] it.
    Write(Write),
    /// Nothing before that time, or before something is saved.
    Wait(Option<Mono>),
}

/// How the disk does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A sentence for a person.
    Trouble(String),
    /// All that was refused is on disk now.
    Well,
}

/// The objects that are due.
#[derive(Debug, Default)]
pub struct Saving {
    objects: BTreeMap<String, Object>,
    ending: bool,
    counts: Counts,
    tickets: u64,
    told: Vec<(Ticket, Result<(), String>)>,
}

#[derive(Debug, Default)]
struct Object {
    due: Option<Due>,
    under_way: Option<Due>,
    /// What is on disk, as far as that is known.
    written: Option<Vec<u8>>,
    /// When it was last written, or tried.
    at: Option<Mono>,
    failing: Option<Failing>,
    /// Refused after the end had begun: it is not tried again.
    given_up: bool,
}

#[derive(Debug)]
struct Due {
    bytes: Vec<u8>,
    /// The generation before must not stay.
    alone: bool,
    /// Somebody waits, and it was not tried since.
    urgent: bool,
    waiting: Vec<Ticket>,
}

#[derive(Clone, Debug)]
struct Failing {
    until: Mono,
    wait: Duration,
    why: String,
}

impl Object {
    /// When it may be written, if it is due.
    fn due_at(&self, ending: bool) -> Option<Mono> {
        let due = self.due.as_ref().filter(|_| self.under_way.is_none() && !self.given_up)?;
        if due.urgent || ending {
            return Some(Mono(0));
        }
        let spaced = self.at.map_or(Mono(0), |at| at.plus(SPACING));
        Some(self.failing.as_ref().map_or(spaced, |failing| failing.until.max(spaced)))
    }
}

impl Saving {
    /// The newest value of an object, sealed. Equal to what is on disk: nothing will be written. `alone`: the generation
    /// before is removed once this one is on disk.
    pub fn save(&mut self, name: &str, bytes: Vec<u8>, alone: bool) {
        self.put(name, bytes, alone, None);
    }

    /// As [`Saving::save`], at once: neither spacing nor the wait after a failure is in the way. [`Saving::take_told`] says
    /// when this value, or a newer one, is on disk, or why it is not: it is due all the same.
    pub fn save_now(&mut self, name: &str, bytes: Vec<u8>) -> Ticket {
        self.tickets = self.tickets.saturating_add(1);
        let ticket = Ticket(self.tickets);
        self.put(name, bytes, false, Some(ticket));
        ticket
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>, alone: bool, ticket: Option<Ticket>) {
        let object = self.objects.entry(name.to_owned()).or_default();
        object.given_up = false;
        let (mut alone, mut urgent, mut waiting) = (alone, ticket.is_some(), Vec::new());
        if let Some(before) = object.due.take() {
            self.counts.coalesced = self.counts.coalesced.saturating_add(1);
            (alone, urgent, waiting) = (alone || before.alone, urgent || before.urgent, before.waiting);
        }
        waiting.extend(ticket);
        match &mut object.under_way {
            Some(under_way) if under_way.bytes == bytes && under_way.alone >= alone => {
                under_way.waiting.append(&mut waiting);
            }
            None if object.written.as_ref() == Some(&bytes) && !alone => {
                self.told.extend(waiting.into_iter().map(|ticket| (ticket, Ok(()))));
            }
            _ => object.due = Some(Due { bytes, alone, urgent, waiting }),
        }
    }

    /// What is to be done now. Of several that may be written: first what somebody waits for, then what was written longest
    /// ago.
    pub fn next(&mut self, now: Mono) -> Next {
        let ending = self.ending;
        let mut soonest: Option<Mono> = None;
        let mut chosen: Option<(bool, Option<Mono>, &mut Object, &str)> = None;
        for (name, object) in &mut self.objects {
            let Some(due_at) = object.due_at(ending) else { continue };
            if due_at > now {
                soonest = Some(soonest.map_or(due_at, |soonest| soonest.min(due_at)));
                continue;
            }
            let patient = !object.due.as_ref().is_some_and(|due| due.urgent);
            let rank = (patient, object.at);
            if chosen.as_ref().is_none_or(|(patient, at, ..)| rank < (*patient, *at)) {
                chosen = Some((patient, object.at, object, name));
            }
        }
        let Some((_, _, object, name)) = chosen else { return Next::Wait(soonest) };
        let Some(due) = object.due.take() else { return Next::Wait(soonest) };
        let compare = object.written.is_none();
        let write = Write { name: name.to_owned(), bytes: due.bytes.clone(), alone: due.alone, compare };
        object.under_way = Some(due);
        Next::Write(write)
    }

    /// What became of the write that [`Saving::next`] gave out. Says how the disk does, when there is something to say.
    pub fn settle(&mut self, name: &str, result: Result<Stored, String>, now: Mono) -> Option<Report> {
        let object = self.objects.get_mut(name)?;
        let under_way = object.under_way.take()?;
        object.at = Some(now);
        match result {
            Ok(stored) => {
                if stored == Stored::Written {
                    self.counts.writes = self.counts.writes.saturating_add(1);
                    self.counts.bytes = self.counts.bytes.saturating_add(under_way.bytes.len() as u64);
                }
                object.written = Some(under_way.bytes);
                self.told.extend(under_way.waiting.into_iter().map(|ticket| (ticket, Ok(()))));
                object.failing.take().map(|_| self.report())
            }
            Err(why) => {
                self.counts.failures = self.counts.failures.saturating_add(1);
                // It may have failed before or after the new one was in its place.
                object.written = None;
                object.given_up = self.ending;
                let refused = |ticket| (ticket, Err(format!("{name} cannot be written: {why}")));
                self.told.extend(under_way.waiting.into_iter().map(refused));
                match &mut object.due {
                    // A newer value has come meanwhile.
                    Some(newer) => newer.alone |= under_way.alone,
                    None => {
                        object.due = Some(Due {
                            bytes: under_way.bytes,
                            alone: under_way.alone,
                            urgent: false,
                            waiting: Vec::new(),
                        });
                    }
                }
                let failing = match object.failing.take() {
                    // One that was asked for in between says nothing about how long to wait.
                    Some(failing) if now < failing.until => Failing { why, ..failing },
                    Some(failing) => {
                        let wait = failing.wait.saturating_mul(2).min(LAST_RETRY);
                        Failing { until: now.plus(wait), wait, why }
                    }
                    None => Failing { until: now.plus(FIRST_RETRY), wait: FIRST_RETRY, why },
                };
                object.failing = Some(failing);
                Some(self.report())
            }
        }
    }

    fn report(&self) -> Report {
        let failing = || self.objects.iter().filter_map(|(name, object)| Some((name, object.failing.as_ref()?)));
        let Some((_, soonest)) = failing().min_by_key(|(_, failing)| failing.until) else { return Report::Well };
        let names: Vec<&str> = failing().map(|(name, _)| name.as_str()).collect();
        Report::Trouble(format!(
            "{} cannot be written: {}; the agent goes on from memory and tries again in {} s; make room, or the changes since are lost at a restart",
            names.join(", "),
            soonest.why,
            soonest.wait.as_secs()
        ))
    }

    /// Who has been waiting and need not any more, and what became of it.
    #[must_use]
    pub fn take_told(&mut self) -> Vec<(Ticket, Result<(), String>)> {
        std::mem::take(&mut self.told)
    }

    /// From here on what is due is written without spacing, and what the disk refuses is not tried again. The end is reached
    /// when [`Next::Wait`] comes.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// It is to end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// What was written.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
