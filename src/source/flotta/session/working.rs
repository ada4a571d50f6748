//! Working with a certificate of the device's own: the configuration, heartbeats, renewal, and the end of it.

use std::time::Duration;

use super::enrolling::Why;
use super::kinds::{Amount, Answer, Exchange, Verdict};
use super::{ALL_AGAIN, RENEWAL, Session};
use crate::model::time::Mono;

impl Session {
    pub(super) fn renewed(&mut self, answer: Answer, now: Mono) {
        match answer {
            Answer::Accepted => {
                self.hardware = true;
                // Not a success yet: if the server refuses what it has issued, the next one is asked for later and later.
                self.renew.flying = None;
                self.renew.next = None;
                self.rest = now.plus(RENEWAL.0);
                self.work(Some(true), now);
            }
            _ => {
                // A server falls over hardware where the device had no labels before, and may not be able to store it.
                if let Answer::Aborted | Answer::Status(500) = answer {
                    self.hardware = !self.hardware;
                }
                match answer {
                    Answer::Status(404) => self.control.hurry(now),
                    Answer::Status(401 | 403) => self.distrust(now),
                    _ => {}
                }
                self.renew.fail(Duration::ZERO, now);
            }
        }
    }

    pub(super) fn configured(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
        if !self.registered {
            self.get.flying = None;
            return None;
        }
        self.admits(answer);
        match answer {
            Answer::Accepted => {
                let period = self.following(0);
                self.get.succeed(Some(period), now);
                return self.trusted(now);
            }
            Answer::Status(401) => {
                if let Some(verdict) = self.unauthorized(now) {
                    return Some(verdict);
                }
            }
            Answer::Status(403) => self.distrust(now),
            // Deleted, or the secret of a registry is missing: the control channel knows.
            Answer::Status(404) | Answer::Page(404) if self.control.flying.is_none() => self.control.hurry(now),
            _ => {}
        }
        self.missed(answer, Exchange::Get, now);
        None
    }

    pub(super) fn beaten(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
        if !self.registered {
            self.beat.flying = None;
            return None;
        }
        match answer {
            Answer::Accepted => {
                // It took less: more would be refused again, unless the server itself was not well.
                self.amount = self.amount.min(Amount::NoHardware);
                self.reduced = (self.amount != Amount::Full).then(|| self.reduced.unwrap_or(now));
                if self.reduced.is_some_and(|since| now.since(since) >= ALL_AGAIN) {
                    self.amount = Amount::Full;
                    self.reduced = None;
                }
                let period = self.following(1);
                self.beat.succeed(Some(period), now);
                return if self.admitted { self.trusted(now) } else { None };
            }
            Answer::Status(404) => return Some(self.remove(now)),
            Answer::Page(404) if self.control.flying.is_none() => self.control.hurry(now),
            Answer::Status(401 | 403) => self.distrust(now),
            Answer::Status(_) | Answer::Page(_) | Answer::Aborted if self.beat.failures > 0 => {
                // Something in it is not to the server's liking, and for ever.
                self.amount = match self.amount {
                    Amount::Full => Amount::NoHardware,
                    Amount::NoHardware => Amount::Least,
                    Amount::Least => Amount::Full,
                };
            }
            _ => {}
        }
        self.missed(answer, Exchange::Heartbeat, now);
        None
    }

    pub(super) fn controlled(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
        if !self.registered {
            self.control.flying = None;
            return None;
        }
        self.admits(answer);
        match answer {
            Answer::Disconnect => return Some(self.remove(now)),
            Answer::Accepted => {
                self.control.succeed(None, now);
                return self.trusted(now);
            }
            Answer::Status(401) => {
                self.control.succeed(None, now);
                return self.unauthorized(now);
            }
            Answer::Status(403) => {
                self.control.succeed(None, now);
                self.distrust(now);
            }
            // Asked again when there is reason to.
            _ => self.control.succeed(None, now),
        }
        None
    }

    /// What the answer to a question says about the certificate. A server that falls over a question has let it in.
    pub(super) fn admits(&mut self, answer: Answer) {
        match answer {
            Answer::Status(401 | 403) => self.admitted = false,
            Answer::Page(_) | Answer::Unreachable => {}
            _ => self.admitted = true,
        }
    }

    /// The certificate is good.
    pub(super) fn trusted(&mut self, now: Mono) -> Option<Verdict> {
        let works = self.admitted && (self.proving.is_some() || !self.renewal_is_due(now));
        if works && self.renew.flying.is_none() {
            self.renew.stop();
        }
        if self.enrolling.as_ref().is_some_and(|enrolling| enrolling.why == Why::Distrusted)
            && self.enrol.flying.is_none()
        {
            self.enrolling = None;
        }
        self.proving.take().map(|_| Verdict::Promote)
    }

    /// The certificate has expired, or is not yet valid by the server's clock, or is another server's.
    pub(super) fn unauthorized(&mut self, now: Mono) -> Option<Verdict> {
        let proving = self.proving.take();
        if proving == Some(true) {
            // With the one before it renewal is tried again, slower each time.
            self.renew.fail(Duration::ZERO, now);
            self.change(now);
            return Some(Verdict::GoBack);
        }
        if self.renew.flying.is_none() && self.renew.failures == 0 {
            self.renew.hurry(now);
        }
        None
    }

    pub(super) fn missed(&mut self, answer: Answer, exchange: Exchange, now: Mono) {
        let pace = if exchange == Exchange::Heartbeat { &mut self.beat } else { &mut self.get };
        let at_least = match answer {
            Answer::Unreachable => Duration::ZERO,
            // The connection may just have ended; or the server crashes over it each time.
            Answer::Aborted if pace.failures == 0 => Duration::ZERO,
            _ => self.period,
        };
        pace.fail(at_least, now);
    }

    /// Begins to work with a certificate of its own; `proving`: it has not worked yet (and whether there is one before it).
    pub(super) fn work(&mut self, proving: Option<bool>, now: Mono) {
        self.enrolling = None;
        self.enrol.stop();
        self.registered = true;
        self.holds = true;
        self.proving = proving;
        self.amount = Amount::Full;
        self.change(now);
    }

    /// Another certificate is worked with from now on: what is under way with the one before is not waited for.
    pub(super) fn change(&mut self, now: Mono) {
        self.epoch = self.epoch.wrapping_add(1);
        self.admitted = false;
        self.control.stop();
        for pace in [&mut self.get, &mut self.beat] {
            pace.stop();
            pace.hurry(now);
        }
        // Its answer will not count either.
        if self.enrol.flying.take().is_some() {
            self.enrol.hurry(now);
        }
    }

    pub(super) fn distrust(&mut self, now: Mono) {
        if self.enrolling.is_none() {
            self.enrol_again(Why::Distrusted, now);
        }
    }

    pub(super) fn remove(&mut self, now: Mono) -> Verdict {
        self.change(now);
        self.registered = false;
        self.proving = None;
        for pace in [&mut self.get, &mut self.beat, &mut self.renew] {
            pace.stop();
        }
        self.enrol_again(Why::Removed, now);
        self.slowly(now);
        Verdict::Removed
    }
}
