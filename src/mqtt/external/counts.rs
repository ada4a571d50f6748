//! What is counted about an external broker, for `GET /metrics`.

/// What a broker can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To let us in.
    Connect,
    /// A subscription.
    Subscribe,
    /// A message; or it is too long to be sent.
    Publish,
}

/// All of it, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whether there is a connection.
    pub connected: bool,
    /// Connections made; each but the first is a reconnect.
    pub connects: u64,
    /// Events that the broker has not acknowledged yet.
    pub waiting: usize,
    /// Events that were dropped for room, or not taken.
    pub dropped: u64,
    /// Retained messages that the broker has acknowledged.
    pub retained: u64,
    pub(super) refused: [u64; 3],
}

impl Refusal {
    /// Each of them.
    pub const ALL: [Refusal; 3] = [Refusal::Connect, Refusal::Subscribe, Refusal::Publish];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Connect => "connect",
            Refusal::Subscribe => "subscribe",
            Refusal::Publish => "publish",
        }
    }

    fn place(self) -> usize {
        match self {
            Refusal::Connect => 0,
            Refusal::Subscribe => 1,
            Refusal::Publish => 2,
        }
    }
}

impl Counts {
    /// How often this was refused.
    #[must_use]
    pub fn refused(&self, what: Refusal) -> u64 {
        self.refused.get(what.place()).copied().unwrap_or(0)
    }

    pub(super) fn refuse(&mut self, what: Refusal) {
        if let Some(count) = self.refused.get_mut(what.place()) {
            *count = count.saturating_add(1);
        }
    }
}
