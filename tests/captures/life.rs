//! A session in the situation that an answer is of interest in.

use std::time::Duration;

use flotta_agent::model::time::Mono;
use flotta_agent::source::flotta::session::Exchange::{self, Control, Enrol, Get, Heartbeat, Register, Renew};
use flotta_agent::source::flotta::session::{Answer, Holds, Session, Verdict};

pub const PERIOD: Duration = Duration::from_secs(20);

/// A situation, and which exchange is under way in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// No certificate of its own: it enrols.
    New,
    /// Enrolled: it registers.
    Enrolled,
    /// Nobody has approved it: it enrols again.
    PendingEnrol,
    /// Nobody has approved it: it registers again.
    PendingRegister,
    /// The first question with its very first certificate.
    FirstGet,
    /// All is well: it asks for the configuration.
    Get,
    /// All is well: it reports.
    Heartbeat,
    /// The configuration was refused with 401: it renews.
    Renew,
    /// The first question with a renewed certificate.
    NewGet,
    /// The renewed certificate was refused: it asks with the one before.
    OldGet,
    /// The configuration was answered 404: it asks whether it is removed.
    Control,
    /// The server refuses its certificate: it enrols.
    DistrustedEnrol,
    /// The server refuses its certificate: it registers.
    DistrustedRegister,
    /// The server has removed it: it enrols.
    RemovedEnrol,
}

impl At {
    pub fn exchange(self) -> Exchange {
        match self {
            At::New | At::PendingEnrol | At::DistrustedEnrol | At::RemovedEnrol => Enrol,
            At::Enrolled | At::PendingRegister | At::DistrustedRegister => Register,
            At::FirstGet | At::Get | At::NewGet | At::OldGet => Get,
            At::Heartbeat => Heartbeat,
            At::Renew => Renew,
            At::Control => Control,
        }
    }

    /// What happened before.
    pub fn life(self) -> Life {
        let ok = Answer::Accepted;
        let expired = [(Heartbeat, ok), (Get, Answer::Status(401))];
        let renewed = [expired[0], expired[1], (Renew, ok), (Heartbeat, ok)];
        let (holds, before): (Holds, &[(Exchange, Answer)]) = match self {
            At::New => (Holds::Nothing, &[]),
            At::Enrolled => (Holds::Nothing, &[(Enrol, ok)]),
            At::PendingEnrol => (Holds::Nothing, &[(Enrol, ok), (Register, Answer::Status(404))]),
            At::PendingRegister => (Holds::Nothing, &[(Enrol, ok), (Register, Answer::Status(404)), (Enrol, ok)]),
            At::FirstGet => (Holds::Nothing, &[(Enrol, ok), (Register, ok), (Heartbeat, ok)]),
            At::Get => (Holds::Proven, &[(Heartbeat, ok)]),
            At::Heartbeat => (Holds::Proven, &[(Get, ok)]),
            At::Renew => (Holds::Proven, &expired),
            At::NewGet => (Holds::Proven, &renewed),
            At::OldGet => {
                let mut life = Life::new(Holds::Proven, &renewed);
                life.reach(Get);
                assert_eq!(life.answer(Get, Answer::Status(401)), Some(Verdict::GoBack));
                life.reach(Heartbeat);
                life.answer(Heartbeat, ok);
                life.reach(Get);
                return life;
            }
            At::Control => (Holds::Proven, &[(Heartbeat, ok), (Get, Answer::Status(404))]),
            At::DistrustedEnrol => (Holds::Proven, &[(Get, ok), (Heartbeat, Answer::Status(403))]),
            At::DistrustedRegister => {
                (Holds::Proven, &[(Get, ok), (Heartbeat, Answer::Status(403)), (Enrol, Answer::Already)])
            }
            At::RemovedEnrol => (Holds::Proven, &[(Get, ok), (Heartbeat, Answer::Status(404))]),
        };
        let mut life = Life::new(holds, before);
        life.reach(self.exchange());
        life
    }
}

/// A session, what it has under way, and the time.
pub struct Life {
    pub session: Session,
    pub now: Mono,
    under_way: Vec<(Exchange, u64)>,
}

impl Life {
    pub fn new(holds: Holds, before: &[(Exchange, Answer)]) -> Life {
        let now = Mono(1_000_000);
        // A seed by which the first period is a whole one.
        let mut life = Life { session: Session::new(holds, PERIOD, 1024, now), now, under_way: Vec::new() };
        for (exchange, answer) in before {
            life.reach(*exchange);
            life.answer(*exchange, *answer);
        }
        life
    }

    /// What is begun next, however long that takes; nothing, if nothing is due any more.
    pub fn begin(&mut self) -> Vec<Exchange> {
        for _ in 0..2 {
            let begun = self.session.next(self.now);
            let epoch = self.session.epoch();
            self.under_way.retain(|(of, _)| !begun.contains(of));
            self.under_way.extend(begun.iter().map(|of| (*of, epoch)));
            if !begun.is_empty() {
                return begun;
            }
            let Some(wake) = self.session.wake() else { break };
            self.now = self.now.max(wake);
        }
        Vec::new()
    }

    /// Goes on until an exchange is under way with the certificate of now. Others stay unanswered.
    pub fn reach(&mut self, exchange: Exchange) {
        for _ in 0..10 {
            if self.is_under_way(exchange) {
                return;
            }
            self.begin();
        }
        panic!("{exchange:?} never comes; under way: {:?}", self.under_way);
    }

    pub fn is_under_way(&self, exchange: Exchange) -> bool {
        self.under_way.contains(&(exchange, self.session.epoch()))
    }

    pub fn answer(&mut self, exchange: Exchange, answer: Answer) -> Option<Verdict> {
        let epoch = self.session.epoch();
        let at = self.under_way.iter().position(|one| *one == (exchange, epoch));
        self.under_way.remove(at.unwrap_or_else(|| panic!("{exchange:?} is not under way")));
        self.session.answered(exchange, answer, epoch, self.now)
    }

    /// What comes next and when, in words that jitter does not change.
    pub fn next(&mut self) -> String {
        let before = self.now;
        let mut begun = self.begin();
        begun.sort();
        let names: Vec<String> = begun.iter().map(|exchange| format!("{exchange:?}")).collect();
        let waited = self.now.since(before);
        let when = match waited.as_secs() {
            _ if begun.is_empty() => "nothing",
            0 => "at once",
            1..5 => "soon",
            5..20 => "in seconds",
            20 => "after a period",
            21..60 => "in less than a minute",
            _ => "in minutes",
        };
        format!("{} {when}", names.join("+"))
    }
}
