//! Disks that are full, or fail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotta_agent::state::{FIRST_RETRY, LAST_RETRY, Report, load_on};

use super::disk::{EIO, ENOSPC, Fault, Sim};
use super::machine::{DIR, Machine};

const LATER: Duration = Duration::from_secs(2);

fn live(machine: &mut Machine) {
    for value in 1..=4 {
        machine.save("a", value);
        machine.save("b", value);
        machine.after(LATER);
        machine.check(&machine.disk.killed(), "while it lives");
    }
}

fn steps() -> usize {
    let mut whole = Machine::new(Sim::new(Path::new(DIR)));
    live(&mut whole);
    assert_eq!(whole.reports, []);
    whole.disk.steps()
}

fn names(files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(|file| Path::new(DIR).join(file)).collect()
}

#[test]
fn an_error_at_any_system_call_loses_nothing_is_said_and_mends_itself() {
    let faults = [Fault::OneError(ENOSPC), Fault::OneError(EIO), Fault::FullFromHere, Fault::BrokenFromHere];
    for step in 1..=steps() {
        for fault in faults {
            let when = format!("{fault:?} at call {step}");
            let disk = Sim::new(Path::new(DIR));
            disk.at(step, fault);
            let mut machine = Machine::new(disk);
            if fault == Fault::BrokenFromHere {
                // Nothing can be read either while it lasts.
                for value in 1..=4 {
                    machine.save("a", value);
                    machine.save("b", value);
                    machine.after(LATER);
                }
            } else {
                live(&mut machine);
            }
            for survivor in machine.disk.survivors() {
                machine.check(&survivor, &when);
            }
            // What needs no room is done on a full disk too.
            let refused = machine.saving.counts().failures > 0;
            let said =
                machine.reports.iter().any(|it| matches!(it, Report::Trouble(what) if what.contains("from memory")));
            assert_eq!(said, refused, "{when}: {:?}", machine.reports);
            assert!(refused || (fault == Fault::FullFromHere && machine.acknowledged == machine.newest), "{when}");
            machine.disk.make_room();
            machine.calm_down();
            assert_eq!(machine.acknowledged, machine.newest, "{when}");
            assert_eq!(machine.reports.last(), refused.then_some(&Report::Well), "{when}");
            machine.check(&machine.disk.killed(), &when);
            // The one error of a removal may leave a file that the next write of its object takes.
            machine.save("a", 5);
            machine.save("b", 5);
            machine.calm_down();
            let files = names(&["a.json", "a.json.1", "b.json", "b.json.1"]);
            assert_eq!(machine.disk.files(), files, "{when}");
        }
    }
}

#[test]
fn a_power_cut_soon_after_an_error_loses_nothing_that_was_stored() {
    for error in 1..=steps() {
        for which in [ENOSPC, EIO] {
            for cut in error + 1..=error + 14 {
                let disk = Sim::new(Path::new(DIR));
                disk.at(error, Fault::OneError(which));
                disk.at(cut, Fault::PowerCut);
                let mut machine = Machine::new(disk);
                for value in 1..=4 {
                    machine.save("a", value);
                    machine.save("b", value);
                    machine.after(LATER);
                }
                for survivor in machine.disk.survivors() {
                    machine.check(&survivor, &format!("error {which} at call {error}, power cut at {cut}"));
                }
            }
        }
    }
}

#[test]
fn a_full_disk_is_tried_less_and_less_often_and_never_less_than_once_a_minute() {
    let mut machine = Machine::new(Sim::new(Path::new(DIR)));
    machine.disk.fill();
    machine.save("a", 1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let until = machine.work().expect("it will be tried again");
        waits.push(until.since(machine.now));
        machine.now = until;
    }
    let mut wanted = vec![FIRST_RETRY];
    while wanted.len() < 8 {
        wanted.push((wanted[wanted.len() - 1] * 2).min(LAST_RETRY));
    }
    assert_eq!(waits, wanted);
    machine.disk.make_room();
    machine.calm_down();
    assert_eq!(load_on::<u64>(&machine.disk, Path::new(DIR), "a"), (Some(1), None));
    // And the next trouble begins with short waits again.
    machine.disk.fill();
    machine.save("a", 2);
    machine.now = machine.now.plus(LATER);
    assert_eq!(machine.work(), Some(machine.now.plus(FIRST_RETRY)));
}

#[test]
fn the_newest_value_is_what_is_written_once_there_is_room() {
    let mut machine = Machine::new(Sim::new(Path::new(DIR)));
    machine.save("a", 1);
    machine.after(LATER);
    machine.disk.fill();
    for value in 2..50 {
        machine.save("a", value);
        machine.after(Duration::from_secs(1));
    }
    assert_eq!(machine.acknowledged["a"], 1);
    machine.check(&machine.disk.killed(), "full");
    machine.disk.make_room();
    machine.calm_down();
    assert_eq!(load_on::<u64>(&machine.disk, Path::new(DIR), "a"), (Some(49), None));
}
