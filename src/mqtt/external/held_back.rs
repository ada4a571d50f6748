//! Messages that the broker does not take.
//!
//! MQTT 3.1.1 has no way to say so: a broker closes the connection over a packet that is too large or, with some, over a
//! topic that is forbidden. Said again on each connection, one such message would keep all others out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock;
use crate::model::problem::Problem;
use crate::model::time::Mono;

use super::MAX_PACKET;

/// How often a connection has to end over the same message before the message is held back.
const STRIKES: u32 = 3;
/// How long a message is held back that the broker did not take.
const HELD_BACK: Duration = Duration::from_secs(3600);
/// Longest header of a PUBLISH beside its topic: fixed header, length of the topic, packet identifier.
const HEADER: usize = 9;

/// What is held back, by topic, and what is suspected. Only topics that the agent has something to say on are in here.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    strikes: BTreeMap<String, u32>,
    lengths: BTreeMap<String, Limit>,
}

/// Messages of this length and more are not said on the topic.
#[derive(Clone, Copy, Debug)]
struct Limit {
    length: usize,
    until: Mono,
}

fn fits(topic: &str, length: usize) -> bool {
    topic.len().saturating_add(length).saturating_add(HEADER) <= MAX_PACKET
}

impl HeldBack {
    /// Messages of this length and more are held back from now on.
    pub(super) fn add(&mut self, topic: &str, length: usize) {
        let until = clock::mono().plus(HELD_BACK);
        let limit = self.lengths.entry(topic.to_owned()).or_insert(Limit { length, until });
        *limit = Limit { length: limit.length.min(length), until };
        self.strikes.remove(topic);
    }

    /// Whether a message may be said.
    pub(super) fn passes(&mut self, topic: &str, length: usize) -> bool {
        if !fits(topic, length) {
            self.add(topic, length);
            return false;
        }
        self.lengths.get(topic).is_none_or(|limit| length < limit.length || limit.until <= clock::mono())
    }

    /// The broker closed the connection while this message alone was in flight. Whether it is held back now.
    pub(super) fn suspect(&mut self, topic: &str, length: usize) -> bool {
        let strikes = self.strikes.entry(topic.to_owned()).or_default();
        *strikes = strikes.saturating_add(1);
        // A broker has one limit: one as long as another that it did not take is believed at once.
        let known = self.lengths.values().any(|limit| limit.length > 0 && limit.length <= length);
        if *strikes < STRIKES && !known {
            return false;
        }
        self.add(topic, length);
        true
    }

    /// The broker took a message. `now`: how long the topic's retained value is meanwhile.
    pub(super) fn took(&mut self, topic: &str, length: usize, now: Option<usize>) {
        self.strikes.remove(topic);
        let useless = |limit: &Limit| length >= limit.length || now.is_some_and(|now| now < limit.length);
        if self.lengths.get(topic).is_some_and(useless) {
            self.lengths.remove(topic);
        }
    }

    /// All was said: nothing is suspected any more.
    pub(super) fn forget_suspicions(&mut self) {
        self.strikes.clear();
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let say = |(topic, limit): (&String, &Limit)| {
            let why = if fits(topic, limit.length) {
                "the broker closes the connection over it; its limit of a packet's size (Mosquitto: max_packet_size) may be lower, or its access rules may forbid the topic".to_owned()
            } else {
                format!("at most {MAX_PACKET} bytes are sent to an external broker")
            };
            let message =
                format!("a message of {} bytes is held back: {why}; shorter ones are published", limit.length);
            Problem::new(topic.as_str(), message)
        };
        self.lengths.iter().map(say).collect()
    }
}
