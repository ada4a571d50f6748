//! What must hold for years: it neither storms the server nor wakes for nothing, and nothing is waited for for ever.

use super::*;

/// A session whose exchanges are answered late and in any order, those of an earlier certificate too.
struct Long {
    session: Session,
    now: Mono,
    flying: Vec<(Exchange, u64)>,
}

impl Long {
    fn new(holds: Holds) -> Long {
        let now = Mono(1_000_000);
        Long { session: Session::new(holds, PERIOD, 7, now), now, flying: Vec::new() }
    }

    /// Begins what is due, as the driver does.
    fn turn(&mut self) -> Result<(), TestCaseError> {
        let due = self.session.next(self.now);
        let epoch = self.session.epoch();
        for exchange in due {
            prop_assert!(!self.flying.contains(&(exchange, epoch)), "{exchange:?} is under way twice");
            self.flying.push((exchange, epoch));
        }
        let wake = self.session.wake();
        prop_assert!(wake.is_none_or(|at| at > self.now), "it would wake again and again for nothing");
        prop_assert!(wake.is_some() || !self.flying.is_empty(), "nothing ever happens again");
        Ok(())
    }

    fn answer(&mut self, pick: usize, answer: Answer) -> Option<Verdict> {
        if self.flying.is_empty() {
            return None;
        }
        let (exchange, epoch) = self.flying.remove(pick % self.flying.len());
        self.session.answered(exchange, answer, epoch, self.now)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn it_never_wakes_for_nothing_and_a_server_that_is_well_again_is_registered_with(
        start in 0..4_u8,
        steps in prop::collection::vec((0..8_usize, 0..ANSWERS.len(), 0..6_u8, any::<bool>()), 1..120),
    ) {
        let holds = [Holds::Nothing, Holds::Proven, Holds::Candidate(false), Holds::Candidate(true)][usize::from(start)];
        let mut long = Long::new(holds);
        for (pick, answer, what, due) in steps {
            long.session.set_renewal(Some(if due { long.now } else { long.now.plus(PERIOD * 40) }));
            long.turn()?;
            match what {
                0 => long.now = long.session.wake().unwrap_or(long.now),
                1 => long.session.changed(long.now),
                _ => drop(long.answer(pick, ANSWERS[answer])),
            }
        }
        // Whatever is under way comes to its end, and from now on the server is well.
        for _ in 0..60 {
            long.session.set_renewal(Some(long.now.plus(PERIOD * 4_000)));
            long.turn()?;
            while !long.flying.is_empty() {
                long.answer(0, Answer::Accepted);
                long.turn()?;
                if long.session.phase() == Phase::Registered {
                    break;
                }
            }
            if long.session.phase() == Phase::Registered {
                break;
            }
            long.now = long.session.wake().unwrap_or(long.now);
        }
        prop_assert_eq!(long.session.phase(), Phase::Registered);
        // And it renews when that is due.
        long.flying.clear();
        long.session.set_renewal(Some(long.now));
        let mut renews = false;
        for _ in 0..60 {
            let due = long.session.next(long.now);
            renews |= due.contains(&Exchange::Renew);
            for exchange in due {
                long.session.answered(exchange, Answer::Accepted, long.session.epoch(), long.now);
            }
            long.now = long.session.wake().unwrap_or(long.now).max(long.now);
        }
        prop_assert!(renews, "it never renews again");
    }
}

/// How often a certificate is asked for in an hour by a device whose exchanges are answered so, in this order.
fn renewals(ended: bool, answers: [(Exchange, Answer); 3]) -> usize {
    let mut life = Life::registered();
    let (until, mut count) = (life.now.plus(Duration::from_secs(3_600)), 0);
    for _ in 0..100_000 {
        // By its own account the certificate is over, or it is as good as new.
        life.session.set_renewal(Some(if ended { life.now } else { until.plus(PERIOD) }));
        let mut due = life.session.next(life.now);
        due.sort_by_key(|exchange| answers.iter().position(|(of, _)| of == exchange));
        for exchange in due {
            count += usize::from(exchange == Exchange::Renew);
            let answer = answers.iter().find(|(of, _)| *of == exchange).map_or(Answer::Accepted, |(_, answer)| *answer);
            life.session.answered(exchange, answer, life.session.epoch(), life.now);
        }
        life.now = life.session.wake().unwrap_or(until).max(life.now.plus(Duration::from_millis(1)));
        if life.now >= until {
            return count;
        }
    }
    panic!("it never rests: {count} renewals");
}

#[test]
fn a_server_whose_certificates_are_over_when_they_come_is_asked_for_new_ones_ever_more_slowly() {
    use Exchange::{Get, Heartbeat, Renew};
    let (accepted, unauthorized) = (Answer::Accepted, Answer::Status(401));
    for ended in [true, false] {
        for answers in [
            [(Heartbeat, accepted), (Get, unauthorized), (Renew, accepted)],
            [(Get, unauthorized), (Heartbeat, accepted), (Renew, accepted)],
        ] {
            let count = renewals(ended, answers);
            assert!((1..40).contains(&count), "{count} renewals in an hour, ended: {ended}, {answers:?}");
        }
    }
}

#[test]
fn certificates_that_live_for_an_instant_are_renewed_at_most_every_other_second() {
    let accepted = [
        (Exchange::Get, Answer::Accepted),
        (Exchange::Heartbeat, Answer::Accepted),
        (Exchange::Renew, Answer::Accepted),
    ];
    let count = renewals(true, accepted);
    assert!(count <= 1_800, "{count} renewals in an hour");
}

#[test]
fn a_heartbeat_that_any_certificate_may_send_does_not_prove_the_new_one() {
    let mut life = Life::registered();
    life.session.set_renewal(Some(life.now));
    life.until(Exchange::Renew);
    life.answer(Exchange::Renew, Answer::Accepted);
    life.go();
    assert_eq!(life.answer(Exchange::Heartbeat, Answer::Accepted), None, "the server takes expired ones for it");
    assert_eq!(life.answer(Exchange::Get, Answer::Status(401)), Some(Verdict::GoBack));
}

#[test]
fn a_new_certificate_is_proven_where_the_configuration_cannot_be_had_for_other_reasons() {
    for answer in [Answer::Status(500), Answer::Status(404), Answer::Aborted, Answer::Unusable] {
        let mut life = Life::registered();
        life.session.set_renewal(Some(life.now));
        life.until(Exchange::Renew);
        life.answer(Exchange::Renew, Answer::Accepted);
        life.go();
        assert_eq!(life.answer(Exchange::Get, answer), None);
        assert_eq!(life.answer(Exchange::Heartbeat, Answer::Accepted), Some(Verdict::Promote), "{answer:?}");
    }
}

#[test]
fn the_control_channels_401_does_not_end_a_get_that_is_under_way() {
    let mut life = Life::registered();
    life.until(Exchange::Get);
    life.session.control.hurry(life.now);
    life.flying.extend(life.session.next(life.now).into_iter().map(|exchange| (exchange, life.session.epoch())));
    life.answer(Exchange::Control, Answer::Status(401));
    assert!(life.session.get.flying.is_some(), "one at a time");
}

#[test]
fn going_back_to_the_old_certificate_leaves_nothing_under_way_that_is_never_answered() {
    let mut life = Life::new(Holds::Candidate(true));
    life.go();
    life.answer(Exchange::Heartbeat, Answer::Status(403));
    life.go();
    assert!(life.flying.contains_key(&Exchange::Enrol), "it is distrusted");
    assert_eq!(life.answer(Exchange::Get, Answer::Status(401)), Some(Verdict::GoBack));
    let late = life.flying.remove(&Exchange::Enrol).expect("under way");
    life.session.answered(Exchange::Enrol, Answer::Accepted, late, life.now);
    for _ in 0..40 {
        life.session.set_renewal(Some(life.now));
        let due = life.session.next(life.now);
        if due.contains(&Exchange::Renew) {
            return;
        }
        for exchange in due {
            life.session.answered(exchange, Answer::Accepted, life.session.epoch(), life.now);
        }
        life.now = life.session.wake().expect("it goes on").max(life.now);
    }
    panic!("it never renews again");
}

#[test]
fn hardware_that_a_server_in_trouble_did_not_take_is_sent_again_later_without_a_new_configuration() {
    let mut life = Life::registered();
    for _ in 0..2 {
        life.until(Exchange::Heartbeat);
        life.answer(Exchange::Heartbeat, Answer::Status(500));
    }
    let since = life.now;
    let mut beats = 0;
    while life.session.amount(Exchange::Heartbeat) != Amount::Full {
        life.until(Exchange::Heartbeat);
        life.answer(Exchange::Heartbeat, Answer::Accepted);
        beats += 1;
        assert!(beats < 1_000, "never");
    }
    assert!(life.now.since(since) >= ALL_AGAIN, "not at once: it may be the hardware");
}
