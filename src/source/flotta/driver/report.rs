//! How the device stands with the server, in words: for the device object, `status` and the log. Pure.

use std::collections::BTreeMap;

use super::super::session::{Exchange, Phase};
use crate::model::status::{CertificateStatus, ServerStatus};
use crate::model::time::Wall;

const REMOVED: &str =
    "the server has removed this device; it asks to be enrolled again, ever more slowly (SIGHUP hurries it)";

/// What is known of the exchanges so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What is wrong now, by exchange; and whether it is that the server was not reached.
    troubles: BTreeMap<Exchange, (String, bool)>,
    last_error: Option<(Wall, String)>,
    last_contact: Option<Wall>,
    /// Whether the last exchange reached the server; `None`: there was none yet.
    reached: Option<bool>,
    state: Option<(&'static str, Wall)>,
}

impl Report {
    /// What came of an exchange; true if it is a trouble that was not there before.
    pub fn exchanged(&mut self, exchange: Exchange, reached: Option<bool>, trouble: Option<&str>, now: Wall) -> bool {
        self.reached = reached.or(self.reached);
        if reached == Some(true) {
            self.last_contact = Some(now);
            // By another exchange, but reached it is.
            self.troubles.retain(|_, (_, unreached)| !*unreached);
        }
        match trouble {
            None => {
                self.troubles.remove(&exchange);
                false
            }
            Some(trouble) => {
                self.last_error = Some((now, trouble.to_owned()));
                let unreached = reached == Some(false);
                let before = self.troubles.insert(exchange, (trouble.to_owned(), unreached));
                before.is_none_or(|(before, _)| before != trouble)
            }
        }
    }

    /// Exchanges that are not made any more have no troubles.
    pub fn forget(&mut self, exchanges: &[Exchange]) {
        self.troubles.retain(|exchange, _| !exchanges.contains(exchange));
    }

    /// Whether the last exchange reached the server.
    pub fn is_reached(&self) -> bool {
        self.reached == Some(true)
    }

    /// The object; `true`: the state is another one than before.
    pub fn status(
        &mut self,
        phase: Phase,
        version: Option<String>,
        certificate: Option<CertificateStatus>,
        now: Wall,
    ) -> (ServerStatus, bool) {
        let state = match (phase, self.reached) {
            (Phase::Removed, _) => "removed",
            (_, None) => "connecting",
            (_, Some(false)) => "unreachable",
            (Phase::Unenrolled | Phase::Enrolled, _) => "enrolling",
            (Phase::PendingApproval, _) => "pending_approval",
            (Phase::NeedsAdministrator, _) => "needs_administrator",
            (Phase::Refused, _) => "refused",
            (Phase::Distrusted, _) => "distrusted",
            (Phase::Proving | Phase::Registered | Phase::Renewing, _) => "connected",
        };
        let changed = self.state.is_none_or(|(before, _)| before != state);
        if changed {
            self.state = Some((state, now));
        }
        // In the order of the exchanges: what stands in the way of the others comes first.
        let message = self.troubles.values().next().map(|(words, _)| words.clone());
        let message = message.or_else(|| (phase == Phase::Removed).then(|| REMOVED.to_owned()));
        let status = ServerStatus {
            state: state.into(),
            message,
            since: self.state.map(|(_, since)| since),
            last_contact: self.last_contact,
            version,
            certificate,
            last_error: self.last_error.as_ref().map(|(_, words)| words.clone()),
            last_error_at: self.last_error.as_ref().map(|(at, _)| *at),
        };
        (status, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_since_when_the_server_is_away_and_why_and_what_was_wrong_last() {
        let mut report = Report::default();
        let status = |report: &mut Report, at| report.status(Phase::Registered, None, None, Wall(at)).0;
        assert_eq!(status(&mut report, 1).state, "connecting");
        report.exchanged(Exchange::Get, Some(true), None, Wall(2));
        assert_eq!(status(&mut report, 2).state, "connected");
        assert!(report.exchanged(Exchange::Get, Some(false), Some("no route"), Wall(3)), "new");
        assert!(!report.exchanged(Exchange::Get, Some(false), Some("no route"), Wall(4)), "known");
        let away = status(&mut report, 5);
        assert_eq!((away.state.as_str(), away.message.as_deref()), ("unreachable", Some("no route")));
        // Of another exchange than the one that failed: reached it is all the same.
        report.exchanged(Exchange::Heartbeat, Some(true), None, Wall(9));
        let back = status(&mut report, 9);
        assert_eq!((back.state.as_str(), back.since, back.message), ("connected", Some(Wall(9)), None));
        assert_eq!((back.last_error.as_deref(), back.last_error_at), (Some("no route"), Some(Wall(4))));
    }
}
