//! What time it is for certificates, whatever the wall clock shows.
//!
//! ```text
//!  a server's Date heard in this boot ──► Date + boot time since          (the wall clock does not matter any more)
//!  none yet                           ──► the latest of: wall clock, build date, newest stored Date, NotBefore of our CA
//!                                         and certificates
//! ```
//! Pure: both clocks are arguments. The most recent Date wins, an earlier one too, so that a server whose clock was wrong
//! and was put right does not stay in our way. A Date is believed only inside the validity of the certificate that the
//! server showed: otherwise one wrong Date would make us refuse that very certificate at every later handshake.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::time::{Mono, Now, Wall};
use crate::released::build_date;

/// What is kept of the server's time on disk changes when it is this far off.
const KEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Where a time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The device's clock.
    WallClock,
    /// The server's Date, in this boot, and the time since.
    Server,
    /// When the agent was built or released.
    Build,
    /// The newest server's Date that was stored.
    Stored,
    /// NotBefore of the CA in `CA_ROOT`.
    Ca,
    /// NotBefore of the certificate in `CERT`.
    Registration,
    /// NotBefore of the device's certificate.
    Device,
}

impl Origin {
    /// For a sentence: "by ...".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Origin::WallClock => "the device's clock",
            Origin::Server => "the server's own Date and the time since",
            Origin::Build => "the build date of the agent, which is later than the device's clock",
            Origin::Stored => "the newest Date stored of the server, which is later than the device's clock",
            Origin::Ca => "the begin of the CA's certificate, which is later than the device's clock",
            Origin::Registration => "the begin of the registration certificate, which is later than the device's clock",
            Origin::Device => "the begin of the device's certificate, which is later than the device's clock",
        }
    }
}

/// What time it is for certificates. One for the agent, behind a mutex (see [`super::tls::Time`]).
#[derive(Clone, Debug)]
pub struct TrustedTime {
    floor: (Wall, Origin),
    /// A server's Date, and when on the boot-time clock it was heard.
    anchor: Option<(Wall, Mono)>,
    kept: Option<Wall>,
    /// Validity of the certificate that the server showed last.
    server: Option<RangeInclusive<Wall>>,
}

impl TrustedTime {
    /// With what [`TrustedTime::stored`] gave before.
    #[must_use]
    pub fn new(stored: Option<Wall>) -> TrustedTime {
        let floor = (build_date(), Origin::Build);
        let mut time = TrustedTime { floor, anchor: None, kept: stored, server: None };
        if let Some(stored) = stored {
            time.not_before(stored, Origin::Stored);
        }
        time
    }

    /// It is not earlier than `at`: NotBefore of the CA, of the registration and of the device's certificate.
    pub fn not_before(&mut self, at: Wall, origin: Origin) {
        if at > self.floor.0 {
            self.floor = (at, origin);
        }
    }

    /// The server showed a certificate of this validity; Dates outside of it are not believed. Called by the TLS verifier.
    pub fn server_shows(&mut self, validity: RangeInclusive<Wall>) {
        self.server = Some(validity);
    }

    /// Takes the Date of an authenticated answer, whatever its status. False: not believed, nothing changed.
    pub fn heard(&mut self, date: Wall, now: Now) -> bool {
        if self.server.as_ref().is_some_and(|validity| !validity.contains(&date)) {
            return false;
        }
        self.anchor = Some((date, now.mono));
        let far = |kept: Wall| date.since(kept) >= KEEP_EVERY || kept.since(date) >= KEEP_EVERY;
        if self.kept.is_none_or(far) {
            self.kept = Some(date);
        }
        true
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self, now: Now) -> Wall {
        self.told(now).0
    }

    /// What time it is, and where that comes from.
    #[must_use]
    pub fn told(&self, now: Now) -> (Wall, Origin) {
        match self.anchored(now.mono) {
            Some(at) => (at, Origin::Server),
            None if now.wall >= self.floor.0 => (now.wall, Origin::WallClock),
            None => self.floor,
        }
    }

    /// The server's time; none before its first Date in this boot.
    #[must_use]
    pub fn anchored(&self, now: Mono) -> Option<Wall> {
        self.anchor.map(|(date, heard)| date.plus(now.since(heard)))
    }

    /// What to keep on disk for [`TrustedTime::new`] of the next start; changes at most once a day while the server's
    /// clock runs as clocks do.
    #[must_use]
    pub fn stored(&self) -> Option<Wall> {
        self.kept
    }
}

/// Reads the header `Date` of an answer.
#[must_use]
pub fn http_date(text: &str) -> Option<Wall> {
    chrono::DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| Wall(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::flotta::testing::at;

    const DAY: u64 = 24 * 3_600_000;

    fn clocks(mono: u64, wall: Wall) -> Now {
        Now { mono: Mono(mono), wall }
    }

    #[test]
    fn a_clock_at_1970_is_held_to_be_the_latest_of_what_is_known() {
        let late = clocks(0, Wall(0));
        assert_eq!(TrustedTime::new(None).told(late), (build_date(), Origin::Build));
        let stored = build_date().plus(Duration::from_secs(5));
        let mut time = TrustedTime::new(Some(stored));
        assert_eq!(time.told(late), (stored, Origin::Stored));
        time.not_before(Wall(5), Origin::Ca);
        assert_eq!(time.told(late), (stored, Origin::Stored), "an earlier floor is none");
        time.not_before(stored.plus(Duration::from_secs(1)), Origin::Device);
        assert_eq!(time.told(late).1, Origin::Device);
        let right = clocks(0, at("2027-01-01T00:00:00Z"));
        assert_eq!(time.told(right), (right.wall, Origin::WallClock), "a clock that is later is believed");
    }

    #[test]
    fn once_the_server_was_heard_the_wall_clock_may_jump_as_it_likes() {
        let date = at("2027-03-01T12:00:00Z");
        let mut time = TrustedTime::new(None);
        assert!(time.heard(date, clocks(1_000, Wall(0))));
        for wall in [Wall(0), Wall(i64::MIN), Wall(i64::MAX), at("2047-01-01T00:00:00Z")] {
            let later = date.plus(Duration::from_secs(60));
            assert_eq!(time.told(clocks(61_000, wall)), (later, Origin::Server));
        }
        assert_eq!(time.now(clocks(0, Wall(0))), date, "a boot-time clock that went back is held at the anchor");
    }

    #[test]
    fn a_server_whose_clock_was_wrong_and_was_put_right_is_believed_again() {
        let (wrong, right) = (at("2027-09-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let mut time = TrustedTime::new(None);
        time.server_shows(at("2026-06-01T00:00:00Z")..=at("2027-12-01T00:00:00Z"));
        assert!(time.heard(wrong, clocks(0, right)));
        assert!(time.heard(right, clocks(10, right)));
        assert_eq!(time.now(clocks(10, Wall(0))), right);
        assert_eq!(time.stored(), Some(right), "and the next start does not begin in the wrong year");
    }

    #[test]
    fn a_date_outside_of_the_servers_own_certificate_is_not_believed() {
        let end = at("2027-06-01T00:00:00Z");
        let mut time = TrustedTime::new(None);
        time.server_shows(at("2026-06-01T00:00:00Z")..=end);
        let now = clocks(0, at("2026-12-01T00:00:00Z"));
        for date in ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2027-06-01T00:00:01Z"] {
            assert!(!time.heard(at(date), now), "{date}");
        }
        assert_eq!((time.told(now).1, time.stored()), (Origin::WallClock, None));
        assert!(time.heard(end, now));
    }

    #[test]
    fn what_is_stored_changes_once_a_day_and_not_while_nothing_changes() {
        let begin = at("2027-01-01T00:00:00Z");
        let mut time = TrustedTime::new(None);
        let mut seen = std::collections::BTreeSet::new();
        for minute in 0..3 * 24 * 60 {
            let since = Duration::from_secs(minute * 60);
            assert!(time.heard(begin.plus(since), clocks(0, Wall(0))));
            seen.insert(time.stored());
        }
        assert_eq!(seen.len(), 3, "three days, one value each");
        let kept = time.stored();
        let mut again = TrustedTime::new(kept);
        assert!(again.heard(kept.expect("kept").plus(Duration::from_millis(DAY - 1)), clocks(0, Wall(0))));
        assert_eq!(again.stored(), kept);
    }

    #[test]
    fn the_date_header_of_the_real_server_is_read_and_nonsense_is_not() {
        assert_eq!(http_date("Fri, 20 Nov 2026 20:25:35 GMT"), Some(at("2026-11-20T20:25:35Z")));
        for text in ["", "yesterday", "2026-11-20T20:25:35Z", "Fri, 20 Nov 99999999999 20:25:35 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
