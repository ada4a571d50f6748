//! Events that the server has not heard of yet: once each, in order, kept through outages and restarts, within a bound.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::status::{self, Reason, State};

use super::super::wire::message::{Event, Severity};

/// Events kept while the server is away; beyond, the oldest are dropped, and their number is told.
pub const KEPT: usize = 1_000;
/// Events in one heartbeat: the server makes one request to its cluster for each.
pub const AT_ONCE: usize = 50;
/// Bytes of an event's sentence: Kubernetes takes no longer one.
pub const LONGEST: usize = 1_000;

/// The queue; stored as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    waiting: VecDeque<Event>,
    /// Dropped and not told yet.
    #[serde(default)]
    lost: u64,
    /// What was told last of each workload: an agent that starts again finds what it left, which is no event.
    #[serde(default)]
    last: BTreeMap<String, (State, Option<Reason>)>,
    /// Dropped since the agent started.
    #[serde(skip)]
    dropped: u64,
}

/// What one heartbeat carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// As they are sent.
    pub events: Vec<Event>,
    taken: usize,
    lost: u64,
}

impl Events {
    /// A change of state.
    pub fn push(&mut self, event: &status::Event) {
        let id = format!("{}/{}", event.namespace, event.name);
        let before = match event.to {
            Some(to) => self.last.insert(id, (to, event.reason)),
            None => self.last.remove(&id),
        };
        if event.from.is_none() && before.is_some() && before == event.to.map(|to| (to, event.reason)) {
            return;
        }
        let kind = match event.to {
            Some(State::Error | State::Exited | State::Degraded | State::Unknown) => Severity::Warn,
            Some(State::Ready) if event.reason == Some(Reason::BackOff) => Severity::Warn,
            _ => Severity::Info,
        };
        let to = event.to.map_or("gone", State::as_str);
        let reason = event.reason.map_or_else(|| "Gone".to_owned(), |reason| reason.to_string());
        let message = format!("workload {} is {to}: {}", event.name, event.message);
        self.put(Event { kind, reason, message: cut(&message, LONGEST).to_owned() });
    }

    fn put(&mut self, event: Event) {
        if self.waiting.len() >= KEPT {
            self.waiting.pop_front();
            self.lose(1);
        }
        self.waiting.push_back(event);
    }

    /// Events that never got here.
    pub fn lose(&mut self, number: u64) {
        self.lost = self.lost.saturating_add(number);
        self.dropped = self.dropped.saturating_add(number);
    }

    /// What the next heartbeat carries: the oldest, after a word about those that were lost before them.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let lost = (self.lost > 0).then(|| Event {
            kind: Severity::Warn,
            reason: "EventsLost".into(),
            message: format!("{} events were lost before this one: the device keeps {KEPT}", self.lost),
        });
        let taken = self.waiting.len().min(AT_ONCE);
        let events = lost.into_iter().chain(self.waiting.iter().take(taken).cloned()).collect();
        Batch { events, taken, lost: self.lost }
    }

    /// The server has them: they are not sent again. What was dropped for room meanwhile were the same ones, first.
    pub fn delivered(&mut self, batch: &Batch, dropped_since: u64) {
        let gone = usize::try_from(dropped_since).unwrap_or(usize::MAX).min(batch.taken);
        self.waiting.drain(..batch.taken.saturating_sub(gone).min(self.waiting.len()));
        // Those of the batch that were dropped are not lost: they arrived.
        let counted = batch.lost.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        self.lost = self.lost.saturating_sub(counted);
    }

    /// The server will never take them.
    pub fn give_up(&mut self, batch: &Batch, dropped_since: u64) {
        let gone = usize::try_from(dropped_since).unwrap_or(usize::MAX).min(batch.taken);
        let rest = batch.taken.saturating_sub(gone).min(self.waiting.len());
        self.waiting.drain(..rest);
        self.lose(u64::try_from(rest).unwrap_or(u64::MAX));
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Dropped since the agent started.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// At most so many bytes, cut between characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Wall;

    fn event(seq: u64) -> status::Event {
        status::Event {
            seq,
            time: Wall(0),
            namespace: "default".into(),
            name: format!("w{seq}"),
            from: None,
            to: Some(State::Running),
            reason: Some(Reason::Running),
            message: "runs".into(),
        }
    }

    fn names(batch: &Batch) -> Vec<&str> {
        batch.events.iter().map(|event| event.message.as_str()).collect()
    }

    #[test]
    fn events_come_once_each_and_in_order() {
        let mut events = Events::default();
        (0..120).for_each(|seq| events.push(&event(seq)));
        let mut seen = Vec::new();
        while events.waiting() > 0 {
            let batch = events.batch();
            assert!(batch.events.len() <= AT_ONCE);
            seen.extend(names(&batch).into_iter().map(str::to_owned));
            events.delivered(&batch, 0);
        }
        let all: Vec<String> = (0..120).map(|seq| format!("workload w{seq} is running: runs")).collect();
        assert_eq!(seen, all);
        assert_eq!(events.batch(), Batch::default());
    }

    #[test]
    fn what_is_lost_is_told_once() {
        let mut events = Events::default();
        (0..KEPT as u64 + 7).for_each(|seq| events.push(&event(seq)));
        let batch = events.batch();
        assert!(batch.events[0].message.starts_with("7 events were lost"), "{:?}", batch.events[0]);
        assert_eq!(batch.events[1].message, "workload w7 is running: runs");
        // It overflows while the heartbeat is on its way: what it carried was not lost.
        let before = events.dropped();
        events.push(&event(2_000));
        events.delivered(&batch, events.dropped() - before);
        let next = events.batch();
        assert_eq!(next.events[0].message, "workload w57 is running: runs");
    }

    #[test]
    fn what_the_server_never_takes_is_given_up_and_told() {
        let mut events = Events::default();
        (0..3).for_each(|seq| events.push(&event(seq)));
        let batch = events.batch();
        events.push(&event(3));
        events.give_up(&batch, 0);
        let next = events.batch();
        assert!(next.events[0].message.starts_with("3 events were lost"), "{:?}", next.events);
        assert_eq!(next.events[1].message, "workload w3 is running: runs");
    }

    #[test]
    fn an_agent_that_starts_again_tells_nothing_that_it_told_before() {
        let mut events = Events::default();
        events.push(&event(1));
        events.delivered(&events.batch(), 0);
        let mut restored: Events =
            serde_json::from_str(&serde_json::to_string(&events).expect("json")).expect("events");
        restored.push(&event(1));
        assert_eq!(restored.waiting(), 0, "as it was left");
        restored.push(&status::Event { to: Some(State::Exited), reason: Some(Reason::Failed), ..event(1) });
        assert_eq!(restored.waiting(), 1, "it ended meanwhile");
    }

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
