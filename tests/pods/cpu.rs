//! A condition's CPU quota on a running pod, measured where the kernel counts.

use serde_json::Value as Json;

use super::device::until_true;
use super::place::{Place, kill9, pid};
use super::service::limits;
use super::specs::SOON;

const BUSY: &str = "while :; do :; done";
const BY_CONDITION: &str =
    "  profiles: [ { name: load, conditions: [ any, { name: fifth, cpu: 20000 }, { name: half, cpu: 50000 } ] } ]\n";

/// As good as no quota: no machine has so much.
const ENDLESS: u64 = 1_000_000_000;

/// CPU time that a container has used, in µs; its quota in µs per 100 ms.
fn cgroup(container: &Json) -> (u64, Option<u64>) {
    let (pid, id) = (pid(container), container["Id"].as_str().expect("an id"));
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its control groups");
    let read = |root: &str, path: &str, file: &str| {
        let own = &path[..path.find(id).expect("its own group") + id.len()];
        let path = [root, own].concat();
        // crun's own group may be named with a suffix.
        let path = if std::path::Path::new(&path).exists() { path } else { format!("{path}.scope") };
        std::fs::read_to_string(format!("{path}/{file}")).unwrap_or_else(|why| panic!("{path}/{file}: {why}"))
    };
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) =
            (parts.next().expect("a number"), parts.next().expect("controllers"), parts.next().expect("a path"));
        if number == "0" && controllers.is_empty() && path.contains(id) && !groups.contains("cpuacct") {
            let stat = read("/sys/fs/cgroup", path, "cpu.stat");
            let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).expect("usage");
            let max = read("/sys/fs/cgroup", path, "cpu.max");
            return (
                usage.trim().parse().expect("µs"),
                max.split(' ').next().and_then(|max| max.parse().ok()).filter(|max| *max < ENDLESS),
            );
        }
        if controllers.split(',').any(|one| one == "cpuacct") {
            let usage: u64 = read("/sys/fs/cgroup/cpuacct", path, "cpuacct.usage").trim().parse().expect("ns");
            let quota: i64 = read("/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us").trim().parse().expect("µs");
            return (usage / 1000, u64::try_from(quota).ok().filter(|quota| *quota < ENDLESS));
        }
    }
    panic!("{id} has no control group: {groups}");
}

fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).expect("after boot") * 1_000_000 + u64::try_from(now.tv_nsec).expect("ns") / 1000
}

/// What these use together, in % of one core, over some seconds.
fn percent(containers: &[Json]) -> f64 {
    let used = || containers.iter().map(|container| cgroup(container).0).sum::<u64>();
    let (begin, before) = (now_us(), used());
    until_true("time to measure in", || now_us() - begin > 4_000_000);
    let (after, end) = (used(), now_us());
    (after - before) as f64 * 100.0 / (end - begin) as f64
}

fn quotas(place: &Place) -> Vec<Option<u64>> {
    place.containers("w").iter().map(|container| cgroup(container).1).collect()
}

fn until_quotas(place: &Place, wanted: [Option<u64>; 2]) {
    let mut seen = Vec::new();
    until_true(&format!("quotas {wanted:?}"), || {
        seen = quotas(place);
        seen == wanted
    });
}

/// The status says so, and that all is well: no event tells it, the state being the same.
fn until_told(place: &Place, share: u64) {
    until_true("the status says the quota", || {
        let all = place.agent().get("/api/v1/workloads");
        all[0]["cpu_quota_us"] == share && all[0]["warnings"] == serde_json::json!([])
    });
}

fn busy(name: &str) -> Option<Place> {
    let place = Place::new()?;
    limits()?;
    let (a, b) = (place.container("a", BUSY), place.container("b", BUSY));
    place.pod(
        name,
        &format!("{SOON}{BY_CONDITION}"),
        &format!("{{ terminationGracePeriodSeconds: 0, containers: [ {a}, {b} ] }}"),
    );
    Some(place)
}

#[test]
fn a_condition_holds_the_running_pod_to_its_share_of_cpu_and_lets_it_go() {
    let Some(mut place) = busy("w") else { return };
    place.start();
    place.until_state("w", "running");
    let before = place.containers("w");
    for (value, share, held) in [(20.0, 20_000, 10_000), (50.0, 50_000, 25_000), (20.0, 20_000, 10_000)] {
        place.agent().set("y", value);
        until_told(&place, share);
        until_quotas(&place, [Some(held), Some(held)]);
        let used = percent(&before);
        println!("held to {value} %: {used:.1} % of a core");
        // No more than that; less where others need the processor, too: that it may be so much, the kernel's quotas say.
        assert!(used <= value + 3.0 && used >= value / 5.0, "held to {value} %, used {used:.1} %");
    }
    place.agent().set("y", 0.0);
    until_quotas(&place, [None, None]);
    let used = percent(&before);
    println!("let go: {used:.1} % of a core");
    assert!(used > 25.0, "not held, used {used:.1} %");
    let after = place.containers("w");
    assert_eq!((&before[0]["Pid"], &before[1]["Pid"]), (&after[0]["Pid"], &after[1]["Pid"]), "nothing was restarted");
}

#[test]
fn a_container_that_is_started_again_is_held_as_the_others_are() {
    let Some(mut place) = busy("w") else { return };
    place.start();
    place.agent().set("y", 20.0);
    place.until_state("w", "running");
    until_told(&place, 20_000);
    until_quotas(&place, [Some(10_000), Some(10_000)]);
    kill9(&place.one("w", "a"));
    place.until("w", "its restart", |w| w["state"] == "running" && w["restarts"] == 1);
    until_quotas(&place, [Some(10_000), Some(10_000)]);
}

#[test]
fn a_quota_is_known_and_followed_by_an_agent_after_a_kill() {
    let Some(mut place) = busy("w") else { return };
    place.start();
    place.agent().set("y", 50.0);
    place.until_state("w", "running");
    until_quotas(&place, [Some(25_000), Some(25_000)]);
    let before = place.containers("w");
    place.kill();
    place.start();
    place.until_state("w", "running");
    place.agent().set("y", 20.0);
    until_quotas(&place, [Some(10_000), Some(10_000)]);
    place.kill();
    place.start();
    place.agent().set("y", 0.0);
    until_quotas(&place, [None, None]);
    let after = place.containers("w");
    assert_eq!((&before[0]["Pid"], &before[1]["Pid"]), (&after[0]["Pid"], &after[1]["Pid"]), "nothing was restarted");
}

#[test]
fn what_runs_follows_its_condition_while_a_container_beside_it_waits_for_its_retry() {
    let Some(mut place) = Place::new() else { return };
    if limits().is_none() {
        return;
    }
    let (a, b) = (place.container("a", BUSY), place.container("b", BUSY));
    let later = "  retry: { constantBackoff: { periodSeconds: 600 } }\n";
    let spec = format!("{{ terminationGracePeriodSeconds: 0, containers: [ {a}, {b} ] }}");
    place.pod("w", &format!("{later}{BY_CONDITION}"), &spec);
    place.start();
    place.agent().set("y", 20.0);
    place.until_state("w", "running");
    kill9(&place.one("w", "b"));
    place.until_state("w", "degraded");
    place.agent().set("y", 50.0);
    until_true("what runs has its share of the new quota", || cgroup(&place.one("w", "a")).1 == Some(25_000));
}
