//! Faults on demand: what goes wrong, with which operation, for whom and how often.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

/// What a device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST data/out`, directive `enrolment`.
    Enrolment,
    /// `POST data/out`, directive `registration`: the first one and renewals.
    Registration,
    /// `POST data/out`, directive `heartbeat`.
    Heartbeat,
    /// `GET data/in`: the configuration.
    Get,
    /// `GET control/in` and `POST control/out`.
    Control,
    /// Anything else. As the subject of a fault: any operation.
    Other,
}

/// Something that goes wrong, once unless it says otherwise. What a fault does before the request takes effect and
/// what after is said with each; [`Fault::after_effect`] makes the first kind wait for the effect.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) action: Action,
    left: Option<u32>,
    device: Option<String>,
    pub(crate) effect: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Status(u16, Bytes),
    Abort,
    Cut(u64),
    Body(Bytes),
    Slow(usize, Duration),
    Endless(u64),
    Delay(Duration),
    Hold(Gate),
}

impl Fault {
    fn new(action: Action, effect: bool) -> Self {
        Self { action, left: Some(1), device: None, effect }
    }

    /// This status with no body, and no effect.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(Action::Status(status, Bytes::new()), false)
    }

    /// This status with a body, as a proxy in between answers; no effect.
    #[must_use]
    pub fn status_with(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(Action::Status(status, body.into()), false)
    }

    /// Like a panic of the real server, without effect: over HTTP/1.1 the connection ends before any answer, over
    /// HTTP/2 the stream is reset with INTERNAL_ERROR and the connection stays.
    #[must_use]
    pub fn abort() -> Self {
        Self::new(Action::Abort, false)
    }

    /// The request takes effect, so many bytes of the answer are sent (status line and headers count), and the
    /// connection is closed without a TLS end. Zero loses the answer as a whole; a cut behind the end of the answer
    /// cuts nothing. To the byte with `Protocols::Http1` only.
    #[must_use]
    pub fn cut_after(bytes: u64) -> Self {
        Self::new(Action::Cut(bytes), true)
    }

    /// 200 with zero bytes, and no effect.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Action::Body(Bytes::new()), false)
    }

    /// 200 with these bytes as `application/json`, and no effect.
    #[must_use]
    pub fn garbage(body: impl Into<Bytes>) -> Self {
        Self::new(Action::Body(body.into()), false)
    }

    /// The request takes effect, and the body of the answer comes at this pace. Headers come at once.
    #[must_use]
    pub fn slow(bytes: usize, every: Duration) -> Self {
        Self::new(Action::Slow(bytes, every), true)
    }

    /// 200 with so many blanks, and no effect; `u64::MAX` has no end.
    #[must_use]
    pub fn blanks(bytes: u64) -> Self {
        Self::new(Action::Endless(bytes), false)
    }

    /// The request takes effect, and is answered so much later.
    #[must_use]
    pub fn delayed(by: Duration) -> Self {
        Self::new(Action::Delay(by), true)
    }

    /// The request takes effect, and is answered when the gate opens.
    #[must_use]
    pub fn held(gate: &Gate) -> Self {
        Self::new(Action::Hold(gate.clone()), true)
    }

    /// The request takes effect first: "signed, and the answer lost" is `Fault::abort().after_effect()`.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.effect = true;
        self
    }

    /// For so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// For every request, until the faults are cleared.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        self.left = None;
        self
    }

    /// For this device's requests only.
    #[must_use]
    pub fn of(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }
}

/// Holds answers back until it is opened; it stays open.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything through, what waits and what comes.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        let mut open = self.0.subscribe();
        let _opened = open.wait_for(|open| *open).await;
    }
}

/// The faults that are still to happen, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Operation, Fault)>);

impl Faults {
    pub(crate) fn add(&mut self, operation: Operation, fault: Fault) {
        self.0.push((operation, fault));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many faults are still to happen, those for ever counted once.
    pub(crate) fn pending(&self) -> usize {
        self.0.len()
    }

    /// The fault of this request, if any. One that has happened often enough goes.
    pub(crate) fn take(&mut self, operation: Operation, device: &str) -> Option<Fault> {
        let fits = |(of, fault): &(Operation, Fault)| {
            (*of == operation || *of == Operation::Other) && fault.device.as_deref().is_none_or(|one| one == device)
        };
        let at = self.0.iter().position(fits)?;
        let (_, fault) = self.0.get_mut(at)?;
        let taken = fault.clone();
        fault.left = fault.left.map(|left| left.saturating_sub(1));
        if fault.left == Some(0) {
            self.0.remove(at);
        }
        (taken.left != Some(0)).then_some(taken)
    }
}
