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

mod enrolling;
mod kinds;
mod pace;
#[cfg(test)]
mod tests;
mod working;

use std::time::Duration;

use super::desired::DEFAULT_PERIOD;
use crate::model::time::Mono;

pub use kinds::{Amount, Answer, Exchange, Holds, Phase, Verdict};

use enrolling::{Enrolling, Step, Why};
use pace::{Allowance, Pace};

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
    /// The first period is as much shorter, in 1/2048: devices that start together do not stay in step.
    earlier: u32,
    /// That first period is over, of the configuration's questions and of the heartbeats.
    spread: [bool; 2],
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
            earlier: u32::try_from(seed % 1024).unwrap_or(0),
            spread: [false; 2],
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

    /// Until the next one of `kind` (0: the configuration, 1: heartbeat).
    fn following(&mut self, kind: usize) -> Duration {
        let first = self.spread.get_mut(kind).is_some_and(|spread| !std::mem::replace(spread, true));
        self.period - if first { self.period / 2048 * self.earlier } else { Duration::ZERO }
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
        // One wake-up of the radio for both: after a heartbeat out of turn they come together again with the next question.
        let quarter = self.period / 4;
        let well = |pace: &Pace| pace.failures == 0 && pace.flying.is_none();
        let get =
            self.get.is_due(now) || (self.beat.is_due(now) && well(&self.get) && self.get.is_due(now.plus(quarter)));
        let due = self.get.is_due(now) && well(&self.get) && well(&self.beat) && self.beat.next.is_some();
        let beat = self.beat.is_due(now) || (due && now.since(self.beat.began) >= quarter);
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
}
