//! What really is on the device: runs of the shell and pods of podman, whoever knows about them.

use std::collections::{BTreeMap, BTreeSet};

use flotta_agent::executor::{Down, End, ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::{Payload, SpecHash, Workload};

use crate::clock::Clock;

/// The executors that there are.
pub const EXECUTORS: [ExecutorId; 2] = [ExecutorId::Shell, ExecutorId::Podman];

/// A run or a pod.
#[derive(Clone, Debug)]
pub struct Thing {
    pub id: WorkloadId,
    pub hash: SpecHash,
    pub by: ExecutorId,
    pub phase: Phase,
    pub started_at: Wall,
    pub quota: Quota,
    /// What the operator wrote into its spec: tells versions apart without any hash.
    pub marker: u64,
    /// Of a pod.
    pub containers: usize,
    /// In the simulation's time, when it was started last, and when it ended last.
    pub started: u64,
    pub ended: Option<u64>,
    /// A stop was reported that did not take place.
    pub lied: bool,
}

impl Thing {
    pub fn runs(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_))
    }
}

/// The device.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub things: BTreeMap<Handle, Thing>,
    handles: u64,
    looks: u64,
    /// Executors that answer nobody.
    pub away: BTreeSet<ExecutorId>,
    /// Removals that found it running although no stop was lied about.
    pub removed_running: Option<WorkloadId>,
}

/// The version that is written in a workload's spec: the second word of its command, the tag of its image.
pub fn marker(workload: &Workload) -> Option<u64> {
    let text = match &workload.payload {
        Payload::Shell(spec) => spec.argv.get(1)?.clone(),
        Payload::Pod(job) => job.spec.containers.first()?.image.rsplit_once(':')?.1.to_owned(),
        Payload::Kube(_) | Payload::Ansible(_) | Payload::Forbidden(_) | Payload::Invalid(_) => return None,
    };
    text.strip_prefix('v')?.parse().ok()
}

fn containers(workload: &Workload) -> usize {
    match &workload.payload {
        Payload::Pod(job) => job.spec.containers.len(),
        _ => 1,
    }
}

/// How something ends.
pub fn end(code: Option<i32>, clock: &Clock) -> End {
    let how = code.map_or_else(|| "cut off".to_owned(), |code| format!("exit code {code}"));
    End { code, at: clock.wall(), how, tail: String::new(), cut_off: false, stopped: false }
}

impl Machine {
    /// As an executor tells it now.
    pub fn look(&mut self, handle: &Handle) -> Option<Instance> {
        self.looks += 1;
        let look = self.looks;
        self.things.get(handle).map(|thing| instance(handle, thing, look))
    }

    pub fn list(&mut self, by: ExecutorId) -> Vec<Instance> {
        self.looks += 1;
        let look = self.looks;
        let ours = self.things.iter().filter(|(_, thing)| thing.by == by);
        ours.map(|(handle, thing)| instance(handle, thing, look)).collect()
    }

    pub fn start(&mut self, workload: &Workload, quota: Option<u32>, phase: Phase, clock: &Clock) -> Handle {
        self.handles += 1;
        let by = ExecutorId::of(workload.kind, workload.rootless);
        let pod = by == ExecutorId::Podman;
        let handle = Handle(format!("{:06}{}", self.handles, if pod { 'p' } else { 's' }).into());
        let thing = Thing {
            id: workload.id.clone(),
            hash: workload.hash.clone(),
            by,
            phase,
            started_at: clock.wall(),
            quota: if pod { Quota::InForce(quota) } else { Quota::Fixed },
            marker: marker(workload).unwrap_or(0),
            containers: containers(workload),
            started: clock.now,
            ended: None,
            lied: false,
        };
        self.things.insert(handle.clone(), thing);
        handle
    }

    /// All of it ends; how it ended, now or before.
    pub fn end(&mut self, handle: &Handle, end: End, clock: &Clock) -> Option<End> {
        let thing = self.things.get_mut(handle)?;
        if let Phase::Ended(before) = &thing.phase {
            return Some(before.clone());
        }
        thing.phase = Phase::Ended(end.clone());
        thing.ended = Some(clock.now);
        Some(end)
    }

    /// Something of it ends by itself: all of it, or one container of several. Whether that changed anything.
    pub fn die(&mut self, handle: &Handle, code: i32, clock: &Clock) -> bool {
        let Some(thing) = self.things.get_mut(handle) else { return false };
        match &mut thing.phase {
            Phase::Running if thing.containers > 1 => {
                thing.phase = Phase::Degraded(vec![Down { name: "c0".into(), end: end(Some(code), clock) }]);
                true
            }
            Phase::Running | Phase::Degraded(_) => self.end(handle, end(Some(code), clock), clock).is_some(),
            Phase::Starting(_) | Phase::Unfinished | Phase::Ended(_) => false,
        }
    }

    /// What is down of it runs again, or its start is finished.
    pub fn resume(&mut self, handle: &Handle, clock: &Clock) -> bool {
        let Some(thing) = self.things.get_mut(handle) else { return false };
        if !thing.runs() {
            (thing.started_at, thing.started) = (clock.wall(), clock.now);
        }
        thing.phase = Phase::Running;
        true
    }

    pub fn remove(&mut self, handle: &Handle) {
        if let Some(thing) = self.things.remove(handle)
            && thing.runs()
            && !thing.lied
        {
            self.removed_running = Some(thing.id);
        }
    }

    /// The power goes: nothing runs, and all of it is still known after the boot.
    pub fn power_cut(&mut self, clock: &Clock) {
        for thing in self.things.values_mut().filter(|thing| thing.runs()) {
            // A start that stood still goes on standing still.
            if thing.phase == Phase::Unfinished {
                continue;
            }
            let at = Wall(0);
            thing.phase = Phase::Ended(End { cut_off: true, at, ..end(None, clock) });
            thing.ended = Some(clock.now);
        }
    }

    pub fn running(&self) -> impl Iterator<Item = (&Handle, &Thing)> {
        self.things.iter().filter(|(_, thing)| thing.runs())
    }
}

fn instance(handle: &Handle, thing: &Thing, look: u64) -> Instance {
    Instance {
        id: thing.id.clone(),
        hash: thing.hash.clone(),
        handle: handle.clone(),
        phase: thing.phase.clone(),
        started_at: thing.started_at,
        warnings: Vec::new(),
        look,
        quota: thing.quota,
        in_place: thing.by == ExecutorId::Podman,
        unready: Vec::new(),
    }
}
