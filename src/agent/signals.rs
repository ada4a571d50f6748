//! Signals in, and what systemd is told.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).map_err(|why| tracing::error!("cannot listen to a signal: {why}")).ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The signals that the agent listens to, from the moment this exists.
pub(super) struct Signals {
    term: Option<Signal>,
    int: Option<Signal>,
    hup: Option<Signal>,
}

impl Signals {
    pub(super) fn install() -> Signals {
        Signals {
            term: listen(SignalKind::terminate()),
            int: listen(SignalKind::interrupt()),
            hup: listen(SignalKind::hangup()),
        }
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP has the manifests, and the files for the server, read again.
    pub(super) async fn end(&mut self, reread: &[Arc<Notify>]) {
        loop {
            tokio::select! {
                () = next(&mut self.term) => return,
                () = next(&mut self.int) => return,
                () = next(&mut self.hup) => {
                    tracing::info!("SIGHUP: the manifests and the server's certificates are read again; a changed configuration needs a restart");
                    reread.iter().for_each(|reread| reread.notify_one());
                }
            }
        }
    }
}

pub(super) fn notify_ready() {
    tell(NotifyState::Ready);
}

pub(super) fn notify_stopping() {
    tell(NotifyState::Stopping);
}

/// Fed by the loop's progress, not by a timer of its own.
pub(super) fn feed_watchdog() {
    tell(NotifyState::Watchdog);
}

/// How often systemd wants to hear of progress, if it does.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: NotifyState<'_>) {
    if let Err(why) = sd_notify::notify(&[state]) {
        tracing::debug!("systemd cannot be told: {why}");
    }
}
