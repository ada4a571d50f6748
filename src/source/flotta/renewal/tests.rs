use proptest::prelude::*;

use super::*;
use crate::source::flotta::testing::at;

const DAY: u64 = 24 * 3_600_000;

fn issued(lifetime_ms: u64) -> (Receipt, Wall) {
    let begin = at("2027-01-01T00:00:00Z");
    let receipt = Receipt { at: begin, from_server: true, boot: "one".into(), mono_ms: 1_000 };
    (receipt, begin.plus(Duration::from_millis(lifetime_ms)))
}

fn phase(receipt: &Receipt, end: Wall, boot: &str, time: &TrustedTime, mono: u64) -> Phase {
    let far = [Wall(0), at("2047-01-01T00:00:00Z"), Wall(i64::MIN), Wall(i64::MAX)];
    let phases = far.map(|wall| renewal(receipt, end, boot, time, Now { mono: Mono(mono), wall }));
    assert!(phases.windows(2).all(|two| two[0] == two[1]), "the wall clock has no part in it");
    phases[0].phase
}

#[test]
fn a_certificate_of_thirty_days_is_renewed_after_twenty_and_one_of_fifteen_seconds_after_ten() {
    for (lifetime, due) in [(30 * DAY, 20 * DAY), (15_000, 10_000)] {
        let (receipt, end) = issued(lifetime);
        let time = TrustedTime::new(None);
        let seen = |age: u64| phase(&receipt, end, "one", &time, 1_000 + age);
        assert_eq!((seen(0), seen(due - 1), seen(due)), (Phase::Fresh, Phase::Fresh, Phase::Due));
        assert_eq!((seen(lifetime - 1), seen(lifetime)), (Phase::Due, Phase::Expired));
        let now = Now { mono: Mono(1_500), wall: Wall(0) };
        let fresh = renewal(&receipt, end, "one", &time, now);
        assert_eq!(fresh.due_at, Some(Mono(1_000 + due)), "a timer is told when");
        assert_eq!(fresh.due, receipt.at.plus(Duration::from_millis(due)));
    }
}

#[test]
fn after_a_reboot_the_first_answer_of_the_server_decides() {
    let (receipt, end) = issued(30 * DAY);
    let mut time = TrustedTime::new(None);
    assert_eq!(phase(&receipt, end, "two", &time, 5), Phase::Unknown);
    for (days, expected) in [(19, Phase::Fresh), (20, Phase::Due), (29, Phase::Due), (30, Phase::Expired)] {
        let date = receipt.at.plus(Duration::from_millis(days * DAY));
        assert!(time.heard(date, Now { mono: Mono(5), wall: Wall(0) }));
        assert_eq!(phase(&receipt, end, "two", &time, 5), expected, "{days} days");
    }
}

#[test]
fn two_boots_without_a_name_are_not_the_same_boot() {
    let (mut receipt, end) = issued(15_000);
    receipt.boot = String::new();
    assert_eq!(phase(&receipt, end, "", &TrustedTime::new(None), 1_000_000), Phase::Unknown);
}

#[test]
fn a_certificate_that_had_ended_when_it_came_is_due_at_once() {
    let (receipt, _) = issued(15_000);
    let before = Wall(receipt.at.0 - 1);
    assert_eq!(phase(&receipt, before, "one", &TrustedTime::new(None), 1_000), Phase::Expired);
}

#[derive(Clone, Debug)]
enum Event {
    /// Awake or suspended: the boot-time clock does not tell them apart.
    Pass(u64),
    Wall(i64),
    Reboot(u64, i64),
    Answer,
}

fn events(lifetime: u64) -> impl Strategy<Value = Vec<Event>> {
    let some = 0..lifetime;
    let event = prop_oneof![
        4 => some.clone().prop_map(Event::Pass),
        3 => any::<i64>().prop_map(Event::Wall),
        1 => (some, any::<i64>()).prop_map(|(off, wall)| Event::Reboot(off, wall)),
        3 => Just(Event::Answer),
    ];
    prop::collection::vec(event, 0..60)
}

fn lived() -> impl Strategy<Value = (u64, Vec<Event>)> {
    prop_oneof![Just(15_000), Just(30 * DAY), 15_000..DAY]
        .prop_flat_map(|lifetime| events(lifetime).prop_map(move |events| (lifetime, events)))
}

/// A Date has whole seconds, at the receipt and at the answer.
const BLUR: u64 = 2_000;

proptest! {
    #[test]
    fn jumps_of_the_wall_clock_reboots_and_suspends_neither_skip_nor_repeat_a_renewal((lifetime, events) in lived()) {
        let start = at("2027-01-01T00:00:00.700Z");
        // The truth: what the server's clock shows, ms since `start`.
        let (mut truth, mut mono, mut wall, mut boot) = (0_u64, 1_000_u64, start.0, 0_u32);
        let date = |truth: u64| {
            let at = start.plus(Duration::from_millis(truth)).0;
            Wall(at - at.rem_euclid(1000))
        };
        let mut time = TrustedTime::new(None);
        let receive = |time: &mut TrustedTime, truth: u64, mono: u64, wall: i64, boot: u32| {
            let now = Now { mono: Mono(mono), wall: Wall(wall) };
            let believed = time.heard(date(truth), now).then(|| date(truth));
            let receipt = Receipt::new(believed, time, &boot.to_string(), now);
            (receipt, start.plus(Duration::from_millis(truth + lifetime)), truth)
        };
        let mut held = receive(&mut time, truth, mono, wall, boot);
        let (mut renewals, mut heard) = (0_u64, true);
        for event in events {
            match event {
                Event::Pass(ms) => {
                    truth += ms;
                    mono += ms;
                    wall = wall.saturating_add_unsigned(ms);
                }
                Event::Wall(shows) => wall = shows,
                Event::Reboot(off, shows) => {
                    truth += off;
                    (mono, wall, boot, heard) = (0, shows, boot + 1, false);
                    time = TrustedTime::new(time.stored());
                }
                Event::Answer => {
                    heard = time.heard(date(truth), Now { mono: Mono(mono), wall: Wall(wall) });
                }
            }
            let now = Now { mono: Mono(mono), wall: Wall(wall) };
            let seen = renewal(&held.0, held.1, &boot.to_string(), &time, now);
            let age = truth - held.2;
            let wait = lifetime / 3 * 2;
            if seen.phase >= Phase::Due {
                prop_assert!(age + BLUR >= wait, "renewed at an age of {age} ms of {lifetime}");
            }
            if heard || held.0.boot == boot.to_string() {
                prop_assert!(seen.phase != Phase::Unknown);
                prop_assert!(age < wait + BLUR || seen.phase >= Phase::Due, "skipped at an age of {age} ms of {lifetime}");
                prop_assert!(age < lifetime + BLUR || seen.phase == Phase::Expired);
            } else {
                prop_assert_eq!(seen.phase, Phase::Unknown);
            }
            if let Some(due_at) = seen.due_at {
                let left = due_at.since(Mono(mono)).as_millis();
                prop_assert!(left > 0 && left <= u128::from(wait + BLUR), "a timer of {left} ms");
            }
            if seen.phase >= Phase::Due {
                held = receive(&mut time, truth, mono, wall, boot);
                heard = true;
                renewals += 1;
                let again = renewal(&held.0, held.1, &boot.to_string(), &time, now);
                prop_assert_eq!(again.phase, Phase::Fresh, "renewed twice");
            }
        }
        prop_assert!(renewals.saturating_mul(lifetime / 3 * 2 - BLUR) <= truth, "{renewals} renewals in {truth} ms");
    }
}
