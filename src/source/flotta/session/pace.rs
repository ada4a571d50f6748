//! When something is due again: the period, backoff with jitter after failures, and a limit for what is sent at once.

use std::time::Duration;

use backoff::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::model::time::Mono;

/// One kind of exchange: whether it is under way, and when it is due.
#[derive(Debug)]
pub(super) struct Pace {
    first: Duration,
    last: Duration,
    seed: u64,
    waits: Option<ExponentialBackoff>,
    /// Under way since.
    pub flying: Option<Mono>,
    /// When the latest began.
    pub began: Mono,
    /// Due at; `None`: not wanted.
    pub next: Option<Mono>,
    /// Failures in a row.
    pub failures: u32,
}

impl Pace {
    /// After failures it waits from `first` to `last`, doubled each time; jitter adds up to as much again.
    pub fn new(first: Duration, last: Duration, seed: u64) -> Pace {
        Pace { first, last, seed, waits: None, flying: None, began: Mono(0), next: None, failures: 0 }
    }

    /// Other waits; the series begins anew if they differ.
    pub fn set_waits(&mut self, (first, last): (Duration, Duration)) {
        if (self.first, self.last) != (first, last) {
            (self.first, self.last) = (first, last);
            self.waits = None;
        }
    }

    /// Nothing is under way and nothing is due.
    pub fn stop(&mut self) {
        self.flying = None;
        self.waits = None;
        self.failures = 0;
        self.next = None;
    }

    pub fn is_due(&self, now: Mono) -> bool {
        self.flying.is_none() && self.next.is_some_and(|next| next <= now)
    }

    pub fn begin(&mut self, now: Mono) {
        self.flying = Some(now);
        self.began = now;
        self.next = None;
    }

    /// Done, and due again one period after it began.
    pub fn succeed(&mut self, period: Option<Duration>, now: Mono) {
        let began = self.flying.take().unwrap_or(now);
        self.waits = None;
        self.failures = 0;
        self.again(period.map(|period| began.plus(period).max(now)));
    }

    /// Failed: due again after the backoff, and not before `at_least` from now.
    pub fn fail(&mut self, at_least: Duration, now: Mono) {
        self.flying = None;
        self.failures = self.failures.saturating_add(1);
        let waits = self.waits.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(self.first)
                .with_max_delay(self.last.max(self.first))
                .with_jitter()
                .with_jitter_seed(self.seed)
                .without_max_times()
                .build()
        });
        // The next series of failures draws other numbers.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let wait = waits.next().unwrap_or(self.last).max(at_least);
        self.again(Some(now.plus(wait)));
    }

    /// Due now, whatever was planned.
    pub fn hurry(&mut self, now: Mono) {
        self.next = Some(now);
    }

    /// What was asked for meanwhile is not put off.
    fn again(&mut self, at: Option<Mono>) {
        self.next = match (self.next, at) {
            (Some(asked), Some(at)) => Some(asked.min(at)),
            (asked, at) => asked.or(at),
        };
    }
}

/// At most [`Allowance::MOST`] at once, then one every [`Allowance::EVERY`]; never two within [`Allowance::APART`].
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Mono,
    last: Option<Mono>,
}

impl Allowance {
    pub const MOST: u32 = 10;
    pub const EVERY: Duration = Duration::from_secs(6);
    pub const APART: Duration = Duration::from_secs(1);

    pub fn new() -> Allowance {
        Allowance { left: Allowance::MOST, since: Mono(0), last: None }
    }

    fn refill(&mut self, now: Mono) {
        let every = Allowance::EVERY.as_millis().max(1);
        let earned = u32::try_from(now.since(self.since).as_millis() / every).unwrap_or(u32::MAX);
        if earned == 0 {
            return;
        }
        self.left = self.left.saturating_add(earned).min(Allowance::MOST);
        self.since =
            if self.left == Allowance::MOST { now } else { self.since.plus(Allowance::EVERY.saturating_mul(earned)) };
    }

    /// When one may be sent.
    pub fn when(&mut self, now: Mono) -> Mono {
        self.refill(now);
        let apart = self.last.map_or(now, |last| last.plus(Allowance::APART));
        if self.left > 0 { apart.max(now) } else { self.since.plus(Allowance::EVERY).max(apart) }
    }

    /// One is sent.
    pub fn take(&mut self, now: Mono) {
        self.refill(now);
        if self.left == Allowance::MOST {
            self.since = now;
        }
        self.left = self.left.saturating_sub(1);
        self.last = Some(now);
    }
}
