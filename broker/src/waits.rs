//! What a connection waits for, since when, and for how long it does.

use std::time::Duration;

use tokio::time::Instant;

use crate::counters::Refusal;
use crate::session::Session;
use crate::wire::Wire;

/// Why there is no further packet to take at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// There is none.
    Empty,
    /// The next one is not all there.
    Partial,
    /// Others have their turn.
    Turn,
    /// The client does not read its answers.
    Answers,
    /// See `Connection::congested`.
    Congested,
    /// Until then the client has said enough.
    Rate(Instant),
}

/// What is being waited for, and since when.
#[derive(Debug)]
pub(crate) struct Waits {
    /// Whether we take what the client says.
    listens: bool,
    /// The client to say something.
    pub heard: Instant,
    /// The client to read something.
    pub stalled: Option<Instant>,
    /// The rest of a packet.
    partial: Option<Instant>,
    /// An acknowledgement; with how many there were then.
    unacked: Option<(Instant, u64)>,
}

impl Waits {
    pub fn new(now: Instant) -> Self {
        Waits { listens: true, heard: now, stalled: None, partial: None, unacked: None }
    }

    pub fn update<S>(&mut self, pause: Pause, took: bool, session: &Session, wire: &Wire<S>) {
        let now = Instant::now;
        self.listens = matches!(pause, Pause::Empty | Pause::Partial);
        if !self.listens {
            self.heard = now();
        }
        self.stalled = if wire.out.is_empty() { None } else { self.stalled.or_else(|| Some(now())) };
        self.partial = match pause {
            Pause::Partial => self.partial.filter(|_| !took).or_else(|| Some(now())),
            _ => None,
        };
        let acknowledged = session.acknowledgements;
        self.unacked = if session.waits_for_acknowledgement() {
            self.unacked
                .filter(|(_, then)| self.listens && *then == acknowledged)
                .or_else(|| Some((now(), acknowledged)))
        } else {
            None
        };
    }

    /// The first moment at which the client has to go, and why.
    pub fn deadline(&self, silence: Option<Duration>, session: &Session) -> Option<(Instant, Refusal)> {
        let limits = &session.hub.limits;
        // What the client says is not heard while we do not listen.
        let listens = |of: &Duration| self.listens.then_some(*of);
        let all = [
            (Some(self.heard), silence.as_ref().and_then(listens), Refusal::KeepAlive),
            (self.stalled, Some(limits.write_deadline), Refusal::SlowReader),
            (self.partial, Some(limits.packet_deadline), Refusal::SlowWriter),
            (self.unacked.map(|(since, _)| since), listens(&limits.ack_deadline), Refusal::Unacknowledged),
        ];
        // A deadline that no clock reaches is none.
        let at = |(since, of, why): (Option<Instant>, Option<Duration>, _)| Some((since?.checked_add(of?)?, why));
        all.into_iter().filter_map(at).min_by_key(|(at, _)| *at)
    }
}
