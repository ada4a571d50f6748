//! kill -9 of the agent ([`super::kills`], with pods and shell runs side by side: `tests/kill.sh`), and of podman's service:
//! at random moments, with flipping gates; no doubles, no orphans, nothing restarted that had no reason to. `KILLS=1000` for
//! more, `KILL_SEED=…` to go on from a seed; both are printed.

use std::collections::BTreeMap;
use std::path::Path;

use super::device::{lines, until_true};
use super::dice::{Dice, number};
use super::fleet::Fleet;
use super::kills;
use super::place::Place;
use super::service::{Podman, image};
use super::specs::{GATED, WAITS};

const PODS: usize = 4;
/// These have no gate.
const UNGATED: usize = 2;

/// Each start writes a line, so that a restart is seen.
fn manifests(place: &Place) {
    place.shared("out");
    for n in 0..PODS {
        let container = place.container("c", &format!("echo $$ >> /out/starts-{n}; {WAITS}"));
        let gate = if n < UNGATED { "" } else { GATED };
        place.pod(
            &format!("w{n}"),
            &format!("  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n{gate}"),
            &format!(
                "{{ terminationGracePeriodSeconds: 5, volumes: [ {{ name: e, emptyDir: {{}} }}, {{ name: out, hostPath: {{ path: \"{}\" }} }} ], containers: [ {}, volumeMounts: [ {{ name: out, mountPath: /out }}, {{ name: e, mountPath: /e }} ] }} ] }}",
                place.path("out").display(),
                container.trim_end_matches('}')
            ),
        );
    }
}

/// Waits until everything is as the gate wants it, then counts what podman really has.
fn settle(place: &Place, open: bool, what: &str) {
    for n in 0..PODS {
        let wanted = if n < UNGATED || open { "running" } else { "inactive" };
        place.until(&format!("w{n}"), wanted, |w| w["state"] == wanted && w["reason"] != "Stopping");
    }
    let wanted: BTreeMap<String, Vec<String>> = (0..PODS)
        .filter(|n| *n < UNGATED || open)
        .map(|n| (place.name(&format!("w{n}")), vec!["running".to_owned()]))
        .collect();
    let (mut seen, mut pods) = (BTreeMap::new(), Vec::new());
    // One that has ended is `inactive`, and removed right after that; half a pod is looked for after the next list.
    let equal = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until_true("podman has what the gate wants", || {
            seen = containers(&place.podman, &place.id());
            pods = place.podman.pods(&format!("project-flotta.io/device={}", place.id()));
            seen == wanted && pods.len() == wanted.len()
        });
    }));
    assert!(equal.is_ok(), "{what}: {seen:?}, wanted {wanted:?}; pods {pods:#?}");
}

/// The states of each workload's containers, as podman has them; more than one is a double.
fn containers(podman: &Podman, id: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for container in podman.containers(&format!("project-flotta.io/device={id}")) {
        if container["IsInfra"] != true {
            let name = container["Labels"]["project-flotta.io/name"].as_str().unwrap_or_default().to_owned();
            // Podman that was killed between writing so and signalling leaves it so, and the container runs on.
            let alive = container["State"] == "stopping" && Path::new(&format!("/proc/{}", container["Pid"])).exists();
            let state = if alive { "running" } else { container["State"].as_str().unwrap_or_default() }.to_owned();
            found.entry(name).or_insert_with(Vec::new).push(state);
        }
    }
    found
}

fn never_restarted(place: &Place) {
    for n in 0..UNGATED {
        let starts = lines(&place.path("out").join(format!("starts-{n}")));
        assert_eq!(starts.len(), 1, "w{n} is not gated and was never to be restarted: {starts:?}");
    }
}

/// Flips the gate some times; how it is then.
fn flip(place: &Place, dice: &mut Dice, open: &mut bool) {
    for _ in 0..dice.below(4) {
        *open = !*open;
        place.agent().set("x", if *open { 1.0 } else { 0.0 });
    }
}

fn some_time(dice: &mut Dice) {
    for _ in 0..dice.below(200_000) {
        std::thread::yield_now();
    }
}

#[test]
fn kills_of_the_agent_leave_no_double_no_orphan_and_restart_nothing() {
    let Some(mut place) = Place::new() else { return };
    let looking = (place.podman.clone(), place.id());
    let look = move || {
        let (podman, id) = &looking;
        (containers(podman, id), podman.pods(&format!("project-flotta.io/device={id}")).len())
    };
    let mut fleet = Fleet::new(&place, Some((image().to_owned(), Box::new(look))));
    kills::run(&mut place, &mut fleet, number("KILLS", 50), number("KILL_SEED", 11));
}

#[test]
fn kills_of_podmans_service_leave_no_double_no_orphan_and_restart_nothing() {
    let Some((mut place, mut service)) = Place::with_service() else { return };
    let (kills, seed) = (number("KILLS", 50) / 5, number("KILL_SEED", 13));
    println!("{kills} kills of podman's service from seed {seed}");
    let mut dice = Dice(seed);
    manifests(&place);
    place.start();
    let mut open = false;
    settle(&place, open, "at first");
    for round in 0..kills {
        flip(&place, &mut dice, &mut open);
        some_time(&mut dice);
        service.kill();
        flip(&place, &mut dice, &mut open);
        service.start();
        settle(&place, open, &format!("round {round}, seed {seed}"));
    }
    never_restarted(&place);
}
