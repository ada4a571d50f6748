//! The owner id and the device key.

use std::path::Path;

use flotta_agent::state::{Kept, keep, store_on};

use super::disk::{EIO, ENOSPC, Fault, Sim};
use super::machine::DIR;

const FILES: [&str; 4] = ["owner", "owner.1", "device.key", "device.key.1"];

fn open(disk: &Sim) -> Kept {
    keep(disk, Path::new(DIR)).unwrap_or_else(|(what, why)| panic!("{what}: {why}"))
}

fn fresh() -> (Sim, Kept) {
    let disk = Sim::new(Path::new(DIR));
    let kept = open(&disk);
    assert_eq!(kept.problems, [], "a first start is no problem");
    (disk, kept)
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

#[test]
fn what_identifies_a_device_is_made_once_and_nothing_is_written_after_that() {
    let (disk, made) = fresh();
    let steps = disk.steps();
    let again = open(&disk);
    assert_eq!((again.owner, again.key, again.problems.len()), (made.owner, made.key, 0));
    assert_eq!(disk.steps(), steps);
    assert_eq!(disk.files(), ["device.key", "device.key.1", "owner", "owner.1"].map(path));
}

#[test]
fn one_file_that_is_damaged_at_any_byte_or_gone_costs_nothing_and_is_said_and_mended() {
    for name in FILES {
        let (whole, made) = fresh();
        let length = flotta_agent::state::Disk::read(&whole, &path(name)).expect("there").len();
        let damages: [fn(&mut Vec<u8>, usize); 4] = [
            |bytes, at| bytes.truncate(at),
            |bytes, at| bytes[at] ^= 0x01,
            |bytes, at| bytes[at] = 0,
            |bytes, at| bytes[at..].fill(0),
        ];
        for at in 0..length {
            for (which, damage) in damages.iter().enumerate() {
                let when = format!("{name}, byte {at}, {which}");
                let disk = whole.killed();
                let mut same = false;
                disk.corrupt(&path(name), |bytes| {
                    let before = String::from_utf8_lossy(bytes).trim().to_lowercase();
                    damage(bytes, at);
                    same = String::from_utf8_lossy(bytes).trim().to_lowercase() == before;
                });
                let found = open(&disk);
                assert_eq!((&found.owner, found.key), (&made.owner, made.key), "{when}");
                // A line's end more or less, or another case, is no damage.
                assert!(same || found.problems.len() == 1, "{when}: {:?}", found.problems);
                let again = open(&disk);
                assert_eq!((again.owner, again.problems.len()), (found.owner, 0), "{when}: mended");
            }
        }
        let disk = whole.killed();
        flotta_agent::state::Disk::remove(&disk, &path(name)).expect("removed");
        let found = open(&disk);
        assert_eq!((found.owner, found.key), (made.owner, made.key), "{name} gone");
        assert_eq!(open(&disk).problems.len(), 0);
    }
}

#[test]
fn only_when_both_are_gone_a_new_one_is_made_and_what_that_means_is_said() {
    let (disk, made) = fresh();
    for name in ["owner", "owner.1"] {
        disk.corrupt(&path(name), |bytes| bytes.clear());
    }
    let found = open(&disk);
    assert_ne!(found.owner, made.owner);
    assert_eq!(found.key, made.key);
    let said: Vec<_> = found.problems.iter().map(|it| it.message.as_str()).collect();
    assert!(said.len() == 1 && said[0].contains("a new one was made") && said[0].contains("pods"), "{said:?}");
    assert_eq!((open(&disk).owner, open(&disk).problems.len()), (found.owner, 0));

    let (disk, _) = fresh();
    store_on(&disk, Path::new(DIR), "truths", &1).expect("stored");
    for name in FILES {
        flotta_agent::state::Disk::remove(&disk, &path(name)).expect("removed");
    }
    assert_eq!(open(&disk).problems.len(), 2, "not a first start: it was used");
}

#[test]
fn a_power_cut_at_any_system_call_never_changes_who_the_device_is() {
    let steps = fresh().0.steps();
    for step in 1..=steps {
        let disk = Sim::new(Path::new(DIR));
        disk.at(step, Fault::PowerCut);
        // It did not come up: nothing was labelled with it yet.
        assert!(keep(&disk, Path::new(DIR)).is_err(), "call {step}");
        for survivor in disk.survivors() {
            let made = open(&survivor);
            for after in [vec![survivor.killed()], survivor.survivors()].concat() {
                let found = open(&after);
                assert_eq!((&found.owner, found.key), (&made.owner, made.key), "call {step}");
            }
        }
    }
    // Nor while a damaged one is mended.
    for name in FILES {
        for step in 1..=12 {
            let (disk, made) = fresh();
            disk.corrupt(&path(name), |bytes| bytes.truncate(3));
            disk.soon(step, Fault::PowerCut);
            let found = open(&disk);
            assert_eq!((&found.owner, found.key), (&made.owner, made.key));
            for survivor in disk.survivors() {
                let found = open(&survivor);
                assert_eq!((&found.owner, found.key), (&made.owner, made.key), "{name}, call {step}");
            }
        }
    }
}

#[test]
fn a_full_disk_is_no_hindrance_once_they_are_there_and_an_error_before() {
    let (disk, made) = fresh();
    disk.fill();
    assert_eq!(open(&disk).owner, made.owner);
    // As an earlier version left it: without copies.
    for name in ["owner.1", "device.key.1"] {
        flotta_agent::state::Disk::remove(&disk, &path(name)).expect("removed");
    }
    let found = open(&disk);
    assert_eq!((found.owner, found.key, found.problems.len()), (made.owner.clone(), made.key, 2));
    disk.make_room();
    assert_eq!(open(&disk).problems.len(), 0);
    assert_eq!(disk.files().len(), 4);

    let empty = Sim::new(Path::new(DIR));
    empty.fill();
    let Err((what, why)) = keep(&empty, Path::new(DIR)) else { panic!("nothing can be made") };
    assert_eq!((what, why.raw_os_error()), ("cannot keep its owner id", Some(ENOSPC)));
}

#[test]
fn a_disk_that_cannot_be_read_makes_no_new_device() {
    let (disk, made) = fresh();
    disk.soon(0, Fault::BrokenFromHere);
    let _ = flotta_agent::state::Disk::sync_dir(&disk, Path::new(DIR));
    let Err((_, why)) = keep(&disk, Path::new(DIR)) else { panic!("nothing can be read") };
    assert_eq!(why.raw_os_error(), Some(EIO));
    disk.make_room();
    assert_eq!(open(&disk).owner, made.owner);
}
