//! What is subscribed, and what the broker makes of it.
//!
//! A message that is longer than what is read ends the connection; a retained one does so each time it is subscribed. Then
//! filters are left out, one after the other, until the connection holds: all else goes on, and a problem says what is
//! missing.

use std::time::Duration;

use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{SubAck, SubscribeFilter, SubscribeReasonCode};

use crate::clock;
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::mqtt::topics::Topics;

use super::MAX_PACKET;

/// What is left out, by place in [`Subscriptions::filters`], at each step. The last filter covers the second.
const STEPS: [&[usize]; 5] = [&[], &[0], &[2], &[1, 2], &[0, 1, 2]];
/// A message that is too long and comes this soon after the connection was made is taken for a retained one.
const SOON: Duration = Duration::from_secs(10);
/// How often that happens before something is left out.
const STRIKES: u32 = 2;
/// How long it is left out.
const LEFT_OUT: Duration = Duration::from_secs(3600);

/// The subscriptions of one link.
#[derive(Debug)]
pub(super) struct Subscriptions {
    filters: [String; 3],
    step: usize,
    strikes: u32,
    too_long: usize,
    until: Mono,
    refused: Vec<String>,
    answered: bool,
}

impl Subscriptions {
    pub(super) fn new(topics: &Topics) -> Subscriptions {
        let [shared, own] = topics.metric_filters();
        Subscriptions {
            filters: [shared, own, topics.own_filter()],
            step: 0,
            strikes: 0,
            too_long: 0,
            until: Mono(0),
            refused: Vec::new(),
            answered: false,
        }
    }

    fn left_out(&self) -> &'static [usize] {
        STEPS.get(self.step).copied().unwrap_or_default()
    }

    fn wanted(&self) -> impl Iterator<Item = &String> {
        let left_out = self.left_out();
        self.filters.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, filter)| filter)
    }

    /// For a new connection: all of them in one packet, so that the answer names each.
    pub(super) fn begin(&mut self) -> Vec<SubscribeFilter> {
        if self.step > 0 && self.until <= clock::mono() {
            (self.step, self.strikes) = (0, 0);
        }
        self.refused.clear();
        self.answered = false;
        self.wanted().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce)).collect()
    }

    /// The broker's answer; how many it refused.
    pub(super) fn answered(&mut self, answer: &SubAck) -> usize {
        let refused = self
            .wanted()
            .zip(&answer.return_codes)
            .filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure))
            .map(|(filter, _)| filter.clone())
            .collect();
        self.refused = refused;
        self.answered = true;
        self.refused.len()
    }

    /// Whether the broker hands us what we publish ourselves.
    pub(super) fn has_own(&self) -> bool {
        let [_, _, own] = &self.filters;
        self.answered && self.wanted().any(|filter| filter == own) && !self.refused.contains(own)
    }

    /// A message was too long, so long after the connection was made. Whether less is subscribed from now on.
    pub(super) fn too_long(&mut self, length: usize, age: Duration) -> bool {
        self.too_long = length;
        if age > SOON {
            return false;
        }
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes < STRIKES {
            return false;
        }
        self.step = self.step.saturating_add(1).min(STEPS.len() - 1);
        self.until = clock::mono().plus(LEFT_OUT);
        true
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let refused = self.refused.iter().map(|filter| {
            let message = "the broker does not let us subscribe to it: its access rules must allow reading there";
            Problem::new(filter.as_str(), message)
        });
        let left_out = self.left_out().iter().filter_map(|at| self.filters.get(*at)).map(|filter| {
            let message = format!(
                "not subscribed: the broker holds a message of {} bytes in our topics, and at most {MAX_PACKET} are read; clear it (mosquitto_pub -r -n -t TOPIC); tried again at the first connection after {} minutes, or by the next start",
                self.too_long,
                LEFT_OUT.as_secs() / 60
            );
            Problem::new(filter.as_str(), message)
        });
        refused.chain(left_out).collect()
    }
}
