//! Becoming known to the server: enrolment and registration, at first, after a removal, and where the certificate is refused.

use std::time::Duration;

use super::kinds::Answer;
use super::{FIRST_RETRY, LAST_RETRY, PENDING, SLOW, Session};
use crate::model::time::Mono;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Enrol,
    Register,
    Renew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    First,
    Pending,
    NeedsAdministrator,
    Refused,
    Distrusted,
    Removed,
}

#[derive(Debug)]
pub(super) struct Enrolling {
    pub step: Step,
    pub why: Why,
}

impl Session {
    pub(super) fn enrolled(&mut self, answer: Answer, now: Mono) {
        let Some(enrolling) = &mut self.enrolling else { return };
        match answer {
            Answer::Accepted | Answer::Already => {
                enrolling.step = Step::Register;
                // Not a success yet: what follows may fail for ever, and then goes on slower and slower.
                self.enrol.flying = None;
                self.enrol.hurry(now);
            }
            // Too much at once, or too early: later it takes it.
            Answer::Status(408 | 425 | 429) | Answer::Page(408 | 425 | 429) => self.enrol.fail(self.period, now),
            Answer::Status(400..=499) | Answer::Page(400..=499) => {
                if let Answer::Status(400 | 422) | Answer::Page(400 | 422) = answer {
                    self.hardware = !self.hardware;
                }
                if enrolling.why != Why::Removed && enrolling.why != Why::Distrusted {
                    enrolling.why = Why::Refused;
                }
                self.slowly(now);
            }
            Answer::Aborted => {
                self.hardware = !self.hardware;
                self.enrol.fail(Duration::ZERO, now);
            }
            _ => self.enrol.fail(Duration::ZERO, now),
        }
    }

    /// A registration while it is not registered, or is not trusted.
    pub(super) fn registered_first(&mut self, answer: Answer, now: Mono) {
        let holds = self.holds;
        let Some(enrolling) = &mut self.enrolling else { return };
        let by_device = enrolling.step == Step::Renew;
        enrolling.step = Step::Enrol;
        match answer {
            Answer::Accepted => {
                self.hardware = true;
                // Where one is before it, the server refuses that.
                self.work(Some(false), now);
            }
            Answer::Status(404) => {
                if enrolling.why == Why::Removed || enrolling.why == Why::Distrusted {
                    self.slowly(now);
                } else {
                    enrolling.why = Why::Pending;
                    self.enrol.set_waits(PENDING);
                    self.enrol.fail(Duration::ZERO, now);
                }
            }
            // It is registered already. With the certificate of then it may have another.
            Answer::Status(500) if holds && !by_device => {
                enrolling.step = Step::Renew;
                self.enrol.fail(Duration::ZERO, now);
            }
            Answer::Status(500) => {
                if enrolling.why != Why::Removed && enrolling.why != Why::Distrusted {
                    enrolling.why = Why::NeedsAdministrator;
                }
                self.slowly(now);
            }
            Answer::Status(400..=499) | Answer::Page(400..=499) => {
                if enrolling.why != Why::Removed && enrolling.why != Why::Distrusted {
                    enrolling.why = Why::Refused;
                }
                self.slowly(now);
            }
            _ => self.enrol.fail(Duration::ZERO, now),
        }
    }

    pub(super) fn enrol_again(&mut self, why: Why, now: Mono) {
        self.enrolling = Some(Enrolling { step: Step::Enrol, why });
        self.enrol.stop();
        self.enrol.set_waits((FIRST_RETRY, LAST_RETRY));
        self.enrol.hurry(now);
    }

    pub(super) fn slowly(&mut self, now: Mono) {
        self.enrol.set_waits(SLOW);
        // What was due at once is not.
        self.enrol.next = None;
        self.enrol.fail(SLOW.0, now);
    }
}
