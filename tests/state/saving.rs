//! When something is written, and who is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotta_agent::model::time::Mono;
use flotta_agent::state::{FIRST_RETRY, Next, Report, SPACING, Saving, Stored, sealed};

use super::dice::Dice;
use super::disk::Sim;
use super::machine::{DIR, Machine, load, value_in};

fn bytes(value: u64) -> Vec<u8> {
    sealed("x", &value).expect("sealed")
}

/// The value that is to be written, if any.
fn value(next: &Next) -> Option<u64> {
    match next {
        Next::Write(write) => Some(value_in(&write.bytes)),
        Next::Wait(_) => None,
    }
}

#[test]
fn while_nothing_changes_not_a_byte_is_written() {
    let mut machine = Machine::new(Sim::new(Path::new(DIR)));
    for name in ["a", "b", "c"] {
        machine.save(name, 7);
    }
    machine.calm_down();
    let (written, steps) = (machine.disk.written(), machine.disk.steps());
    for _ in 0..10_000 {
        for name in ["a", "b", "c"] {
            machine.save(name, 7);
        }
        machine.after(Duration::from_secs(10));
    }
    assert_eq!((machine.disk.written(), machine.disk.steps()), (written, steps));
    // Nor by the next agent, which says the same.
    let mut next = Machine::new(machine.disk.clone());
    for name in ["a", "b", "c"] {
        next.save(name, 7);
    }
    next.calm_down();
    assert_eq!(next.disk.written(), written);
    assert_eq!(next.saving.counts().writes, 0);
}

#[test]
fn an_object_is_written_at_once_and_then_at_most_once_a_second_with_its_newest_value() {
    let mut saving = Saving::default();
    let now = Mono(5_000);
    saving.save("x", bytes(1), false);
    assert_eq!(value(&saving.next(now)), Some(1));
    assert_eq!(saving.settle("x", Ok(Stored::Written), now), None);
    for value in 2..100 {
        saving.save("x", bytes(value), false);
        assert_eq!(saving.next(now), Next::Wait(Some(now.plus(SPACING))));
    }
    assert_eq!(value(&saving.next(now.plus(SPACING))), Some(99));
    assert_eq!(saving.counts().coalesced, 97);
}

#[test]
fn a_value_that_is_taken_back_while_another_is_being_written_is_written_too() {
    let mut saving = Saving::default();
    let now = Mono(5_000);
    saving.save("x", bytes(1), false);
    assert_eq!(value(&saving.next(now)), Some(1));
    saving.settle("x", Ok(Stored::Written), now);
    saving.save("x", bytes(2), false);
    let later = now.plus(SPACING);
    assert_eq!(value(&saving.next(later)), Some(2));
    // The disk will hold 2 in a moment, and 1 is what is wanted.
    saving.save("x", bytes(1), false);
    saving.settle("x", Ok(Stored::Written), later);
    assert_eq!(value(&saving.next(later.plus(SPACING))), Some(1));
}

#[test]
fn who_must_know_is_told_when_it_is_on_disk_and_does_not_wait_for_the_spacing() {
    let mut saving = Saving::default();
    let now = Mono(5_000);
    saving.save("x", bytes(1), false);
    saving.next(now);
    saving.settle("x", Ok(Stored::Written), now);
    let ticket = saving.save_now("x", bytes(2));
    assert_eq!(saving.take_told(), []);
    assert_eq!(value(&saving.next(now)), Some(2));
    assert_eq!(saving.take_told(), []);
    saving.settle("x", Ok(Stored::Written), now);
    assert_eq!(saving.take_told(), [(ticket, Ok(()))]);
    let known = saving.save_now("x", bytes(2));
    assert_eq!(saving.take_told(), [(known, Ok(()))], "it is there");
    assert_eq!(saving.next(now), Next::Wait(None));
}

#[test]
fn who_waits_for_what_is_being_written_is_told_with_it_and_a_newer_value_counts_as_well() {
    let mut saving = Saving::default();
    let now = Mono(5_000);
    saving.save("x", bytes(1), false);
    saving.next(now);
    let first = saving.save_now("x", bytes(1));
    let second = saving.save_now("x", bytes(2));
    saving.save("x", bytes(3), false);
    saving.settle("x", Ok(Stored::Written), now);
    assert_eq!(saving.take_told(), [(first, Ok(()))]);
    assert_eq!(value(&saving.next(now)), Some(3), "still at once");
    saving.settle("x", Ok(Stored::Written), now);
    assert_eq!(saving.take_told(), [(second, Ok(()))]);
}

#[test]
fn who_must_know_is_told_at_once_that_the_disk_refuses_and_it_is_due_all_the_same() {
    let mut saving = Saving::default();
    let now = Mono(5_000);
    saving.save("x", bytes(1), false);
    saving.next(now);
    let report = saving.settle("x", Err("full".into()), now);
    assert!(matches!(report, Some(Report::Trouble(what)) if what.contains("x cannot be written: full")));
    let ticket = saving.save_now("x", bytes(2));
    assert_eq!(value(&saving.next(now)), Some(2), "the wait after a failure is not in the way");
    saving.settle("x", Err("full".into()), now);
    assert_eq!(saving.take_told(), [(ticket, Err("x cannot be written: full".into()))]);
    // One that was asked for in between does not make the waits longer.
    assert_eq!(saving.next(now), Next::Wait(Some(now.plus(FIRST_RETRY))));
    let later = now.plus(FIRST_RETRY);
    assert_eq!(value(&saving.next(later)), Some(2));
    assert_eq!(saving.settle("x", Ok(Stored::Written), later), Some(Report::Well));
}

#[test]
fn an_object_that_finds_no_room_does_not_hold_up_the_others() {
    let mut saving = Saving::default();
    let mut now = Mono(5_000);
    saving.save("a-large-one", bytes(1), false);
    saving.save("lock", bytes(1), false);
    let mut written = Vec::new();
    let mut reports = Vec::new();
    for round in 2..20 {
        while let Next::Write(write) = saving.next(now) {
            let result = if write.name == "lock" { Ok(Stored::Written) } else { Err("no room".into()) };
            written.extend(result.is_ok().then(|| value_in(&write.bytes)));
            reports.extend(saving.settle(&write.name, result, now));
        }
        saving.save("lock", bytes(round), false);
        now = now.plus(SPACING);
    }
    assert_eq!(written, (1..19).collect::<Vec<_>>(), "once a second");
    assert!(reports.iter().all(|it| matches!(it, Report::Trouble(what) if what.starts_with("a-large-one cannot"))));
    assert!(reports.len() < 6, "and with growing waits: {reports:?}");
}

#[test]
fn on_a_slow_disk_each_object_has_its_turn() {
    let mut saving = Saving::default();
    let mut now = Mono(5_000);
    let mut times = BTreeMap::<String, u32>::new();
    for round in 0..40 {
        for name in ["a", "b", "c", "d"] {
            saving.save(name, bytes(round), false);
        }
        if let Next::Write(write) = saving.next(now) {
            *times.entry(write.name.clone()).or_default() += 1;
            now = now.plus(Duration::from_secs(3));
            saving.settle(&write.name, Ok(Stored::Written), now);
        }
    }
    assert_eq!(times.into_values().collect::<Vec<_>>(), [10, 10, 10, 10]);
}

#[test]
fn at_the_end_all_that_is_due_is_written_and_what_the_disk_refuses_is_tried_once() {
    let mut machine = Machine::new(Sim::new(Path::new(DIR)));
    machine.save("a", 1);
    machine.save("b", 1);
    machine.calm_down();
    machine.save("a", 2);
    machine.save("b", 2);
    machine.saving.end();
    assert_eq!(machine.work(), None);
    assert_eq!((load(&machine.disk, "a"), load(&machine.disk, "b")), (Some(2), Some(2)));
    machine.disk.fill();
    machine.save("a", 3);
    let before = machine.tries.len();
    assert_eq!(machine.work(), None);
    assert_eq!(machine.tries.len(), before + 1);
}

/// Whatever happens, the end of it is the newest value of each object on disk, and who waited was told the truth.
#[test]
fn ten_thousand_random_saves_on_a_disk_that_comes_and_goes_end_with_the_newest_values() {
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut machine = Machine::new(Sim::new(Path::new(DIR)));
        let mut waiting = BTreeMap::new();
        let (mut told, mut refused) = (0, 0);
        for n in 1..=500 {
            let name = ["a", "b", "c"][usize::try_from(dice.below(3)).expect("small")];
            // Old values come back too.
            let value = if dice.below(4) == 0 { machine.newest.get(name).copied().unwrap_or(n) } else { n };
            match dice.below(10) {
                0 => {
                    machine.newest.insert(name.into(), value);
                    let ticket = machine.saving.save_now(name, sealed(name, &value).expect("sealed"));
                    waiting.insert(ticket, (name, value));
                }
                1 => machine.disk.fill(),
                2 | 3 => machine.disk.make_room(),
                _ => machine.save(name, value),
            }
            if dice.below(2) == 0 {
                machine.after(Duration::from_millis(dice.below(1_500)));
            }
            for (ticket, result) in machine.saving.take_told() {
                let (name, value) = waiting.remove(&ticket).expect("told once");
                match result {
                    Ok(()) => {
                        told += 1;
                        assert!(load(&machine.disk.killed(), name) >= Some(value), "seed {seed}: {name}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        machine.disk.make_room();
        machine.calm_down();
        for (ticket, result) in machine.saving.take_told() {
            assert!(waiting.remove(&ticket).is_some() && result.is_ok());
        }
        assert!(waiting.is_empty(), "seed {seed}: {waiting:?}");
        for (name, newest) in &machine.newest {
            assert_eq!(load(&machine.disk, name), Some(*newest), "seed {seed}: {name}");
        }
        assert!(told > 5 && refused > 0, "seed {seed}: {told} {refused}");
    }
}
