//! The power goes, or the process, at every system call.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotta_agent::state::{Saving, load_on, tidy};

use super::Disk;
use super::dice::Dice;
use super::disk::{Fault, Sim};
use super::machine::{DIR, Machine, load, value_in};

const LATER: Duration = Duration::from_secs(2);

/// Two objects, each written several times; one of them once alone.
fn live(machine: &mut Machine) {
    for value in 1..=3 {
        machine.save("a", value);
        machine.save("b", 10 * value);
        machine.after(LATER);
    }
    machine.save_alone("b", 40);
    machine.after(LATER);
    machine.save("b", 50);
    machine.after(LATER);
}

fn steps() -> usize {
    let mut whole = Machine::new(Sim::new(Path::new(DIR)));
    live(&mut whole);
    assert_eq!(whole.acknowledged, whole.newest);
    whole.disk.steps()
}

fn cut_at(step: usize, disk: &Sim) -> Machine {
    disk.at(step, Fault::PowerCut);
    let mut machine = Machine::new(disk.clone());
    live(&mut machine);
    machine
}

#[test]
fn after_a_power_cut_at_any_system_call_each_object_is_the_newest_that_was_stored_or_a_newer_one() {
    let steps = steps();
    assert!(steps > 40, "{steps}");
    let mut found = 0;
    for step in 1..=steps {
        let machine = cut_at(step, &Sim::new(Path::new(DIR)));
        for (which, survivor) in machine.disk.survivors().into_iter().enumerate() {
            machine.check(&survivor, &format!("power cut at call {step}, survivor {which}"));
            found += 1;
        }
        machine.check(&machine.disk.killed(), &format!("killed at call {step}"));
    }
    println!("{steps} system calls, {found} disks after a power cut");
    assert!(found > 150, "{found}");
}

#[test]
fn after_two_power_cuts_each_object_is_the_newest_that_was_stored_or_a_newer_one() {
    let steps = steps();
    for first in 1..=steps {
        let machine = cut_at(first, &Sim::new(Path::new(DIR)));
        for survivor in machine.disk.survivors() {
            for second in 1..=24 {
                let disk = survivor.killed();
                disk.at(second, Fault::PowerCut);
                let mut again = Machine::new(disk);
                again.acknowledged.clone_from(&machine.acknowledged);
                // It knows what it found, and goes on from there.
                again.newest.clone_from(&machine.newest);
                let from = machine.newest.values().max().copied().unwrap_or(0);
                for value in from + 1..from + 3 {
                    again.save("a", value);
                    again.save("b", value);
                    again.after(LATER);
                }
                for last in again.disk.survivors() {
                    again.check(&last, &format!("power cuts at calls {first} and {second}"));
                }
            }
        }
    }
}

#[test]
fn from_the_moment_that_a_value_is_stored_alone_nothing_of_what_was_there_is_left() {
    let secret = |disk: &Sim| {
        let holds = |file: &PathBuf| value_in(&disk.read(file).expect("there")) < 9;
        disk.files().iter().any(holds)
    };
    let life = |disk: &Sim| {
        let mut machine = Machine::new(disk.clone());
        for value in 1..=3 {
            machine.save("a", value);
            machine.after(LATER);
        }
        disk.rename(Path::new("/state/a.json.1"), Path::new("/state/a.json.damaged")).expect("renamed");
        machine.save("a", 4);
        machine.after(LATER);
        let before = disk.steps();
        machine.save_alone("a", 9);
        machine.after(LATER);
        (machine, before)
    };
    let (machine, begin) = life(&Sim::new(Path::new(DIR)));
    assert_eq!(machine.disk.files(), [Path::new("/state/a.json")]);
    for step in begin + 1..=machine.disk.steps() {
        let disk = Sim::new(Path::new(DIR));
        disk.at(step, Fault::PowerCut);
        let (machine, _) = life(&disk);
        for survivor in [vec![disk.killed()], disk.survivors()].concat() {
            machine.check(&survivor, &format!("power cut at call {step}"));
            tidy(&survivor, Path::new(DIR));
            let found = load(&survivor, "a").expect("one of them");
            assert!(found == 4 || !secret(&survivor), "call {step}: {:?}", survivor.files());
        }
    }
}

#[test]
fn a_damaged_generation_never_costs_the_good_one_before_it() {
    let disk = || {
        let mut machine = Machine::new(Sim::new(Path::new(DIR)));
        machine.save("a", 1);
        machine.after(LATER);
        machine.save("a", 2);
        machine.after(LATER);
        machine.disk.corrupt(Path::new("/state/a.json"), |bytes| bytes.truncate(20));
        machine.disk
    };
    for step in 1..=24 {
        let disk = disk().killed();
        disk.at(step, Fault::PowerCut);
        let (value, problem) = load_on::<u64>(&disk, Path::new(DIR), "a");
        assert_eq!(value, Some(1), "call {step}");
        assert!(problem.is_some_and(|it| it.message.contains("damaged")), "call {step}");
        let mut machine = Machine::new(disk);
        machine.save("a", 3);
        machine.after(LATER);
        let least = if machine.acknowledged.is_empty() { 1 } else { 3 };
        for survivor in machine.disk.survivors() {
            let found = load_on::<u64>(&survivor, Path::new(DIR), "a").0;
            assert!(found >= Some(least) && found != Some(2), "call {step}: {found:?}");
        }
    }
}

#[test]
fn what_a_killed_agent_was_writing_is_removed_at_the_next_start() {
    for step in 1..=steps() {
        let machine = cut_at(step, &Sim::new(Path::new(DIR)));
        for disk in [vec![machine.disk.killed()], machine.disk.survivors()].concat() {
            tidy(&disk, Path::new(DIR));
            let rubbish: Vec<_> =
                disk.files().into_iter().filter(|file| file.to_string_lossy().contains("tmp")).collect();
            assert!(rubbish.is_empty(), "call {step}: {rubbish:?}");
        }
    }
}

/// Random lives on one disk, cut and killed at random, with what was stored remembered over all of them.
#[test]
fn through_a_hundred_power_cuts_and_kills_nothing_that_was_stored_is_lost() {
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let mut machine = Machine::new(Sim::new(Path::new(DIR)));
        let mut next = 0;
        for cut in 0..100 {
            let at = machine.disk.steps() + usize::try_from(dice.below(60)).expect("small");
            machine.disk.at(at + 1, Fault::PowerCut);
            while !machine.disk.is_off() {
                next += 1;
                let name = ["a", "b", "c"][usize::try_from(dice.below(3)).expect("small")];
                machine.save(name, next);
                machine.after(Duration::from_millis(dice.below(3_000)));
            }
            let disk = if dice.below(3) == 0 {
                machine.disk.killed()
            } else {
                machine.disk.survivor(|below| usize::try_from(dice.below(below as u64)).expect("small"))
            };
            machine.check(&disk, &format!("seed {seed}, cut {cut}"));
            // What is there now is what a new agent goes on from; what was not acknowledged may be gone.
            tidy(&disk, Path::new(DIR));
            for name in ["a", "b", "c"] {
                if let Some(found) = load(&disk, name) {
                    machine.newest.insert(name.into(), found);
                    machine.acknowledged.entry(name.into()).or_default();
                }
            }
            machine.disk = disk;
            machine.saving = Saving::default();
        }
    }
}
