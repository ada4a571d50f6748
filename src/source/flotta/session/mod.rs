//! The device's relation to the server: what is asked next, and what an answer means. Pure.
//!
//! ```text
//!  Unenrolled ─► Enrolled ─► PendingApproval ─┐          (registration certificate)
//!       ▲            └────────────────────────┴─► Proving ─► Registered ⇄ Renewing      (device certificate)
//!       └──────────────── Removed ◄── heartbeat 404, control "disconnect" ──┘
//! ```
//! Beside it: `Refused` (the server takes neither the certificate nor the id), `NeedsAdministrator` (registered once, and
//! the certificate is lost), `Distrusted` (it has a certificate that the server refuses). GET and heartbeat are independent
//! of each other and of renewal; but a heartbeat is taken with an expired certificate too, so that its success alone proves
//! none. Only a heartbeat's 404 or the control channel's `disconnect` removes; nothing else stops a
//! workload.

mod pace;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::model::time::Mono;

use pace::{Allowance, Pace};

/// Where the server says nothing, or nothing of use.
pub const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// The first wait after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait for a server that cannot be reached, or the period where that is longer.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// While nobody has approved the device.
const PENDING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Where trying again soon helps nobody: wrong certificate, an administrator needed, removed.
const SLOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1_800));
/// A server that refused the hardware, or fell over something else meanwhile, is given it again after this.
const ALL_AGAIN: Duration = Duration::from_secs(3_600);
/// Between tries of a renewal.
const RENEWAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// One exchange with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// Directive `enrolment`, with the registration certificate.
    Enrol,
    /// Directive `registration`, with the registration certificate.
    Register,
    /// Directive `registration`, with the device's own certificate.
    Renew,
    /// The configuration.
    Get,
    /// Directive `heartbeat`.
    Heartbeat,
    /// The control channel.
    Control,
}

impl Exchange {
    /// Every one.
    pub const ALL: [Exchange; 6] =
        [Exchange::Enrol, Exchange::Register, Exchange::Renew, Exchange::Get, Exchange::Heartbeat, Exchange::Control];

    /// For sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Exchange::Enrol => "enrolment",
            Exchange::Register => "registration",
            Exchange::Renew => "renewal",
            Exchange::Get => "configuration",
            Exchange::Heartbeat => "heartbeat",
            Exchange::Control => "control channel",
        }
    }
}

/// What came of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// 200, and what came with it is usable.
    Accepted,
    /// 208.
    Already,
    /// The control channel's `disconnect`.
    Disconnect,
    /// Any other status, without a body: the server's own handlers send none.
    Status(u16),
    /// Any other status with a body: from something in front of the handlers, so it says nothing about this device.
    Page(u16),
    /// 200, and what came with it is not usable: garbage, cut off, too large.
    Unusable,
    /// The connection ended after the request and before a status: the server may have crashed over it.
    Aborted,
    /// No connection, or no answer in time.
    Unreachable,
}

/// How the device stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It has no certificate of its own and has not been enrolled.
    Unenrolled,
    /// The server knows of it.
    Enrolled,
    /// The server knows of it, and nobody has approved it yet.
    PendingApproval,
    /// The server gave it a certificate once, and it has none.
    NeedsAdministrator,
    /// The server takes neither its id nor its registration certificate.
    Refused,
    /// It has a certificate that has not been used with success yet.
    Proving,
    /// All is well.
    Registered,
    /// All is well, and a new certificate is asked for.
    Renewing,
    /// It has a certificate that the server refuses.
    Distrusted,
    /// The server has removed it.
    Removed,
}

/// What has to be done about an answer, beside what is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new certificate works: it is the one from now on.
    Promote,
    /// The new certificate is refused: back to the one before.
    GoBack,
    /// The server has removed this device.
    Removed,
}

/// How much a message holds: less after the server has refused more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// All that is asked for.
    #[default]
    Full,
    /// Without the hardware.
    NoHardware,
    /// Heartbeat: without the events too.
    Least,
}

/// Which certificates there are, at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// None of its own.
    Nothing,
    /// One that has worked.
    Proven,
    /// One that has not worked yet; `true`: and one before it that has.
    Candidate(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Enrol,
    Register,
    Renew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    First,
    Pending,
    NeedsAdministrator,
    Refused,
    Distrusted,
    Removed,
}

#[derive(Debug)]
struct Enrolling {
    step: Step,
    why: Why,
}

/// The device's side of it.
#[derive(Debug)]
pub struct Session {
    enrolling: Option<Enrolling>,
    /// It works with a certificate of its own.
    registered: bool,
    /// That certificate has not worked yet; whether there is one before it.
    proving: Option<bool>,
    /// A certificate of its own is there, whether it works with it or not.
    holds: bool,
    /// A question was let in with it: the server looks at the validity of its certificate, and at that of a heartbeat's
    /// it does not.
    admitted: bool,
    /// Counts the certificates that were worked with: what was asked with another one says nothing about this one.
    epoch: u64,
    enrol: Pace,
    renew: Pace,
    get: Pace,
    beat: Pace,
    control: Pace,
    renew_at: Option<Mono>,
    /// No renewal before this: some server's certificates are over when they come.
    rest: Mono,
    hardware: bool,
    amount: Amount,
    /// Since when heartbeats carry less.
    reduced: Option<Mono>,
    allowance: Allowance,
    period: Duration,
}

impl Session {
    /// At the start of the agent. `seed` is for jitter.
    #[must_use]
    pub fn new(holds: Holds, period: Duration, seed: u64, now: Mono) -> Session {
        let pace = |(first, last): (Duration, Duration), nth: u64| Pace::new(first, last, seed.wrapping_add(nth));
        let often = (FIRST_RETRY, LAST_RETRY.max(period));
        let mut session = Session {
            enrolling: None,
            registered: false,
            proving: None,
            holds: false,
            admitted: false,
            epoch: 0,
            enrol: pace(often, 1),
            renew: pace(RENEWAL, 2),
            get: pace(often, 3),
            beat: pace(often, 4),
            control: pace(often, 5),
            renew_at: None,
            rest: Mono(0),
            hardware: true,
            amount: Amount::Full,
            reduced: None,
            allowance: Allowance::new(),
            period,
        };
        match holds {
            Holds::Nothing => session.enrol_again(Why::First, now),
            Holds::Proven => session.work(None, now),
            Holds::Candidate(older) => session.work(Some(older), now),
        }
        session
    }

    /// How the device stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.enrolling {
            Some(_) if self.registered => Phase::Distrusted,
            Some(Enrolling { why: Why::Removed, .. }) => Phase::Removed,
            Some(Enrolling { why: Why::NeedsAdministrator, .. }) => Phase::NeedsAdministrator,
            Some(Enrolling { why: Why::Refused, .. }) => Phase::Refused,
            Some(Enrolling { why: Why::Pending, .. }) => Phase::PendingApproval,
            Some(Enrolling { step: Step::Enrol, .. }) => Phase::Unenrolled,
            Some(Enrolling { .. }) => Phase::Enrolled,
            None if self.proving.is_some() => Phase::Proving,
            None if self.renew.flying.is_some() || self.renew.failures > 0 => Phase::Renewing,
            None => Phase::Registered,
        }
    }

    /// How often GET and heartbeat are due.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What the server says about it, zero included.
    pub fn set_period(&mut self, period: Duration) {
        self.period = if period.is_zero() { DEFAULT_PERIOD } else { period };
        for pace in [&mut self.get, &mut self.beat] {
            pace.set_waits((FIRST_RETRY, LAST_RETRY.max(self.period)));
            // What was planned by a longer period comes earlier.
            if let Some(next) = pace.next.filter(|_| pace.flying.is_none() && pace.failures == 0) {
                pace.next = Some(next.min(pace.began.plus(self.period)));
            }
        }
    }

    /// When the certificate is due for renewal; asked anew whenever a clock may have changed.
    pub fn set_renewal(&mut self, at: Option<Mono>) {
        self.renew_at = at;
    }

    /// Whether enrolment and renewal carry the hardware, and how much a heartbeat carries. The first registration never
    /// does: hardware that the server cannot store would use up the registration certificate (500 for ever after).
    #[must_use]
    pub fn amount(&self, of: Exchange) -> Amount {
        match of {
            Exchange::Heartbeat => self.amount,
            Exchange::Register => Amount::NoHardware,
            _ if self.hardware => Amount::Full,
            _ => Amount::NoHardware,
        }
    }

    /// A workload changed its state: the server hears of it now, if not too much was said lately.
    pub fn changed(&mut self, now: Mono) {
        if !self.registered || self.beat.failures > 0 {
            return;
        }
        let at = self.allowance.when(now);
        self.beat.next = Some(self.beat.next.map_or(at, |next| next.min(at)));
    }

    /// There is a new configuration: what the server refused before, it may take now.
    pub fn reconfigured(&mut self) {
        self.amount = Amount::Full;
        // And it does not wait as long as the period before had it wait.
        let soon = self.beat.began.plus(self.period);
        if let Some(next) = self.beat.next.filter(|_| self.beat.failures > 0) {
            self.beat.next = Some(next.min(soon));
        }
    }

    /// Something outside changed that failures may have come from: the wall clock, a file, a person asks.
    pub fn hurry(&mut self, now: Mono) {
        for pace in [&mut self.enrol, &mut self.renew, &mut self.get, &mut self.beat, &mut self.control] {
            if pace.failures > 0 && pace.next.is_some() {
                pace.hurry(now);
            }
        }
    }

    /// A person asks: what may be asked is asked now.
    pub fn refresh(&mut self, now: Mono) {
        self.hurry(now);
        if self.registered {
            self.get.hurry(now);
        }
    }

    /// What is to be asked now. Each counts as under way until [`Session::answered`].
    pub fn next(&mut self, now: Mono) -> Vec<Exchange> {
        let mut all = Vec::new();
        if let Some(enrolling) = &self.enrolling
            && self.enrol.is_due(now)
            // A renewal is under way: one request for a certificate at a time.
            && self.renew.flying.is_none()
        {
            self.enrol.begin(now);
            all.push(match enrolling.step {
                Step::Enrol => Exchange::Enrol,
                Step::Register => Exchange::Register,
                Step::Renew => Exchange::Renew,
            });
        }
        if !self.registered {
            return all;
        }
        let renewing = self.enrolling.is_some() || self.proving.is_some() || self.renew.flying.is_some();
        let due = self.renew.is_due(now) || (self.renew.next.is_none() && self.renewal_is_due(now));
        if !renewing && due && self.rest <= now {
            self.renew.begin(now);
            all.push(Exchange::Renew);
        }
        if self.control.is_due(now) {
            self.control.begin(now);
            all.push(Exchange::Control);
        }
        // One wake-up of the radio for both.
        let soon = now.plus(self.period / 4);
        let together = |a: &Pace, b: &Pace| a.is_due(now) && b.failures == 0 && b.is_due(soon);
        let (get, beat) = (
            self.get.is_due(now) || together(&self.beat, &self.get),
            self.beat.is_due(now) || together(&self.get, &self.beat),
        );
        if get {
            self.get.begin(now);
            all.push(Exchange::Get);
        }
        if beat {
            self.beat.begin(now);
            self.allowance.take(now);
            all.push(Exchange::Heartbeat);
        }
        all
    }

    /// When [`Session::next`] has something, if nothing else happens.
    #[must_use]
    pub fn wake(&self) -> Option<Mono> {
        let enrol = (self.enrolling.is_some() && self.renew.flying.is_none()).then_some(&self.enrol);
        let works = [&self.get, &self.beat, &self.control];
        let paces = enrol.into_iter().chain(works.into_iter().filter(|_| self.registered));
        let next = paces.filter(|pace| pace.flying.is_none()).filter_map(|pace| pace.next).min();
        let idle = self.enrolling.is_none() && self.proving.is_none() && self.renew.flying.is_none();
        let renewal = self.renew.next.or(self.renew_at).filter(|_| self.registered && idle);
        next.into_iter().chain(renewal.map(|at| at.max(self.rest))).min()
    }

    fn renewal_is_due(&self, now: Mono) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    /// With which certificate an exchange that begins now is made.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What an answer changes. `epoch`: that of when it was asked.
    pub fn answered(&mut self, exchange: Exchange, answer: Answer, epoch: u64, now: Mono) -> Option<Verdict> {
        if epoch != self.epoch {
            return None;
        }
        match exchange {
            Exchange::Enrol => self.enrolled(answer, now),
            Exchange::Register => self.registered_first(answer, now),
            Exchange::Renew if self.enrol.flying.is_some() => self.registered_first(answer, now),
            Exchange::Renew => self.renewed(answer, now),
            Exchange::Get => return self.configured(answer, now),
            Exchange::Heartbeat => return self.beaten(answer, now),
            Exchange::Control => return self.controlled(answer, now),
        }
        None
    }

    fn enrolled(&mut self, answer: Answer, now: Mono) {
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
    fn registered_first(&mut self, answer: Answer, now: Mono) {
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

    fn renewed(&mut self, answer: Answer, now: Mono) {
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

    fn configured(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
        if !self.registered {
            self.get.flying = None;
            return None;
        }
        self.admits(answer);
        match answer {
            Answer::Accepted => {
                self.get.succeed(Some(self.period), now);
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

    fn beaten(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
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
                self.beat.succeed(Some(self.period), now);
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

    fn controlled(&mut self, answer: Answer, now: Mono) -> Option<Verdict> {
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
    fn admits(&mut self, answer: Answer) {
        match answer {
            Answer::Status(401 | 403) => self.admitted = false,
            Answer::Page(_) | Answer::Unreachable => {}
            _ => self.admitted = true,
        }
    }

    /// The certificate is good.
    fn trusted(&mut self, now: Mono) -> Option<Verdict> {
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
    fn unauthorized(&mut self, now: Mono) -> Option<Verdict> {
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

    fn missed(&mut self, answer: Answer, exchange: Exchange, now: Mono) {
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
    fn work(&mut self, proving: Option<bool>, now: Mono) {
        self.enrolling = None;
        self.enrol.stop();
        self.registered = true;
        self.holds = true;
        self.proving = proving;
        self.amount = Amount::Full;
        self.change(now);
    }

    /// Another certificate is worked with from now on: what is under way with the one before is not waited for.
    fn change(&mut self, now: Mono) {
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

    fn distrust(&mut self, now: Mono) {
        if self.enrolling.is_none() {
            self.enrol_again(Why::Distrusted, now);
        }
    }

    fn remove(&mut self, now: Mono) -> Verdict {
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

    fn enrol_again(&mut self, why: Why, now: Mono) {
        self.enrolling = Some(Enrolling { step: Step::Enrol, why });
        self.enrol.stop();
        self.enrol.set_waits((FIRST_RETRY, LAST_RETRY));
        self.enrol.hurry(now);
    }

    fn slowly(&mut self, now: Mono) {
        self.enrol.set_waits(SLOW);
        // What was due at once is not.
        self.enrol.next = None;
        self.enrol.fail(SLOW.0, now);
    }
}
