//! Which containers are probed, and what is known of each. Part of the executor's table; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::care::{Care, PodCare};
use crate::executor::podman::observe::{Part, Pod};
use crate::executor::{Handle, Unready};
use crate::model::time::{Mono, Now, Wall};
use crate::probes::Failure;
use crate::probes::prober::{Kind, Meaning, Prober};

/// Ends by a probe or a hook that are remembered; of more the oldest containers' are forgotten.
const ENDED_MAX: usize = 1_000;

/// What is known of probes and hooks.
#[derive(Debug, Default)]
pub(in crate::executor::podman) struct Probing {
    pods: BTreeMap<Handle, Arc<PodCare>>,
    /// By the container's id.
    runs: BTreeMap<String, Run>,
    /// Containers that this agent started, and that were not seen running since.
    fresh: BTreeSet<String>,
    /// Containers whose hook after the start is not over.
    held: BTreeSet<String>,
    /// Containers that a probe or hook ends just now.
    pub(super) ending: BTreeSet<String>,
    /// Pods that are told to stop.
    resting: BTreeSet<Handle>,
    /// Why runs of containers were ended, by the container's id and when it had started.
    ended: BTreeMap<(String, i64), String>,
    /// Draws [`Run::number`].
    drawn: u64,
}

/// One run of a container that is probed.
#[derive(Debug)]
struct Run {
    handle: Handle,
    name: String,
    pid: i64,
    started_at: i64,
    /// No other run has it.
    number: u64,
    care: Arc<Care>,
    prober: Prober,
}

/// A try that is due.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) handle: Handle,
    pub(super) container: String,
    pub(super) pid: i64,
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) care: Arc<Care>,
    pub(super) host_network: bool,
}

/// A container that is to be ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) handle: Handle,
    pub(super) container: String,
    pub(super) name: String,
    pub(super) pid: i64,
    pub(super) started_at: i64,
    pub(super) care: Arc<Care>,
    pub(super) pod: Arc<PodCare>,
    /// Between TERM and KILL.
    pub(super) grace: Duration,
    /// Which probe, or hook, failed, how often, and why.
    pub(super) why: String,
}

impl Probing {
    /// Takes what a pod asks for; what is known of it already stays.
    pub(in crate::executor::podman) fn know(&mut self, handle: &Handle, care: Option<PodCare>) {
        if let Some(care) = care {
            self.pods.entry(handle.clone()).or_insert_with(|| Arc::new(care));
        }
        self.resting.remove(handle);
    }

    /// It could not be started.
    pub(in crate::executor::podman) fn unknow(&mut self, handle: &Handle) {
        self.pods.remove(handle);
        self.resting.remove(handle);
    }

    pub(super) fn pod(&self, handle: &Handle) -> Option<Arc<PodCare>> {
        self.pods.get(handle).cloned()
    }

    /// It is being started: its first look begins from the beginning, and not before its hook is over.
    pub(super) fn hold(&mut self, container: &str) {
        self.fresh.insert(container.to_owned());
        self.held.insert(container.to_owned());
    }

    /// It has started, or could not be.
    pub(super) fn release(&mut self, container: &str, started: bool) {
        self.held.remove(container);
        if !started {
            self.fresh.remove(container);
        }
    }

    /// Nothing of it is probed: it is told to stop.
    pub(in crate::executor::podman) fn rest(&mut self, handle: &Handle) {
        self.resting.insert(handle.clone());
        self.runs.retain(|_, run| run.handle != *handle);
    }

    /// It could not be stopped.
    pub(in crate::executor::podman) fn wake(&mut self, handle: &Handle) {
        self.resting.remove(handle);
    }

    /// It is gone.
    pub(in crate::executor::podman) fn forget(&mut self, handle: &Handle, pod: &Pod) {
        self.rest(handle);
        self.resting.remove(handle);
        self.pods.remove(handle);
        for part in pod.parts() {
            self.fresh.remove(&part.at.id);
            self.held.remove(&part.at.id);
            self.ended.retain(|(id, _), _| *id != part.at.id);
        }
    }

    /// What was looked at: runs that are new are probed from now on, those that are over are not any more. `stopped`: it
    /// was told to.
    pub(in crate::executor::podman) fn seen(&mut self, handle: &Handle, pod: &Pod, stopped: bool, now: Now) {
        let Some(care) = self.pods.get(handle).cloned() else { return };
        let rests = stopped || self.resting.contains(handle);
        for part in &pod.main {
            let id = &part.at.id;
            let same = |run: &Run| run.pid == part.at.pid && run.started_at == part.at.started_at;
            let known = self.runs.get(id).is_some_and(same);
            if rests || !part.at.runs() || part.at.pid <= 0 || !known {
                self.runs.remove(id);
            }
            if rests || known || part.at.state != "running" || part.at.pid <= 0 || self.held.contains(id) {
                continue;
            }
            let adopted = !self.fresh.remove(id);
            let Some(care) = care.containers.get(&part.name).filter(|care| !care.probes.is_empty()) else { continue };
            self.drawn = self.drawn.saturating_add(1);
            let since = if adopted { since(part, now) } else { now.mono };
            let run = Run {
                handle: handle.clone(),
                name: part.name.clone(),
                pid: part.at.pid,
                started_at: part.at.started_at,
                number: self.drawn,
                prober: Prober::new(&care.paces(), since, now.mono, adopted),
                care: care.clone(),
            };
            self.runs.insert(id.clone(), run);
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Mono> {
        self.runs.values().filter_map(|run| run.prober.next()).min()
    }

    /// What is due, up to so many, those first that have waited longest.
    pub(super) fn take(&mut self, now: Mono, most: usize) -> Vec<Try> {
        let mut due: Vec<(Mono, String)> = self
            .runs
            .iter()
            .filter_map(|(id, run)| Some((run.prober.next().filter(|at| *at <= now)?, id.clone())))
            .collect();
        due.sort();
        let mut tries = Vec::new();
        for (_, id) in due.into_iter().take(most) {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            let Some(kind) = run.prober.take(now) else { continue };
            tries.push(Try {
                handle: run.handle.clone(),
                container: id,
                pid: run.pid,
                number: run.number,
                kind,
                care: run.care.clone(),
                host_network: self.pods.get(&run.handle).is_some_and(|pod| pod.host_network),
            });
        }
        tries
    }

    /// What a try came to. Of a run that is over, or is another by now: nothing. `spare`: nothing is ended.
    pub(super) fn result(
        &mut self,
        of: &Try,
        result: Result<(), Failure>,
        now: Now,
        spare: bool,
    ) -> (Meaning, Option<Ending>) {
        let run = self.runs.get_mut(&of.container).filter(|run| run.number == of.number);
        let (Some(run), Some(pod)) = (run, self.pods.get(&of.handle)) else { return (Meaning::Nothing, None) };
        if of.kind != Kind::Readiness && result.as_ref().is_err_and(|failed| failed.own) {
            run.prober.unasked(of.kind, now.mono);
            return (Meaning::Nothing, None);
        }
        let meaning = run.prober.result(of.kind, result.map_err(|failed| failed.why), now);
        if spare && let Meaning::End(_) = meaning {
            run.prober.kept();
            return (Meaning::Changed, None);
        }
        let ending = match &meaning {
            Meaning::End(why) => Some(Ending {
                handle: run.handle.clone(),
                container: of.container.clone(),
                name: run.name.clone(),
                pid: run.pid,
                started_at: run.started_at,
                grace: run.care.probe(of.kind).and_then(|probe| probe.grace).unwrap_or(pod.grace),
                care: run.care.clone(),
                pod: pod.clone(),
                why: why.clone(),
            }),
            Meaning::Nothing | Meaning::Changed => None,
        };
        (meaning, ending)
    }

    /// It could not be ended.
    pub(super) fn spared(&mut self, ending: &Ending, now: Mono) {
        self.ended.remove(&(ending.container.clone(), ending.started_at));
        let run = self.runs.get_mut(&ending.container).filter(|run| run.started_at == ending.started_at);
        if let Some(run) = run {
            run.prober.spared(now);
        }
    }

    /// Remembers why a run, which began then, is ended: its end is a failure, whatever its exit code.
    pub(in crate::executor::podman) fn note_ended(&mut self, container: String, started_at: i64, why: String) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_first();
        }
        self.ended.insert((container, started_at), why);
    }

    /// Why the run that is over, or its last one, was ended, if a probe or a hook did.
    pub(in crate::executor::podman) fn why_ended(&self, part: &Part) -> Option<&String> {
        self.ended.get(&(part.at.id.clone(), part.at.started_at))
    }

    /// What of a pod is not ready, in the order of its containers.
    pub(in crate::executor::podman) fn unready(&self, handle: &Handle, pod: &Pod) -> Vec<Unready> {
        let of = |part: &Part| {
            if part.at.runs() && self.held.contains(&part.at.id) {
                let why = "its postStart hook is not over".to_owned();
                return Some(Unready { container: part.name.clone(), why, starting: true });
            }
            let run = self.runs.get(&part.at.id).filter(|run| run.handle == *handle && run.pid == part.at.pid)?;
            let found = run.prober.unready()?;
            Some(Unready { container: part.name.clone(), why: found.why, starting: found.starting })
        };
        pod.main.iter().filter_map(of).collect()
    }
}

/// When it started, by the clock that is never set; podman says it in whole seconds.
fn since(part: &Part, now: Now) -> Mono {
    let ago = now.wall.since(Wall(part.at.started_at.max(0).saturating_mul(1000)));
    Mono(now.mono.0.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
