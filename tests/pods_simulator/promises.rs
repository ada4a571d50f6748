//! What users were promised, one thing at a time, without dice.

use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::ExecutorId;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::pod::{Container, PodSpec, PullPolicy};
use flotta_agent::model::profile::{ConditionRef, ProfileRef};
use flotta_agent::model::status::{Reason, State};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, ShellSpec, Workload};

use crate::agent::lock;
use crate::faults::{Fault, Rates};
use crate::machine::Machine;
use crate::plain::Plain;
use crate::podman::Service;
use crate::virtually;
use crate::workloads::{self, container, workload};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device on which nothing goes wrong by itself.
fn quiet() -> World {
    let world = World::new(1, false);
    {
        let mut machine = world.podman.machine();
        machine.rates = Rates::default();
        machine.controllers = vec!["cpu", "memory"];
        machine.images.extend(workloads::IMAGES.map(str::to_owned));
        (machine.events.lost, machine.events.twice, machine.events.late) = (0, 0, 0);
    }
    world
}

fn pod(version: u64, containers: Vec<Container>, restart: RestartPolicy) -> Workload {
    workload("web", version, PodSpec { containers, grace: SECOND, ..PodSpec::default() }, restart)
}

fn serving(version: u64) -> Workload {
    pod(version, vec![container("one", "serve", workloads::IMAGES[0])], RestartPolicy::Always)
}

fn says(world: &World, name: &str) -> (State, Reason) {
    let id = WorkloadId::parse(name).expect("a name");
    let said = lock(&world.agent.as_ref().expect("an agent").board);
    said.statuses.get(&id).map(|status| (status.state, status.reason)).expect("a status")
}

fn kill(world: &World, name: &str, code: i64) {
    let mut machine = world.podman.machine();
    let found = machine.containers.values().find(|one| one.name == name).cloned().expect("a container");
    machine.die(&found.id, found.run, code);
    drop(machine);
    world.podman.follow();
}

fn pods(machine: &Machine) -> Vec<String> {
    machine.pods.values().map(|pod| pod.name.clone()).collect()
}

#[test]
fn podman_stuck_for_an_hour_is_said_and_holds_nothing_else_up_and_then_all_goes_on_as_it_was() {
    virtually(async {
        let (mut world, plain) = (quiet(), Arc::new(Plain::default()));
        world.others.insert(ExecutorId::Shell, plain.clone());
        let shell = |version| {
            let spec = ShellSpec {
                argv: vec!["x".into()],
                env: std::collections::BTreeMap::new(),
                working_dir: None,
                user: None,
                grace: SECOND,
            };
            let base = workload("sh", version, PodSpec::default(), RestartPolicy::Always);
            Workload { kind: Kind::Shell, payload: Payload::Shell(spec), ..base }
        };
        world.want(workloads::steady());
        world.want(shell(1));
        world.start_agent();
        world.pass(MINUTE).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Running, Reason::Running));
        let starts = world.podman.machine().starts;

        world.podman.set_service(Service::Stuck);
        world.pass(MINUTE).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Unknown, Reason::ExecutorUnreachable));
        world.want(shell(2));
        world.tell_desired().await;
        world.pass(2 * SECOND).await;
        assert_eq!((says(&world, "sh"), *lock(&plain.starts)), ((State::Running, Reason::Running), 2));
        for _ in 0..60 {
            world.pass(MINUTE).await;
            assert_eq!(says(&world, workloads::STEADY), (State::Unknown, Reason::ExecutorUnreachable));
            assert_eq!(says(&world, "sh"), (State::Running, Reason::Running));
        }

        world.podman.set_service(Service::Up);
        world.pass(MINUTE).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Running, Reason::Running));
        assert_eq!(world.podman.machine().starts, starts, "nothing was started again");
    });
}

#[test]
fn podman_gone_for_an_hour_with_the_agent_killed_meanwhile_restarts_nothing() {
    virtually(async {
        let mut world = quiet();
        world.want(workloads::steady());
        world.start_agent();
        world.pass(MINUTE).await;
        let starts = world.podman.machine().starts;
        world.podman.set_service(Service::Gone);
        world.pass(SECOND).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Unknown, Reason::ExecutorUnreachable));
        world.kill_agent();
        world.pass(HOUR / 2).await;
        world.start_agent();
        world.pass(HOUR / 2).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Error, Reason::ExecutorUnreachable));
        world.podman.set_service(Service::Up);
        world.pass(10 * SECOND).await;
        assert_eq!(says(&world, workloads::STEADY), (State::Running, Reason::Adopted));
        assert_eq!(world.podman.machine().starts, starts);
    });
}

/// Each call of a start in turn goes wrong in each way.
#[test]
fn whichever_call_of_a_start_takes_effect_and_reports_a_failure_one_pod_runs_in_the_end() {
    for fault in [Fault::Error { done: true }, Fault::Lost { done: true }, Fault::Hang { done: true }] {
        for call in 1..18 {
            virtually(async {
                let mut world = quiet();
                world.want(workloads::steady());
                world.podman.machine().planned.insert(call, fault);
                world.start_agent();
                world.pass(5 * MINUTE).await;
                let machine = world.podman.machine();
                assert_eq!(pods(&machine).len(), 1, "{fault:?} of call {call}: {:?}", pods(&machine));
                drop(machine);
                assert_eq!(says(&world, workloads::STEADY).0, State::Running, "{fault:?} of call {call}");
                world.check();
            });
        }
    }
}

#[test]
fn whenever_the_agent_is_killed_in_a_start_the_next_one_brings_it_to_its_end() {
    for calls in 0..24 {
        virtually(async {
            let mut world = quiet();
            world.want(workloads::steady());
            world.start_agent();
            while world.podman.machine().calls < calls {
                world.pass(Duration::from_millis(1)).await;
            }
            world.kill_agent();
            world.pass(SECOND).await;
            world.start_agent();
            world.pass(MINUTE).await;
            assert_eq!(says(&world, workloads::STEADY).0, State::Running, "killed at call {calls}");
            world.check();
        });
    }
}

#[test]
fn an_end_is_known_at_once_and_one_whose_event_got_lost_is_known_with_the_next_list() {
    virtually(async {
        let mut world = quiet();
        world.want(serving(1));
        world.start_agent();
        world.pass(MINUTE).await;
        kill(&world, "web-000000000001-one", 3);
        world.pass(SECOND).await;
        assert_eq!(says(&world, "web"), (State::Ready, Reason::BackOff));
        world.pass(21 * SECOND).await;
        assert_eq!(says(&world, "web"), (State::Running, Reason::Running));

        world.podman.machine().events.lost = 1;
        kill(&world, "web-000000000001-one", 3);
        world.pass(31 * SECOND).await;
        assert_ne!(says(&world, "web"), (State::Unknown, Reason::ExecutorUnreachable));
        assert!(world.podman.machine().starts >= 2);
        world.pass(21 * SECOND).await;
        assert_eq!(says(&world, "web"), (State::Running, Reason::Running));
        world.check();
    });
}

#[test]
fn when_the_clock_was_set_back_an_end_is_known_at_once_all_the_same() {
    virtually(async {
        let mut world = quiet();
        world.want(serving(1));
        world.start_agent();
        world.pass(40 * SECOND).await;
        world.clock.jump(-3_600_000);
        world.podman.machine().events.cut(true);
        world.pass(10 * SECOND).await;
        kill(&world, "web-000000000001-one", 3);
        world.pass(SECOND).await;
        assert_eq!(says(&world, "web"), (State::Ready, Reason::BackOff));
    });
}

#[test]
fn a_pod_of_which_all_images_are_always_pulled_starts_with_a_registry_and_without() {
    for registry in [true, false] {
        virtually(async {
            let mut world = quiet();
            world.podman.machine().registry = registry;
            let always =
                |name: &str, image: &str| Container { pull: PullPolicy::Always, ..container(name, "serve", image) };
            let [a, b, _] = workloads::IMAGES;
            world.want(pod(1, vec![always("one", a), always("two", a), always("three", b)], RestartPolicy::Always));
            world.start_agent();
            world.pass(10 * MINUTE).await;
            assert_eq!(says(&world, "web"), (State::Running, Reason::Running), "registry: {registry}");
        });
    }
}

#[test]
fn what_a_reboot_cut_off_runs_again_at_once_whatever_podman_says_of_its_end() {
    for old in [true, false] {
        virtually(async {
            let mut world = quiet();
            let containers = vec![container("one", "serve", workloads::IMAGES[0])];
            world.want(pod(1, containers, RestartPolicy::OnFailure));
            world.start_agent();
            world.pass(MINUTE).await;
            world.kill_agent();
            world.podman.set_service(Service::Gone);
            world.podman.machine().reboot(old);
            world.lose_memory();
            world.clock.reboot();
            world.podman.set_service(Service::Up);
            world.start_agent();
            world.pass(5 * SECOND).await;
            assert_eq!(says(&world, "web"), (State::Running, Reason::Running), "old: {old}");
            world.check();
        });
    }
}

#[test]
fn what_a_failed_removal_left_is_gone_with_a_later_list() {
    virtually(async {
        let mut world = quiet();
        let mut made = serving(1);
        if let Payload::Pod(job) = &made.payload {
            let mut job = (**job).clone();
            let empty = flotta_agent::model::pod::Volume::Empty { memory: false, size_limit: None };
            job.spec.volumes.insert("scratch".into(), empty);
            made.payload = Payload::Pod(Arc::new(job));
        }
        let id = made.id.clone();
        world.want(made);
        world.start_agent();
        world.pass(MINUTE).await;
        assert_eq!(world.podman.machine().volumes.len(), 1);
        world.desired.remove(&id);
        world.podman.machine().planned_for("DELETE volumes", Fault::Lost { done: false });
        world.tell_desired().await;
        world.pass(2 * MINUTE).await;
        let machine = world.podman.machine();
        assert_eq!((machine.pods.len(), machine.volumes.len()), (0, 0));
    });
}

/// A pod that a profile lets run, with another quota by each condition.
fn gated() -> Workload {
    let spec = ["one", "two"].map(|name| container(name, "serve", workloads::IMAGES[0])).to_vec();
    let by = |name: &str, quota| ConditionRef { name: name.into(), cpu_quota_us: quota };
    let conditions = vec![by("low", Some(40_000)), by("slow", Some(20_000))];
    Workload { gates: vec![ProfileRef { name: "load".into(), conditions }], ..pod(1, spec, RestartPolicy::Always) }
}

fn quotas(world: &World) -> Vec<Option<u32>> {
    let machine = world.podman.machine();
    machine.containers.values().filter(|one| !one.infra && one.state.runs()).map(|one| one.quota).collect()
}

/// `slow` counts when it was true for 3 s, and for 2 s after.
const HOLD: Duration = Duration::from_secs(6);

async fn gated_world() -> World {
    let mut world = quiet();
    world.want(gated());
    world.start_agent();
    world.metric_is("y", 1.0);
    world.metric_is("x", 1.0);
    world.pass(SECOND).await;
    assert_eq!(quotas(&world), [Some(20_000), Some(20_000)]);
    world
}

#[test]
fn a_condition_changes_the_quota_of_what_runs_at_once_and_ends_it_when_none_is_true() {
    virtually(async {
        let mut world = gated_world().await;
        let starts = world.podman.machine().starts;
        world.metric_is("x", 7.0);
        // What hears TERM may take 0.8 s for it, and podman's answers their time.
        world.pass(2 * SECOND).await;
        assert_eq!(quotas(&world), [], "`low` is false at once, `slow` not yet true");
        assert_eq!(says(&world, "web"), (State::Inactive, Reason::ConditionFalse));
        world.pass(HOLD).await;
        assert_eq!(quotas(&world), [Some(10_000), Some(10_000)]);
        world.metric_is("x", 1.0);
        world.pass(SECOND).await;
        assert_eq!(quotas(&world), [Some(10_000), Some(10_000)], "`slow` holds on: the smaller one counts");
        world.pass(HOLD).await;
        assert_eq!(quotas(&world), [Some(20_000), Some(20_000)]);
        assert_eq!(world.podman.machine().starts, starts + 2, "nothing was started again for a quota");
    });
}

#[test]
fn a_quota_that_podman_refused_or_did_not_answer_for_is_in_force_soon() {
    for fault in [Fault::Error { done: false }, Fault::Lost { done: false }, Fault::Hang { done: false }] {
        virtually(async {
            let mut world = gated_world().await;
            world.metric_is("x", 7.0);
            world.pass(HOLD).await;
            world.podman.machine().planned_for("POST containers", fault);
            world.metric_is("x", 1.0);
            world.pass(2 * MINUTE).await;
            assert_eq!(quotas(&world), [Some(20_000), Some(20_000)], "{fault:?}");
            world.check();
        });
    }
}

#[test]
fn a_pod_of_which_somebody_removes_a_container_is_not_said_to_run_and_is_replaced() {
    virtually(async {
        let mut world = quiet();
        let two = ["one", "two"].map(|name| container(name, "serve", workloads::IMAGES[0])).to_vec();
        world.want(pod(1, two, RestartPolicy::Always));
        world.start_agent();
        world.pass(MINUTE).await;
        {
            let mut machine = world.podman.machine();
            let id = machine.containers.values().find(|one| one.name.ends_with("two")).map(|one| one.id.clone());
            machine.remove_container(&id.expect("a container"));
        }
        world.podman.follow();
        world.pass(MINUTE).await;
        assert_eq!(says(&world, "web"), (State::Running, Reason::Running));
        world.check();
    });
}

#[test]
fn one_container_whose_output_cannot_be_read_hides_none_of_the_others() {
    virtually(async {
        let mut world = quiet();
        world.want(workloads::steady());
        world.want(serving(1));
        world.start_agent();
        world.pass(MINUTE).await;
        world.podman.machine().planned_always = Some(("logs", Fault::Hang { done: false }));
        kill(&world, "web-000000000001-one", 3);
        world.pass(2 * MINUTE).await;
        for _ in 0..12 {
            assert_eq!(says(&world, workloads::STEADY), (State::Running, Reason::Running));
            assert_eq!(says(&world, "web"), (State::Running, Reason::Running), "it was started again");
            world.pass(5 * MINUTE).await;
        }
        world.check();
    });
}

#[test]
fn how_a_pull_went_an_hour_ago_says_nothing_about_now() {
    virtually(async {
        let mut world = quiet();
        world.podman.machine().images.clear();
        world.podman.machine().registry = false;
        let by = ConditionRef { name: "low".into(), cpu_quota_us: None };
        world.want(Workload { gates: vec![ProfileRef { name: "load".into(), conditions: vec![by] }], ..serving(1) });
        world.start_agent();
        world.metric_is("x", 7.0);
        world.pass(MINUTE).await;
        world.metric_is("x", 1.0);
        while says(&world, "web") != (State::Ready, Reason::ImagePull) {
            world.pass(Duration::from_millis(1)).await;
        }
        // The gate closes while the image is on its way, which then does not come.
        world.metric_is("x", 7.0);
        world.pass(HOUR).await;
        world.podman.machine().registry = true;
        world.metric_is("x", 1.0);
        for _ in 0..600 {
            assert_ne!(says(&world, "web").0, State::Error, "the registry is there");
            world.pass(Duration::from_millis(100)).await;
        }
        assert_eq!(says(&world, "web"), (State::Running, Reason::Running));
        world.check();
    });
}
