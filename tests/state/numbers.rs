//! The numbers of events through ends, kills and power cuts.

use std::path::Path;

use flotta_agent::model::time::Wall;
use flotta_agent::state::numbers::{BLOCK, Before, Numbers, OBJECT, Reserved, open};
use flotta_agent::state::store_on;

use super::dice::Dice;
use super::disk::{ENOSPC, Fault, Sim};
use super::machine::DIR;

/// As the agent begins.
fn start(disk: &Sim, wall: Wall) -> Numbers {
    open(disk, Path::new(DIR), wall).numbers
}

#[test]
fn an_orderly_end_leaves_no_gap() {
    let disk = Sim::new(Path::new(DIR));
    let mut numbers = start(&disk, Wall(0));
    assert_eq!(numbers.used(), 0);
    assert_eq!(numbers.use_up_to(17), None);
    store_on(&disk, Path::new(DIR), OBJECT, &numbers.end()).expect("stored");
    assert_eq!(start(&disk, Wall(0)).used(), 17);
}

#[test]
fn a_kill_leaves_a_gap_and_never_a_double() {
    let disk = Sim::new(Path::new(DIR));
    let mut numbers = start(&disk, Wall(0));
    assert_eq!(numbers.use_up_to(17), None, "nothing is written for an event");
    assert_eq!(start(&disk.killed(), Wall(0)).used(), BLOCK);
}

#[test]
fn a_further_block_is_reserved_long_before_the_last_is_used_up() {
    let (mut numbers, first) = Numbers::start(Before::Known(None));
    assert_eq!(first, Reserved { up_to: BLOCK });
    let (mut stored, mut writes) = (first.up_to, 0);
    for number in 1..=5 * BLOCK {
        if let Some(reserved) = numbers.use_up_to(number) {
            assert!(reserved.up_to > stored && stored - number >= BLOCK / 2 - 1);
            stored = reserved.up_to;
            writes += 1;
        }
    }
    assert!(writes <= 10, "{writes}");
}

#[test]
fn through_power_cuts_full_disks_and_damage_no_number_comes_twice() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut disk = Sim::new(Path::new(DIR));
        // On a disk that was full from the very first start on there would be no agent: it could keep no owner id.
        let mut last = start(&disk, Wall(0)).used();
        for run in 0..30 {
            let wall = Wall(1_790_000_000_000 + run * 60_000);
            match dice.below(8) {
                0 => disk.fill(),
                1 => disk.soon(usize::try_from(dice.below(7)).expect("small"), Fault::OneError(ENOSPC)),
                2 if disk.files().contains(&Path::new(DIR).join("event-numbers.json")) => {
                    disk.corrupt(Path::new("/state/event-numbers.json"), |bytes| bytes.truncate(30));
                }
                _ => {}
            }
            let mut numbers = start(&disk, wall);
            assert!(numbers.used() >= last, "seed {seed}, run {run}: {} after {last}", numbers.used());
            last = numbers.used() + dice.below(1_000);
            // By and by, so it may not get there before the end.
            if let Some(reserved) = numbers.use_up_to(last) {
                let _ = store_on(&disk, Path::new(DIR), OBJECT, &reserved);
            }
            if dice.below(2) == 0 {
                disk.soon(usize::try_from(dice.below(7)).expect("small"), Fault::PowerCut);
                let _ = store_on(&disk, Path::new(DIR), OBJECT, &numbers.end());
            }
            disk = disk.survivor(|below| usize::try_from(dice.below(below as u64)).expect("small"));
        }
    }
}
