//! Every phase with every answer, against the table in `table.txt`; and what holds in any order of answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod endurance;

const PERIOD: Duration = Duration::from_secs(20);
const ANSWERS: [Answer; 14] = [
    Answer::Accepted,
    Answer::Already,
    Answer::Disconnect,
    Answer::Status(400),
    Answer::Status(401),
    Answer::Status(403),
    Answer::Status(404),
    Answer::Page(404),
    Answer::Status(422),
    Answer::Status(500),
    Answer::Page(502),
    Answer::Unusable,
    Answer::Aborted,
    Answer::Unreachable,
];

/// A session and the hands that answer it.
struct Life {
    session: Session,
    now: Mono,
    flying: BTreeMap<Exchange, u64>,
}

impl Life {
    fn new(holds: Holds) -> Life {
        let now = Mono(1_000_000);
        // A seed by which the first period is a whole one.
        Life { session: Session::new(holds, PERIOD, 1024, now), now, flying: BTreeMap::new() }
    }

    /// Sends what is due; goes on in time to what is due next if nothing is.
    fn go(&mut self) -> BTreeSet<Exchange> {
        for _ in 0..2 {
            let epoch = self.session.epoch();
            self.flying.retain(|_, of| *of == epoch);
            for exchange in self.session.next(self.now) {
                let before = self.flying.insert(exchange, self.session.epoch());
                assert_eq!(before, None, "{exchange:?} is under way twice");
            }
            if !self.flying.is_empty() {
                break;
            }
            self.now = self.session.wake().expect("it has a next step").max(self.now);
        }
        self.flying.keys().copied().collect()
    }

    fn answer(&mut self, exchange: Exchange, answer: Answer) -> Option<Verdict> {
        let epoch = self.flying.remove(&exchange).unwrap_or_else(|| panic!("{exchange:?} is not under way"));
        let verdict = self.session.answered(exchange, answer, epoch, self.now);
        self.session.set_renewal(None);
        verdict
    }

    /// Goes on until an exchange is under way, accepting whatever is under way before it.
    fn until(&mut self, exchange: Exchange) {
        for _ in 0..50 {
            if self.go().contains(&exchange) {
                return;
            }
            let other = *self.flying.keys().next().expect("something is under way");
            self.answer(other, Answer::Accepted);
        }
        panic!("{exchange:?} never comes");
    }

    fn registered() -> Life {
        let mut life = Life::new(Holds::Proven);
        life.go();
        life.answer(Exchange::Get, Answer::Accepted);
        life.answer(Exchange::Heartbeat, Answer::Accepted);
        life
    }

    /// In a phase, with the exchange under way whose answer is of interest.
    fn at(phase: Phase, exchange: Exchange) -> Option<Life> {
        let mut life = match phase {
            Phase::Unenrolled | Phase::Enrolled => Life::new(Holds::Nothing),
            Phase::PendingApproval | Phase::NeedsAdministrator | Phase::Refused => {
                let mut life = Life::new(Holds::Nothing);
                life.until(Exchange::Register);
                let answer = match phase {
                    Phase::PendingApproval => Answer::Status(404),
                    Phase::NeedsAdministrator => Answer::Status(500),
                    _ => Answer::Status(401),
                };
                life.answer(Exchange::Register, answer);
                life
            }
            Phase::Proving => Life::new(Holds::Candidate(true)),
            Phase::Registered => Life::registered(),
            Phase::Renewing => {
                let mut life = Life::registered();
                life.session.set_renewal(Some(life.now));
                life.until(Exchange::Renew);
                if exchange != Exchange::Renew {
                    life.answer(Exchange::Renew, Answer::Status(500));
                }
                life
            }
            Phase::Distrusted => {
                let mut life = Life::registered();
                life.until(Exchange::Heartbeat);
                life.answer(Exchange::Heartbeat, Answer::Status(403));
                life
            }
            Phase::Removed => {
                let mut life = Life::registered();
                life.until(Exchange::Heartbeat);
                life.answer(Exchange::Heartbeat, Answer::Status(404));
                life
            }
        };
        if exchange == Exchange::Control {
            if !life.session.registered {
                return None;
            }
            life.session.control.hurry(life.now);
        }
        for _ in 0..20 {
            life.go();
            if life.flying.contains_key(&exchange) {
                return (life.session.phase() == phase).then_some(life);
            }
            let only = life.flying.keys().copied().find(|of| matches!(of, Exchange::Enrol));
            match only {
                Some(_) => drop(life.answer(Exchange::Enrol, Answer::Accepted)),
                None => return None,
            }
        }
        None
    }
}

const PHASES: [Phase; 10] = [
    Phase::Unenrolled,
    Phase::Enrolled,
    Phase::PendingApproval,
    Phase::NeedsAdministrator,
    Phase::Refused,
    Phase::Proving,
    Phase::Registered,
    Phase::Renewing,
    Phase::Distrusted,
    Phase::Removed,
];

/// How long until the next exchange of a kind that was not under way before, in words that jitter does not change.
fn wait(life: &Life) -> String {
    let Some(at) = life.session.wake() else { return "-".into() };
    match at.since(life.now).as_secs() {
        0 => "at once".into(),
        1 => "1-2 s".into(),
        2..=4 => "2-4 s".into(),
        5..=9 => "5-10 s".into(),
        10..=19 => "10-20 s".into(),
        20..=59 => "a period".into(),
        60..=119 => "1-2 min".into(),
        _ => "later".into(),
    }
}

fn table() -> String {
    let mut table = String::new();
    for phase in PHASES {
        for exchange in Exchange::ALL {
            for answer in ANSWERS {
                let Some(mut life) = Life::at(phase, exchange) else { continue };
                let verdict = life.answer(exchange, answer);
                // Only what this answer brings about.
                life.flying.clear();
                let verdict = verdict.map(|verdict| format!(" {verdict:?}!")).unwrap_or_default();
                let (after, wait) = (life.session.phase(), wait(&life));
                writeln!(table, "{phase:?} + {exchange:?} {answer:?} -> {after:?}{verdict}, next {wait}")
                    .expect("written");
            }
        }
    }
    table
}

#[test]
fn every_answer_in_every_phase_leads_where_the_table_says() {
    let table = table();
    if std::env::var_os("FLOTTA_WRITE_TABLE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/flotta/session/table.txt");
        std::fs::write(path, &table).expect("written");
    }
    for (now, then) in table.lines().zip(include_str!("table.txt").lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(table.lines().count(), include_str!("table.txt").lines().count());
    let reached: BTreeSet<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(reached.len(), PHASES.len(), "{reached:?}");
}

#[test]
fn only_a_heartbeats_404_or_disconnect_removes() {
    for line in table().lines() {
        let says = line.contains("Heartbeat Status(404)") || line.contains("Control Disconnect");
        let removes = line.contains("Removed!");
        let could = !line.starts_with("Removed ");
        assert_eq!(removes, says && could, "{line}");
    }
}

#[test]
fn an_expired_certificate_is_renewed_at_once_and_the_next_get_has_the_new_one() {
    let mut life = Life::registered();
    life.until(Exchange::Get);
    life.answer(Exchange::Get, Answer::Status(401));
    life.until(Exchange::Renew);
    life.answer(Exchange::Renew, Answer::Accepted);
    assert_eq!(life.session.phase(), Phase::Proving);
    assert!(life.go().contains(&Exchange::Get));
    assert_eq!(life.answer(Exchange::Get, Answer::Accepted), Some(Verdict::Promote));
    assert_eq!(life.session.phase(), Phase::Registered);
}

#[test]
fn a_new_certificate_that_is_refused_gives_way_to_the_old_one() {
    let mut life = Life::registered();
    life.session.set_renewal(Some(life.now));
    life.until(Exchange::Renew);
    life.answer(Exchange::Renew, Answer::Accepted);
    life.go();
    assert_eq!(life.answer(Exchange::Get, Answer::Status(401)), Some(Verdict::GoBack));
    assert!(life.go().contains(&Exchange::Get), "with the old one, at once");
    assert_eq!(life.answer(Exchange::Get, Answer::Accepted), None);
    assert!(!life.session.next(life.now).contains(&Exchange::Renew), "not at once again");
}

#[test]
fn an_answer_to_what_was_asked_with_the_certificate_before_says_nothing_about_the_new_one() {
    let mut life = Life::registered();
    life.until(Exchange::Get);
    life.session.set_renewal(Some(life.now));
    life.flying.extend(life.session.next(life.now).into_iter().map(|exchange| (exchange, life.session.epoch())));
    let old = life.session.epoch();
    assert_eq!(life.session.answered(Exchange::Renew, Answer::Accepted, old, life.now), None);
    assert_eq!(life.session.answered(Exchange::Get, Answer::Status(401), old, life.now), None);
    assert_eq!(life.session.phase(), Phase::Proving);
}

#[test]
fn get_and_heartbeat_are_independent_of_each_other() {
    for answer in ANSWERS.into_iter().filter(|answer| !matches!(answer, Answer::Accepted | Answer::Disconnect)) {
        let mut life = Life::registered();
        life.until(Exchange::Get);
        life.until(Exchange::Heartbeat);
        let asked = life.now;
        life.answer(Exchange::Heartbeat, Answer::Accepted);
        life.answer(Exchange::Get, answer);
        assert_eq!(life.session.beat.next, Some(asked.plus(PERIOD)), "{answer:?}");
    }
}

#[test]
fn a_heartbeat_that_is_refused_again_carries_less() {
    let mut life = Life::registered();
    for amount in [Amount::Full, Amount::Full, Amount::NoHardware, Amount::Least] {
        life.until(Exchange::Heartbeat);
        assert_eq!(life.session.amount(Exchange::Heartbeat), amount);
        life.answer(Exchange::Heartbeat, Answer::Status(500));
    }
    life.until(Exchange::Heartbeat);
    life.answer(Exchange::Heartbeat, Answer::Aborted);
    life.until(Exchange::Heartbeat);
    life.answer(Exchange::Heartbeat, Answer::Accepted);
    assert!(life.session.amount(Exchange::Heartbeat) < Amount::Least);
    life.session.reconfigured();
    assert_eq!(life.session.amount(Exchange::Heartbeat), Amount::Full);
}

#[test]
fn changes_are_told_at_once_and_a_flood_of_them_is_limited() {
    let mut life = Life::registered();
    let mut sent = 0;
    let until = life.now.plus(Duration::from_secs(60));
    while life.now < until {
        life.session.changed(life.now);
        let due = life.session.next(life.now);
        for exchange in due {
            sent += usize::from(exchange == Exchange::Heartbeat);
            life.session.answered(exchange, Answer::Accepted, life.session.epoch(), life.now);
        }
        life.now = life.now.plus(Duration::from_millis(100));
    }
    assert!((15..=24).contains(&sent), "{sent} in a minute");
    life.now = life.now.plus(Duration::from_secs(120));
    life.session.next(life.now);
    for exchange in [Exchange::Get, Exchange::Heartbeat] {
        life.session.answered(exchange, Answer::Accepted, life.session.epoch(), life.now);
    }
    life.now = life.now.plus(Duration::from_secs(2));
    life.session.changed(life.now);
    assert_eq!(life.session.next(life.now), [Exchange::Heartbeat], "after quiet it is told at once");
}

#[test]
fn after_a_heartbeat_out_of_turn_both_come_together_again() {
    let mut life = Life::registered();
    life.now = life.now.plus(PERIOD / 2);
    life.session.changed(life.now);
    assert_eq!(life.session.next(life.now), [Exchange::Heartbeat]);
    life.session.answered(Exchange::Heartbeat, Answer::Accepted, life.session.epoch(), life.now);
    for _ in 0..3 {
        life.now = life.session.wake().expect("due");
        assert_eq!(life.session.next(life.now), [Exchange::Get, Exchange::Heartbeat]);
        for exchange in [Exchange::Get, Exchange::Heartbeat] {
            life.session.answered(exchange, Answer::Accepted, life.session.epoch(), life.now);
        }
    }
}

#[test]
fn devices_that_start_together_do_not_stay_in_step() {
    let phases: BTreeSet<u64> = (0..100)
        .map(|seed| {
            let mut session =
                Session::new(Holds::Proven, PERIOD, u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15), Mono(0));
            for round in 0..3 {
                let asked = session.next(session.wake().expect("due"));
                assert_eq!(asked, [Exchange::Get, Exchange::Heartbeat], "both at a time, round {round}");
                let (now, epoch) = (session.get.began, session.epoch());
                for exchange in asked {
                    session.answered(exchange, Answer::Accepted, epoch, now);
                }
            }
            session.wake().expect("due").0 % u64::try_from(PERIOD.as_millis()).expect("small")
        })
        .collect();
    assert!(phases.len() > 80, "{phases:?}");
}

#[test]
fn a_shorter_period_counts_from_the_last_one() {
    let mut life = Life::registered();
    life.session.set_period(Duration::from_secs(2));
    assert_eq!(life.session.wake().expect("due").since(life.now), Duration::from_secs(2));
    life.session.set_period(Duration::ZERO);
    assert_eq!(life.session.period(), DEFAULT_PERIOD);
}

#[test]
fn a_heartbeat_that_failed_before_the_configuration_came_follows_its_period() {
    let mut life = Life::new(Holds::Proven);
    let began = life.now;
    life.go();
    life.answer(Exchange::Heartbeat, Answer::Status(500));
    assert_eq!(life.session.beat.next, Some(began.plus(PERIOD)));
    life.answer(Exchange::Get, Answer::Accepted);
    life.session.set_period(Duration::from_secs(2));
    life.session.reconfigured();
    assert_eq!(life.session.beat.next, Some(began.plus(Duration::from_secs(2))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_the_server_answers_the_session_goes_on_and_within_its_bounds(
        start in 0..4_u8,
        answers in prop::collection::vec((0..6_usize, 0..ANSWERS.len()), 1..200),
    ) {
        let holds = [Holds::Nothing, Holds::Proven, Holds::Candidate(false), Holds::Candidate(true)][usize::from(start)];
        let mut life = Life::new(holds);
        for (pick, answer) in answers {
            let due = life.session.wake();
            let flying = life.go();
            prop_assert!(!flying.is_empty());
            if let Some(due) = due {
                // Slow waits double up to half an hour, and jitter adds as much again.
                prop_assert!(due.since(life.now) <= SLOW.1 * 2);
            }
            let exchange = *flying.iter().nth(pick % flying.len()).expect("one of them");
            let answer = ANSWERS[answer];
            let before = life.session.phase();
            let verdict = life.answer(exchange, answer);
            if verdict == Some(Verdict::Removed) {
                prop_assert!(matches!(
                    (exchange, answer),
                    (Exchange::Heartbeat, Answer::Status(404)) | (Exchange::Control, Answer::Disconnect)
                ));
            }
            if life.session.phase() == Phase::Removed {
                prop_assert!(verdict == Some(Verdict::Removed) || before == Phase::Removed);
            }
        }
        // With a server that is well again it gets there.
        for _ in 0..20 {
            for exchange in life.go() {
                if life.flying.contains_key(&exchange) {
                    life.answer(exchange, Answer::Accepted);
                }
            }
        }
        prop_assert!(matches!(life.session.phase(), Phase::Registered), "{:?}", life.session.phase());
    }
}
