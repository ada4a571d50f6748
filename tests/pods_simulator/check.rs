//! What must be so when faults have ceased and time enough has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotta_agent::executor::podman::cpu;
use flotta_agent::executor::podman::labels;
use flotta_agent::executor::podman::translate::pod_name;
use flotta_agent::gates::Gate;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::pod::{PodJob, Volume};
use flotta_agent::model::status::{Reason, State, WorkloadStatus};
use flotta_agent::model::workload::{Payload, RestartPolicy, Workload};

use crate::agent::lock;
use crate::machine::{Machine, OWNER};
use crate::things::Container;
use crate::workloads::NOWHERE;
use crate::world::World;

/// How long nothing happens while calls are counted.
const IDLE: Duration = Duration::from_secs(900);

fn job(workload: &Workload) -> &PodJob {
    match &workload.payload {
        Payload::Pod(job) => job,
        other => panic!("no pod: {other:?}"),
    }
}

/// It can never run.
fn is_hopeless(workload: &Workload) -> Option<Reason> {
    let spec = &job(workload).spec;
    let mut all = spec.init_containers.iter().chain(&spec.containers);
    if all.clone().any(|one| one.image == NOWHERE) {
        return Some(Reason::ImagePullFailed);
    }
    all.any(|one| one.command.first().is_some_and(|first| first == "bad")).then_some(Reason::StartFailed)
}

impl World {
    pub fn check(&self) {
        let agent = self.agent.as_ref().expect("an agent");
        let statuses = lock(&agent.board).statuses.clone();
        assert_eq!(
            statuses.keys().collect::<Vec<_>>(),
            self.desired.keys().collect::<Vec<_>>(),
            "a status for each that is wanted, and for no other"
        );
        let mut should: BTreeSet<String> = BTreeSet::new();
        for (id, workload) in &self.desired {
            let gate = lock(&agent.gates).gate(&workload.gates);
            let status = statuses.get(id).expect("a status");
            let machine = self.podman.machine();
            let its: Vec<&Container> = machine
                .containers
                .values()
                .filter(|one| !one.infra && Machine::whose(&one.labels).as_ref() == Some(&id.to_string()))
                .collect();
            match gate {
                Gate::Closed { reason } => {
                    assert_eq!((status.state, status.reason), (State::Inactive, reason), "{id}: {status:#?}");
                    assert!(its.is_empty(), "{id} is gated and there: {its:#?}");
                }
                Gate::Open { cpu_quota_us } if is_hopeless(workload).is_none() => {
                    should.insert(pod_name(workload));
                    check_open(&machine, id, workload, status, &its, cpu_quota_us);
                }
                Gate::Open { .. } => {
                    // An init container may run, and what is half made may be on its way out.
                    let tries = [Reason::ImagePull, Reason::Starting, Reason::Stopping].contains(&status.reason);
                    let tried = status.reason == Reason::Failed && workload.restart == RestartPolicy::Never;
                    let says = Some(status.reason) == is_hopeless(workload) || tries || tried;
                    assert!(says, "{id}: {status:#?}");
                    let main = |one: &&&Container| !one.name.contains("-init");
                    assert!(!its.iter().filter(main).any(|one| one.state.runs()), "{id} cannot run: {its:#?}");
                    should.insert(pod_name(workload));
                }
            }
        }
        self.check_leftovers(&should);
    }

    /// Nothing of ours is there for anything else.
    fn check_leftovers(&self, should: &BTreeSet<String>) {
        let machine = self.podman.machine();
        let ours = machine.pods.values().filter(|pod| Machine::whose(&pod.labels).is_some());
        let names: Vec<&String> = ours.map(|pod| &pod.name).collect();
        assert!(names.iter().all(|name| should.contains(*name)), "pods nobody needs: {names:?}, not {should:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for (name, volume) in &machine.volumes {
            let of = volume.labels.get(labels::POD).cloned().unwrap_or_default();
            assert!(should.contains(&of), "volume {name} is left, of {of}: {should:?}");
        }
        let files = self.runtime_dir.join("pods").join(OWNER);
        let dirs =
            [&self.pods_dir, &files].into_iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        for dir in dirs.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            assert!(should.contains(&dir), "directory {dir} is left: {should:?}");
        }
        for name in machine.secrets.keys() {
            let is_of = |pod: &String| pod.rsplit_once('-').is_some_and(|(_, version)| name.contains(version));
            assert!(should.iter().any(is_of), "podman's secret {name} is left: {should:?}");
        }
        // What has ended before the machine was started anew needs none.
        let runs = |name: &String| {
            let of = |one: &&Container| machine.pods.get(&one.pod).is_some_and(|pod| pod.name == *name);
            machine.containers.values().filter(of).any(|one| !one.infra && one.state.runs())
        };
        for (id, workload) in self.desired.iter().filter(|(_, workload)| runs(&pod_name(workload))) {
            for name in job(workload).spec.volumes.iter().filter(|(_, v)| matches!(v, Volume::Files(_))).map(|(n, _)| n)
            {
                let file = files.join(pod_name(workload)).join(name).join("key");
                assert!(file.exists(), "{id} runs without its file {}", file.display());
            }
        }
    }

    /// When nothing happens hardly anything is asked.
    pub async fn check_idle(&mut self) {
        if self.desired.values().any(|workload| is_hopeless(workload).is_some()) {
            return;
        }
        let calls = |world: &World| world.agent.as_ref().map_or(0, |agent| agent.executor.calls());
        let before = calls(self);
        let said = lock(&self.agent.as_ref().expect("an agent").board).said;
        let starts = self.podman.machine().starts;
        self.pass(IDLE).await;
        assert_eq!(self.podman.machine().starts, starts, "nothing happens, nothing is started");
        let made = calls(self) - before;
        assert!(made <= IDLE.as_secs() / 10, "{made} calls in {} s", IDLE.as_secs());
        assert_eq!(lock(&self.agent.as_ref().expect("an agent").board).said, said, "nothing happens, nothing is said");
    }
}

fn check_open(
    machine: &Machine,
    id: &WorkloadId,
    workload: &Workload,
    status: &WorkloadStatus,
    its: &[&Container],
    quota_us: Option<u32>,
) {
    let say = || format!("{id} ({:?}, quota {quota_us:?}): {status:#?}, {its:#?}", workload.restart);
    let spec = &job(workload).spec;
    let of = |role: &str| -> BTreeMap<usize, &Container> {
        let place = |one: &&Container| -> Option<usize> {
            one.labels.get(labels::ROLE)?.strip_prefix(role)?.strip_prefix('.')?.parse().ok()
        };
        its.iter().filter_map(|one| Some((place(one)?, *one))).collect()
    };
    let (main, init) = (of("main"), of("init"));
    let whole = main.len() == spec.containers.len() && init.len() == spec.init_containers.len();
    // Somebody may have removed a part of one that is not started again.
    let never = workload.restart == RestartPolicy::Never;
    assert!(whole || (never && status.state == State::Degraded), "not whole: {}", say());
    assert!(its.iter().all(|one| one.labels.get(labels::HASH) == Some(&workload.hash.0)), "another version: {}", say());
    let well = |one: &Container| match workload.restart {
        RestartPolicy::Always => false,
        RestartPolicy::OnFailure => one.true_code == Some(0),
        RestartPolicy::Never => true,
    };
    let init_failed = init.values().any(|one| one.state == crate::things::State::Exited && one.exit_code != 0);
    if !(never && init_failed) {
        assert!(main.values().all(|one| one.state.runs() || well(one)), "something is down: {}", say());
    }
    let running = main.values().filter(|one| one.state.runs()).count();
    let infra = machine.containers.values().find(|one| one.infra && its.iter().any(|of| of.pod == one.pod));
    let (state, reason) = (status.state, status.reason);
    match state {
        State::Running => assert!(running > 0 && matches!(reason, Reason::Running | Reason::Adopted), "{}", say()),
        State::Degraded => assert!(never && running > 0 && reason == Reason::ContainerDown, "{}", say()),
        State::Stopped => assert!(running == 0 && main.values().all(|one| well(one)), "{}", say()),
        State::Exited => assert!(running == 0 && never, "{}", say()),
        _ => panic!("has not settled: {}", say()),
    }
    if running == 0 {
        return;
    }
    assert!(never || infra.is_some_and(|infra| infra.state.runs()), "its network is gone: {}", say());
    if !machine.controllers.contains(&"cpu") {
        return;
    }
    // Among those that are there.
    let own: Vec<Option<u32>> = main.keys().map(|at| spec.containers[*at].resources.cpu_limit_us).collect();
    let parts = quota_us.map(|quota| cpu::shares(quota, &own));
    for (at, one) in main.values().enumerate().filter(|(_, one)| one.state.runs()) {
        let wanted = parts.as_ref().map_or(own[at], |parts| Some(parts[at]));
        assert_eq!(one.quota, wanted, "the quota of {}: {}", one.name, say());
    }
}
