use std::collections::BTreeMap;

use super::*;
use crate::executor::podman::labels;
use crate::executor::podman::observe;
use crate::executor::podman::wire::Listed;
use crate::model::pod::{Lifecycle, Probe, ProbeAction, Probes};

const START: i64 = 1_000;

/// A pod with one container in this state, process and time of start.
fn pod(state: &str, pid: i64, started_at: i64) -> Pod {
    let label = |role: &str| {
        let all = [
            (labels::NAMESPACE, "default"),
            (labels::NAME, "w"),
            (labels::HASH, "abc"),
            (labels::CONTAINERS, "1"),
            (labels::CONTAINER, "c"),
            (labels::ROLE, role),
        ];
        Some(all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
    };
    let listed = |id: &str, is_infra: bool| Listed {
        id: id.into(),
        pod: "p".into(),
        pod_name: "w-abc".into(),
        state: state.into(),
        exited: state == "exited",
        pid,
        started_at,
        is_infra,
        labels: label(if is_infra { "" } else { "main.0" }),
        ..Listed::default()
    };
    observe::pods(vec![listed("infra", true), listed("one", false)]).remove(0)
}

fn care(failures: u32) -> Option<PodCare> {
    let probe = |failure_threshold| Probe {
        action: ProbeAction::Tcp { host: None, port: 1 },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold,
        grace: Some(Duration::from_secs(7)),
    };
    let probes = Probes { startup: None, readiness: Some(probe(1)), liveness: Some(probe(failures)) };
    let care = Care { probes, lifecycle: Lifecycle::default() };
    let containers = BTreeMap::from([("c".to_owned(), Arc::new(care))]);
    Some(PodCare { grace: Duration::from_secs(30), host_network: false, containers })
}

fn handle() -> Handle {
    Handle("p".into())
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1000), wall: Wall((START + i64::try_from(seconds).expect("small")) * 1000) }
}

fn tries(probing: &mut Probing, now: Now) -> Vec<Try> {
    let mut all = Vec::new();
    loop {
        let some = probing.take(now.mono, 8);
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// Known, started by this agent, and seen running.
fn running(failures: u32) -> Probing {
    let mut probing = Probing::default();
    probing.know(&handle(), care(failures));
    probing.hold("one");
    probing.release("one", true);
    probing.seen(&handle(), &pod("running", 5, START), false, at(0));
    probing
}

fn is_unready(probing: &Probing) -> bool {
    !probing.unready(&handle(), &pod("running", 5, START)).is_empty()
}

#[test]
fn what_nobody_asked_for_is_not_probed_and_what_was_adopted_is_ready() {
    let mut probing = Probing::default();
    probing.seen(&handle(), &pod("running", 5, START), false, at(0));
    assert!(probing.next().is_none());
    probing.know(&handle(), care(3));
    probing.seen(&handle(), &pod("running", 5, START), false, at(100));
    assert!(!is_unready(&probing));
    assert_eq!(tries(&mut probing, at(100)).len(), 2);
    assert!(is_unready(&running(3)), "one that this agent started has to say so first");
}

#[test]
fn nothing_is_probed_before_its_hook_is_over_after_its_end_or_while_its_pod_is_told_to_stop() {
    let mut probing = running(3);
    probing.seen(&handle(), &pod("exited", 0, START), false, at(1));
    assert!(probing.next().is_none());
    probing.hold("one");
    probing.seen(&handle(), &pod("running", 6, START + 9), false, at(9));
    assert!(probing.next().is_none(), "its hook is not over");
    probing.release("one", true);
    probing.seen(&handle(), &pod("running", 6, START + 9), false, at(10));
    assert_eq!(probing.next(), Some(at(10).mono));
    probing.rest(&handle());
    probing.seen(&handle(), &pod("running", 6, START + 9), false, at(11));
    assert!(probing.next().is_none());
    probing.wake(&handle());
    probing.seen(&handle(), &pod("running", 6, START + 9), true, at(12));
    assert!(probing.next().is_none(), "it was told to stop");
    probing.seen(&handle(), &pod("paused", 6, START + 9), false, at(12));
    assert!(probing.next().is_none(), "a paused one answers nobody");
    probing.seen(&handle(), &pod("running", 6, START + 9), false, at(13));
    assert!(probing.next().is_some());
}

#[test]
fn a_result_of_an_earlier_run_says_nothing_of_this_one() {
    let mut probing = running(1);
    let old = tries(&mut probing, at(0)).into_iter().find(|one| one.kind == Kind::Liveness).expect("one");
    probing.hold("one");
    probing.release("one", true);
    probing.seen(&handle(), &pod("running", 6, START + 5), false, at(5));
    let late = probing.result(&old, Err(Failure::of("no".into())), at(6), false);
    assert!(matches!(late, (Meaning::Nothing, None)), "{late:?}");
}

#[test]
fn who_fails_its_liveness_probe_is_ended_in_the_probes_own_grace_period_and_that_is_remembered() {
    let mut probing = running(1);
    let liveness = tries(&mut probing, at(0)).into_iter().find(|one| one.kind == Kind::Liveness).expect("one");
    let (meaning, ending) = probing.result(&liveness, Err(Failure::of("refused".into())), at(0), false);
    let ending = ending.expect("it is ended");
    assert_eq!(meaning, Meaning::End("its liveness probe failed once (refused)".into()));
    assert_eq!((ending.name.as_str(), ending.grace), ("c", Duration::from_secs(7)));
    probing.note_ended(ending.container.clone(), ending.started_at, ending.why.clone());
    // Still there, being ended: it is said.
    assert!(!probing.unready(&handle(), &pod("stopping", 5, START)).is_empty());
    let ended = pod("exited", 0, START);
    probing.seen(&handle(), &ended, false, at(1));
    assert_eq!(probing.why_ended(&ended.main[0]), Some(&ending.why));
    let next = pod("exited", 0, START + 50);
    assert_eq!(probing.why_ended(&next.main[0]), None, "of the run after it that says nothing");
    probing.spared(&ending, at(2).mono);
    assert_eq!(probing.why_ended(&ended.main[0]), None);
}

#[test]
fn what_could_not_be_started_again_is_not_ended_and_asked_on() {
    let mut probing = running(1);
    let liveness = tries(&mut probing, at(0)).into_iter().find(|one| one.kind == Kind::Liveness).expect("one");
    let kept = probing.result(&liveness, Err(Failure::of("refused".into())), at(0), true);
    assert!(matches!(kept, (Meaning::Changed, None)), "{kept:?}");
    let unready = probing.unready(&handle(), &pod("running", 5, START));
    assert!(unready[0].why.ends_with("it is ended when the device is unlocked"), "{unready:?}");
    let again = tries(&mut probing, at(60)).into_iter().find(|one| one.kind == Kind::Liveness).expect("asked on");
    let (_, ending) = probing.result(&again, Err(Failure::of("refused".into())), at(60), false);
    assert!(ending.is_some(), "unlocked, it is");
}

#[test]
fn what_could_not_be_asked_ends_nothing_and_is_not_ready() {
    let mut probing = running(1);
    for one in tries(&mut probing, at(0)) {
        let (_, ending) = probing.result(&one, Err(Failure::own("podman is away".into())), at(0), false);
        assert!(ending.is_none());
    }
    let unready = probing.unready(&handle(), &pod("running", 5, START));
    assert!(unready[0].why.contains("podman is away"), "{unready:?}");
}

#[test]
fn what_waited_longest_comes_first_and_no_more_than_there_is_room_for() {
    let mut probing = running(3);
    assert_eq!(probing.take(at(0).mono, 1).len(), 1);
    assert_eq!(probing.take(at(0).mono, 0).len(), 0);
    assert_eq!(probing.next(), Some(at(0).mono), "the other one is still due");
    probing.forget(&handle(), &pod("running", 5, START));
    assert!(probing.next().is_none() && probing.pod(&handle()).is_none());
}
