//! The simulated device and whoever changes it: metrics, manifests, the machine, podman, the agent's own death.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::podman::{Setting, labels};
use flotta_agent::executor::{Executor, ExecutorId};
use flotta_agent::gates::StoredTruths;
use flotta_agent::model::desired::Desired;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::policy::Policy;
use flotta_agent::model::status::State;
use flotta_agent::model::workload::Workload;
use tokio::time::sleep;

use crate::agent::{Agent, Start, lock};
use crate::clock::Clock;
use crate::dice::Dice;
use crate::faults::Rates;
use crate::machine::{Machine, OWNER};
use crate::podman::{Podman, Service};
use crate::things::Labels;
use crate::workloads;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "site/a"];
const MINUTE: Duration = Duration::from_secs(60);

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub starts: u64,
    pub faults: u64,
    pub calls: u64,
    pub statuses: u64,
    pub kills: u64,
    pub reboots: u64,
    /// Of everything that was written down.
    pub hash: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.starts += other.starts;
        self.faults += other.faults;
        self.calls += other.calls;
        self.statuses += other.statuses;
        self.kills += other.kills;
        self.reboots += other.reboots;
        self.hash ^= other.hash;
    }
}

pub struct World {
    pub dice: Dice,
    pub clock: Clock,
    pub podman: Podman,
    pub agent: Option<Agent>,
    pub desired: BTreeMap<WorkloadId, Arc<Workload>>,
    pub pods_dir: PathBuf,
    pub runtime_dir: PathBuf,
    pub tally: Tally,
    /// Executors beside podman's.
    pub others: BTreeMap<ExecutorId, Arc<dyn Executor>>,
    truths: StoredTruths,
    metrics: BTreeMap<&'static str, f64>,
    versions: u64,
    foreign: u64,
    _dir: tempfile::TempDir,
}

impl World {
    pub fn new(seed: u64, loud: bool) -> World {
        let mut dice = Dice::new(seed);
        let clock = Clock::new();
        let dir = tempfile::tempdir().expect("a directory");
        let rates = Rates::draw(&mut dice);
        let mut machine = Machine::new(clock.clone(), Dice::new(dice.next()), rates, dir.path().join("volumes"), loud);
        machine.note(&format!("{rates:?}"));
        if dice.one_in(8) {
            machine.controllers = vec!["memory", "pids"];
        }
        (machine.events.lost, machine.events.twice, machine.events.late) = (rates.event, rates.event, rates.event);
        machine.images.insert(workloads::STEADY_IMAGE.into());
        machine.images.insert(workloads::IMAGES[2].into());
        World {
            clock,
            podman: Podman::new(machine),
            agent: None,
            desired: BTreeMap::new(),
            pods_dir: dir.path().join("pods"),
            runtime_dir: dir.path().join("runtime"),
            tally: Tally::default(),
            others: BTreeMap::new(),
            truths: StoredTruths::default(),
            metrics: BTreeMap::from([("x", 1.0), ("y", 1.0)]),
            versions: 0,
            foreign: 0,
            dice,
            _dir: dir,
        }
    }

    pub fn want(&mut self, workload: Workload) {
        self.podman.machine().ever_desired.insert(workload.hash.0.clone());
        self.desired.insert(workload.id.clone(), Arc::new(workload));
    }

    fn all_desired(&self) -> Desired {
        Desired { workloads: self.desired.clone(), profiles: workloads::profiles(), ..Desired::default() }
    }

    pub fn start_agent(&mut self) {
        self.podman.machine().note("the agent starts");
        let policy = Policy { mounts: true, ..Policy::default() };
        let setting = Setting {
            owner: OWNER.into(),
            device: "device".into(),
            pods_dir: self.pods_dir.clone(),
            runtime_dir: self.runtime_dir.clone(),
            policy,
            awaited: tokio::sync::watch::Sender::default().subscribe(),
            spare: std::sync::Arc::default(),
            user: None,
            shim: "/nonexistent".into(),
            probes: Arc::default(),
        };
        self.agent = Some(Agent::start(Start {
            podman: self.podman.clone(),
            setting,
            clock: self.clock.clone(),
            truths: self.truths.clone(),
            desired: self.all_desired(),
            others: self.others.clone(),
        }));
        // What senders of metrics do with a time of their own.
        if self.dice.one_in(2) {
            self.tell_metrics();
        }
    }

    pub fn kill_agent(&mut self) {
        self.podman.machine().note("the agent is killed");
        if let Some(agent) = self.agent.take() {
            self.truths = lock(&agent.board).truths.clone();
            self.tally.statuses += lock(&agent.board).said;
        }
    }

    fn tell_metrics(&mut self) {
        if let Some(agent) = &self.agent {
            self.metrics.iter().for_each(|(name, value)| agent.metric(name, Some(*value)));
        }
    }

    pub async fn tell_desired(&self) {
        if let Some(agent) = &self.agent {
            agent.set_desired(self.all_desired()).await;
        }
    }

    /// Everything that can go wrong, this many times.
    pub async fn trouble(&mut self, occurrences: usize) {
        self.want(workloads::steady());
        for name in NAMES {
            self.edit(name);
        }
        self.start_agent();
        for _ in 0..occurrences {
            let (few, many) = (self.dice.millis(0, 2_000), self.dice.millis(0, 120_000));
            let time = if self.dice.one_in(2) { few } else { many };
            self.pass(time).await;
            self.occur().await;
        }
    }

    /// Time goes by, and nothing forbidden happens.
    pub async fn pass(&mut self, time: Duration) {
        sleep(time).await;
        self.podman.follow();
        self.settle();
        let machine = self.podman.machine();
        assert!(machine.violations.is_empty(), "{:#?}", machine.violations);
        assert_eq!(crate::panics(), 0, "a task panicked");
    }

    /// From the moment at which it is said to run nothing may touch the workload that nothing happens to.
    fn settle(&mut self) {
        let Some(agent) = &self.agent else { return };
        let id = WorkloadId::parse(workloads::STEADY).expect("a name");
        let said = lock(&agent.board).statuses.get(&id).is_some_and(|status| status.state == State::Running);
        let mut machine = self.podman.machine();
        let whose = id.to_string();
        let mut its = machine.containers.values().filter(|one| Machine::whose(&one.labels).as_ref() == Some(&whose));
        let runs = its.all(|one| one.state == crate::things::State::Running);
        if said && runs && !machine.excused.contains(&whose) {
            machine.settled.insert(whose);
        }
    }

    async fn occur(&mut self) {
        match self.dice.below(24) {
            0..=3 => self.metric(),
            4..=6 => {
                let name = self.dice.pick(&NAMES);
                self.edit(name);
                self.tell_desired().await;
            }
            7..=8 => self.restart_agent().await,
            9 => self.service(Service::Gone),
            10 => self.service(Service::Stuck),
            11 if self.dice.one_in(3) => self.reboot().await,
            12 => self.death(false),
            13 => self.death(true),
            14 => self.images(),
            15 | 16 => self.strangers(),
            17 => {
                let by = self.dice.pick(&[-3_600_000, -3_000, 2_000, 3_600_000]);
                self.podman.machine().note(&format!("the wall clock jumps by {by} ms"));
                self.clock.jump(by);
            }
            18 => self.podman.machine().events.cut(true),
            19 => self.podman.machine().events.cut(false),
            20 if self.dice.one_in(3) => self.podman.machine().events.deafen(),
            21 => self.somebody_removes(),
            _ => self.tell_metrics(),
        }
    }

    pub fn metric_is(&mut self, name: &'static str, value: f64) {
        self.metrics.insert(name, value);
        if let Some(agent) = &self.agent {
            agent.metric(name, Some(value));
        }
    }

    fn metric(&mut self) {
        let name = self.dice.pick(&["x", "y"]);
        let value = self.dice.below(10) as f64;
        self.metrics.insert(name, value);
        // (Told again later, with the others.)
        let unset = name == "y" && self.dice.one_in(4);
        if let Some(agent) = &self.agent {
            agent.metric(name, (!unset).then_some(value));
        }
    }

    fn edit(&mut self, name: &str) {
        self.versions += 1;
        let made = workloads::random(&mut self.dice, name, self.versions);
        if self.dice.one_in(4) {
            self.desired.remove(&made.id);
        } else {
            self.want(made);
        }
    }

    async fn restart_agent(&mut self) {
        self.tally.kills += 1;
        self.kill_agent();
        if self.dice.one_in(3) {
            let name = self.dice.pick(&NAMES);
            self.edit(name);
        }
        let down = self.dice.pick(&[5, 1_000, 60_000]);
        self.pass(Duration::from_millis(down)).await;
        self.start_agent();
    }

    /// Podman goes, or gets stuck, and is back after some time.
    fn service(&mut self, service: Service) {
        let longest = self.dice.pick(&[2_000, 60_000, 3_600_000]);
        let back = self.dice.millis(1, longest);
        self.podman.set_service(service);
        let podman = self.podman.clone();
        tokio::spawn(async move {
            sleep(back).await;
            podman.set_service(Service::Up);
        });
    }

    /// What is in memory is gone.
    pub fn lose_memory(&self) {
        let _ = std::fs::remove_dir_all(&self.runtime_dir);
    }

    async fn reboot(&mut self) {
        self.tally.reboots += 1;
        self.podman.set_service(Service::Gone);
        self.kill_agent();
        let old = self.dice.one_in(2);
        self.podman.machine().note("the machine restarts");
        self.podman.machine().reboot(old);
        self.lose_memory();
        self.clock.reboot();
        let (podman, agent) = (self.dice.millis(0, 20_000), self.dice.millis(0, 20_000));
        let service = self.podman.clone();
        tokio::spawn(async move {
            sleep(podman).await;
            service.set_service(Service::Up);
        });
        self.pass(agent).await;
        self.start_agent();
    }

    fn death(&mut self, infra: bool) {
        let mut machine = self.podman.machine();
        let steady = |labels: &Labels| labels.get(labels::NAME).map(String::as_str) == Some(workloads::STEADY);
        let can = |one: &&crate::things::Container| one.infra == infra && one.state.runs() && !steady(&one.labels);
        let all: Vec<(String, u64)> =
            machine.containers.values().filter(can).map(|one| (one.id.clone(), one.run)).collect();
        if all.is_empty() {
            return;
        }
        let (id, run) = all[self.dice.below(all.len() as u64) as usize].clone();
        machine.die(&id, run, self.dice.pick(&[0, 1, 137, 139]));
        drop(machine);
        self.podman.follow();
    }

    /// A person at the device removes a pod of ours, or one of its containers.
    fn somebody_removes(&mut self) {
        let mut machine = self.podman.machine();
        let ours = |one: &&crate::things::Container| {
            Machine::whose(&one.labels).is_some_and(|whose| !whose.ends_with(workloads::STEADY)) && !one.infra
        };
        let all: Vec<crate::things::Container> = machine.containers.values().filter(ours).cloned().collect();
        if all.is_empty() {
            return;
        }
        let one = all[self.dice.below(all.len() as u64) as usize].clone();
        if self.dice.one_in(2) {
            machine.note(&format!("somebody removes {}", one.name));
            machine.remove_container(&one.id);
        } else {
            machine.note(&format!("somebody removes the pod of {}", one.name));
            machine.remove_by_force(&one.pod);
        }
        drop(machine);
        self.podman.follow();
    }

    fn images(&mut self) {
        let image = self.dice.pick(&workloads::IMAGES);
        let mut machine = self.podman.machine();
        match self.dice.below(3) {
            0 => drop(machine.images.remove(image)),
            1 => drop(machine.images.insert(image.into())),
            _ => machine.registry = !machine.registry,
        }
    }

    /// Pods of nobody and of another agent; one of them may have the name that ours is to have.
    fn strangers(&mut self) {
        self.foreign += 1;
        let number = self.foreign;
        let squats = self.dice.one_in(3);
        let at = self.dice.below(self.desired.len() as u64) as usize;
        let Some(workload) = self.desired.values().nth(at).filter(|_| squats || number.is_multiple_of(2)).cloned()
        else {
            return;
        };
        let name = match squats {
            true => flotta_agent::executor::podman::translate::pod_name(&workload),
            false => format!("stranger-{number}"),
        };
        let mut labels = Labels::new();
        if self.dice.one_in(2) {
            labels.insert(labels::OWNER.into(), "other".into());
            labels.insert(labels::NAMESPACE.into(), workload.id.namespace().into());
            labels.insert(labels::NAME.into(), workload.id.name().into());
            labels.insert(labels::HASH.into(), workload.hash.0.clone());
            labels.insert(labels::CONTAINERS.into(), "1".into());
        }
        let mut machine = self.podman.machine();
        if number.is_multiple_of(3) {
            machine.send_strangers_away();
        } else if !machine.pods.values().any(|pod| pod.name == name) {
            let pod = machine.put_pod(&name, labels.clone());
            let container = machine.container(format!("{name}-c"), &pod, labels, false, &serde_json::Value::Null);
            let id = container.id.clone();
            machine.containers.insert(id.clone(), container);
            machine.run(&id);
        }
    }

    /// Faults cease, and time enough passes.
    pub async fn calm_down(&mut self) {
        {
            let mut machine = self.podman.machine();
            machine.note("faults cease");
            machine.faulty = false;
            machine.registry = true;
            machine.send_strangers_away();
            machine.images.extend(workloads::IMAGES.map(str::to_owned));
            (machine.events.lost, machine.events.twice, machine.events.late) = (0, 0, 0);
        }
        self.podman.set_service(Service::Up);
        if self.agent.is_none() {
            self.start_agent();
        }
        self.tell_metrics();
        for _ in 0..10 {
            self.pass(MINUTE).await;
        }
    }

    pub fn close(&mut self) -> Tally {
        self.kill_agent();
        let machine = self.podman.machine();
        (self.tally.starts, self.tally.faults, self.tally.calls, self.tally.hash) =
            (machine.starts, machine.faults, machine.calls, machine.hash);
        self.tally
    }
}
