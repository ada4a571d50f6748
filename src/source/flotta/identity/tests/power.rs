//! Takes the power away, or the room, at every system call of a device's life, and looks at what a disk may then hold.

#[path = "../../../../../tests/common/disk.rs"]
mod disk;

use std::path::Path;

use disk::{ENOSPC, Fault, Sim};

use super::store::receipt;
use crate::source::flotta::identity::{Request, Store, Stored};
use crate::source::flotta::testing::{ALWAYS, Ca};
use crate::state::Disk;

const STATE: &str = "/state";

/// Requests with what the server made of them, in order.
struct Answers(Vec<(Request, String)>);

impl Answers {
    fn new(count: usize) -> Answers {
        let ca = Ca::new();
        let one = |_| {
            let request = Request::new("edge-1").expect("a request");
            let certificate = ca.sign(&request, "edge-1", ALWAYS);
            (request, certificate)
        };
        Answers((0..count).map(one).collect())
    }
}

/// What must be there after anything that happens now.
#[derive(Clone, Copy, Debug, Default)]
struct Promised {
    /// A pair of at least this generation.
    stored: u64,
    /// The proven one: it, or a newer proven one, is what is fallen back on.
    proven: u64,
}

fn open(disk: &Sim) -> Store {
    Store::open_on(Box::new(disk.clone()), Path::new(STATE), "edge-1").0
}

/// First registration, two renewals, a renewal that is refused, another one. Notes what is promised as it goes.
fn live(disk: &Sim, answers: &Answers, mut check: impl FnMut(&Store)) -> Promised {
    let mut promised = Promised::default();
    let mut store = open(disk);
    for (at, (request, certificate)) in answers.0.iter().enumerate() {
        let put = store.put(request, certificate, receipt()).expect("a good certificate");
        check(&store);
        let generation = store.candidate().expect("the new one").generation;
        if put == Stored::Durably {
            promised.stored = generation;
        }
        if at == 3 {
            store.discard();
        } else {
            store.promote();
            if store.unsaved().is_none() && !disk.is_off() {
                promised.proven = generation;
            }
        }
        check(&store);
    }
    promised
}

fn kept(disk: &Sim, promised: Promised, when: &str) {
    let store = open(disk);
    // Opening has checked that each pair's key belongs to its certificate.
    let (current, candidate) = (store.current(), store.candidate());
    let newest = current.into_iter().chain(candidate).map(|it| it.generation).max();
    // The fourth pair is refused and dropped; then the third is the newest.
    let least = if promised.stored == 4 { 3 } else { promised.stored };
    assert!(newest.unwrap_or(0) >= least, "{when}: {promised:?}, but {newest:?} is the newest");
    if promised.proven > 0 {
        let current = current.unwrap_or_else(|| panic!("{when}: {promised:?}, but nothing to fall back on"));
        assert!(current.proven && current.generation >= promised.proven, "{when}: {promised:?}, but {current:?}");
    }
}

#[test]
fn a_power_cut_at_any_system_call_leaves_a_pair_that_works_and_never_loses_the_proven_one() {
    let answers = Answers::new(5);
    let whole = Sim::new(Path::new(STATE));
    let end = live(&whole, &answers, |_| {});
    assert_eq!((end.stored, end.proven), (5, 5));
    let steps = whole.steps();
    assert!(steps > 40, "{steps}");
    let (mut cuts, mut pairs) = (0, 0);
    for step in 1..=steps {
        let disk = Sim::new(Path::new(STATE));
        disk.at(step, Fault::PowerCut);
        let promised = live(&disk, &answers, |_| {});
        for (which, survivor) in disk.survivors().into_iter().enumerate() {
            kept(&survivor, promised, &format!("power cut at call {step}, survivor {which}"));
            let mut store = open(&survivor);
            pairs += usize::from(store.current().or(store.candidate()).is_some());
            // And life goes on from there.
            let (request, certificate) = &answers.0[0];
            assert_eq!(store.put(request, certificate, receipt()), Ok(Stored::Durably), "call {step}");
            cuts += 1;
        }
    }
    println!("{steps} system calls, {cuts} disks after a power cut, {pairs} of them with a pair");
    assert!(cuts > 150 && pairs > 130, "{cuts} {pairs}");
}

#[test]
fn a_kill_at_any_system_call_leaves_a_pair_that_works() {
    let answers = Answers::new(5);
    let whole = Sim::new(Path::new(STATE));
    live(&whole, &answers, |_| {});
    for step in 1..=whole.steps() {
        let disk = Sim::new(Path::new(STATE));
        disk.at(step, Fault::PowerCut);
        let promised = live(&disk, &answers, |_| {});
        kept(&disk.killed(), promised, &format!("killed at call {step}"));
    }
}

#[test]
fn a_full_disk_at_any_system_call_leaves_the_pair_in_use_and_on_disk_one_that_works() {
    let answers = Answers::new(5);
    let whole = Sim::new(Path::new(STATE));
    live(&whole, &answers, |_| {});
    for fault in [Fault::OneError(ENOSPC), Fault::FullFromHere] {
        for step in 1..=whole.steps() {
            let disk = Sim::new(Path::new(STATE));
            disk.at(step, fault);
            let usable = |store: &Store| {
                assert!(store.current().or(store.candidate()).is_some(), "{fault:?} at call {step}");
            };
            let promised = live(&disk, &answers, usable);
            for (which, survivor) in disk.survivors().into_iter().enumerate() {
                kept(&survivor, promised, &format!("{fault:?} at call {step}, survivor {which}"));
            }
        }
    }
}

#[test]
fn a_power_cut_soon_after_an_error_of_the_disk_leaves_a_pair_that_works() {
    /// The error's own call, and the next two writes.
    const SOON: usize = 12;
    let answers = Answers::new(5);
    let whole = Sim::new(Path::new(STATE));
    live(&whole, &answers, |_| {});
    for error in 1..=whole.steps() {
        for cut in error + 1..=error + SOON {
            let disk = Sim::new(Path::new(STATE));
            disk.at(error, Fault::OneError(ENOSPC));
            disk.at(cut, Fault::PowerCut);
            let promised = live(&disk, &answers, |_| {});
            for (which, survivor) in disk.survivors().into_iter().enumerate() {
                kept(&survivor, promised, &format!("error at call {error}, power cut at {cut}, survivor {which}"));
            }
        }
    }
}

#[test]
fn what_a_full_disk_refused_is_said_used_from_memory_and_written_when_there_is_room() {
    let answers = Answers::new(2);
    let disk = Sim::new(Path::new(STATE));
    let mut store = open(&disk);
    disk.at(disk.steps() + 1, Fault::FullFromHere);
    let why = store.probe().expect_err("no room");
    assert!(why.contains("cannot be written") && why.contains("does not register"), "{why}");
    let (request, certificate) = &answers.0[0];
    let Ok(Stored::InMemory(why)) = store.put(request, certificate, receipt()) else { panic!("taken") };
    assert!(why.contains("a.json") && why.contains("make room"), "{why}");
    assert_eq!(store.candidate().map(|it| it.generation), Some(1));
    store.promote();
    let (request, certificate) = &answers.0[1];
    assert!(matches!(store.put(request, certificate, receipt()), Ok(Stored::InMemory(_))));
    assert!(store.save().is_err() && store.unsaved().is_some());
    disk.make_room();
    store.save().expect("room");
    assert_eq!(store.unsaved(), None);
    let again = open(&disk);
    let seen = (again.current().map(|it| it.generation), again.candidate().map(|it| it.generation));
    assert_eq!(seen, (Some(1), Some(2)));
}
