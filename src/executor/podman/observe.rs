//! From what podman lists to what the scheduler knows: pods of ours, and what each one does. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::labels;
use super::wire::Listed;
use crate::executor::{Down, End, Phase};
use crate::model::id::WorkloadId;
use crate::model::time::Wall;
use crate::model::workload::SpecHash;

/// A label that says more is not believed.
const SECRETS_MAX: usize = 100_000;

/// A pod of ours as it was listed.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Podman's id; never used twice.
    pub pod_id: String,
    /// Its name.
    pub name: String,
    /// Whose copy.
    pub id: WorkloadId,
    /// Of which version.
    pub hash: SpecHash,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Its podman volumes.
    pub volumes: Vec<String>,
    /// How many secrets of podman's it has.
    pub secrets: usize,
    /// What the machine does not enforce of its spec.
    pub warnings: Vec<String>,
    /// The container that holds its namespaces, if it is there.
    pub infra: Option<Listed>,
    /// How many containers it has when it is whole.
    pub expected: usize,
    /// In the order of the spec.
    pub init: Vec<Part>,
    /// In the order of the spec.
    pub main: Vec<Part>,
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in the pod.
    pub name: String,
    /// Its own CPU limit in µs per 100 ms.
    pub own_cpu: Option<u32>,
    /// As it was listed.
    pub at: Listed,
}

/// How a container that has ended did so; asked for apart, since podman's list does not say it.
pub type Details = BTreeMap<(String, i64), Detail>;

/// More about an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The kernel ended it for want of memory.
    pub oom_killed: bool,
    /// Why podman could not start it.
    pub error: String,
    /// The last lines of its output.
    pub tail: String,
    /// When it ended, to the millisecond.
    pub at: Option<Wall>,
    /// What of ours ended it, a probe or a hook, and why: a failure, whatever its exit code.
    pub ended_by: Option<String>,
}

/// Puts the containers of a list together to pods; what carries our mark and cannot be ours is left alone.
#[must_use]
pub fn pods(listed: Vec<Listed>) -> Vec<Pod> {
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    for container in listed.into_iter().filter(|container| !container.pod.is_empty()) {
        let label = |name| container.label(name).unwrap_or_default().to_owned();
        let (namespace, name, hash) = (label(labels::NAMESPACE), label(labels::NAME), label(labels::HASH));
        let Ok(id) = WorkloadId::try_new(&namespace, &name) else { continue };
        if hash.is_empty() || container.id.is_empty() {
            continue;
        }
        let pod = pods.entry(container.pod.clone()).or_insert_with(|| Pod {
            pod_id: container.pod.clone(),
            name: container.pod_name.clone(),
            id,
            hash: SpecHash(hash),
            grace: Duration::ZERO,
            volumes: Vec::new(),
            secrets: 0,
            warnings: Vec::new(),
            infra: None,
            expected: 0,
            init: Vec::new(),
            main: Vec::new(),
        });
        if container.is_infra {
            pod.expected = label(labels::CONTAINERS).parse().unwrap_or(usize::MAX);
            pod.grace = Duration::from_secs(label(labels::GRACE).parse().unwrap_or(30));
            pod.volumes = label(labels::VOLUMES).split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect();
            pod.secrets = label(labels::SECRETS).parse().unwrap_or(0).min(SECRETS_MAX);
            pod.warnings = label(labels::WARNINGS).lines().map(str::to_owned).collect();
            pod.infra = Some(container);
            continue;
        }
        let role = label(labels::ROLE);
        let part = Part { name: label(labels::CONTAINER), own_cpu: label(labels::CPU).parse().ok(), at: container };
        let into = if role.starts_with("init.") { &mut pod.init } else { &mut pod.main };
        into.push(part);
    }
    let place = |part: &Part| -> usize {
        let role = part.at.label(labels::ROLE).unwrap_or_default();
        role.split_once('.').and_then(|(_, place)| place.parse().ok()).unwrap_or(usize::MAX)
    };
    for pod in pods.values_mut() {
        pod.init.sort_by_key(place);
        pod.main.sort_by_key(place);
    }
    pods.into_values().collect()
}

impl Pod {
    /// All its containers but the one of podman's own.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.init.iter().chain(&self.main)
    }

    /// Nothing is missing of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.infra.is_some() && self.init.len().saturating_add(self.main.len()) >= self.expected
    }

    /// Its namespaces are there, or come back with the first container that is started.
    #[must_use]
    pub fn has_namespaces(&self) -> bool {
        self.infra.as_ref().is_some_and(|infra| !infra.ended())
    }

    /// What is down of it can be started again in place.
    #[must_use]
    pub fn in_place(&self) -> bool {
        self.is_whole()
            && self.has_namespaces()
            && self.failed_init().is_none()
            && !self.is_being_removed()
            && !self.parts().any(|part| part.at.lost)
    }

    fn is_being_removed(&self) -> bool {
        self.parts().map(|part| &part.at).chain(&self.infra).any(Listed::is_being_removed)
    }

    fn failed_init(&self) -> Option<&Part> {
        self.init.iter().find(|part| part.at.ended() && part.at.exit_code != 0)
    }

    /// When it was started; zero: not yet.
    #[must_use]
    pub fn started_at(&self) -> Wall {
        let seconds = self.main.iter().chain(&self.init).map(|part| part.at.started_at).filter(|at| *at > 0).max();
        Wall(seconds.unwrap_or(0).saturating_mul(1000))
    }

    /// Its containers that have ended and of which more should be known.
    pub fn ended(&self) -> impl Iterator<Item = &Part> {
        self.parts().filter(|part| part.at.ended())
    }

    /// The init container whose turn it is, and those after it; empty: all are done.
    #[must_use]
    pub fn init_to_do(&self) -> &[Part] {
        let done = self.init.iter().take_while(|part| part.at.ended() && part.at.exit_code == 0).count();
        self.init.get(done..).unwrap_or_default()
    }

    /// What it does. `stopped`: somebody of ours told it to stop.
    #[must_use]
    pub fn phase(&self, details: &Details, stopped: bool) -> Phase {
        let runs = self.parts().any(|part| part.at.runs());
        if !runs && self.is_being_removed() {
            return Phase::Ended(End { how: "its removal was cut off".into(), ..cut_off_start() });
        }
        if stopped && !runs {
            return Phase::Ended(self.end(details, true));
        }
        if !self.is_whole() {
            return if runs { Phase::Degraded(vec![missing(self)]) } else { Phase::Ended(cut_off_start()) };
        }
        if let Some(part) = self.failed_init().filter(|_| !runs) {
            let end = end_of(part, details, false);
            return Phase::Ended(End { how: format!("init container {}: {}", part.name, end.how), ..end });
        }
        let never = |part: &&Part| !part.at.runs() && !part.at.ended();
        let waiting = self.main.iter().filter(never).count();
        if waiting > 0 {
            return match self.init_to_do().first().filter(|part| part.at.runs()) {
                Some(part) => Phase::Starting(format!(
                    "init container {} runs since {}",
                    part.name,
                    Wall(part.at.started_at.saturating_mul(1000)).clock()
                )),
                None => Phase::Unfinished,
            };
        }
        let mut down: Vec<Down> = self
            .main
            .iter()
            .filter(|part| part.at.ended())
            .map(|part| Down { name: part.name.clone(), end: end_of(part, details, false) })
            .collect();
        if down.len() == self.main.len() {
            return Phase::Ended(self.end(details, false));
        }
        if let Some(infra) = self.infra.as_ref().filter(|infra| infra.ended()) {
            let at = Wall(infra.exited_at.max(0).saturating_mul(1000));
            let how = "the pod's own container, which holds its network, is gone".to_owned();
            let end = End { code: None, at, how, tail: String::new(), cut_off: false, stopped: false };
            down.push(Down { name: "infra".into(), end });
        }
        if down.is_empty() { Phase::Running } else { Phase::Degraded(down) }
    }

    /// The end of all of it: the first bad one speaks for the pod.
    fn end(&self, details: &Details, stopped: bool) -> End {
        let ends: Vec<(&Part, End)> = self.main.iter().map(|part| (part, end_of(part, details, stopped))).collect();
        let last = ends.iter().map(|(_, end)| end.at).max().unwrap_or_default();
        let bad = ends.iter().find(|(part, end)| part.at.ended() && end.code != Some(0));
        match bad.or(ends.first()) {
            Some((part, end)) if ends.len() > 1 => {
                End { at: last, how: format!("container {}: {}", part.name, end.how), ..end.clone() }
            }
            Some((_, end)) => End { at: last, ..end.clone() },
            None => End { at: last, stopped, ..cut_off_start() },
        }
    }
}

/// A start that nobody finished: not an end of its own.
fn cut_off_start() -> End {
    End {
        code: None,
        at: Wall(0),
        how: "its start was cut off".into(),
        tail: String::new(),
        cut_off: false,
        stopped: true,
    }
}

/// Somebody removed containers of it.
fn missing(pod: &Pod) -> Down {
    let there = pod.init.len().saturating_add(pod.main.len());
    let how = match &pod.infra {
        Some(_) => format!("only {there} of its {} containers are there: somebody removed the others", pod.expected),
        None => "the pod's own container, which holds its network, was removed".to_owned(),
    };
    Down { name: "missing".into(), end: End { code: None, stopped: false, how, ..cut_off_start() } }
}

fn end_of(part: &Part, details: &Details, stopped: bool) -> End {
    let code = i32::try_from(part.at.exit_code).ok().filter(|code| (0..=255).contains(code));
    let detail = details.get(&(part.at.id.clone(), part.at.exited_at)).cloned().unwrap_or_default();
    if part.at.lost {
        let how = "its process is gone, and podman does not know it".to_owned();
        return End { stopped, how, ..cut_off_start() };
    }
    let at = detail.at.unwrap_or(Wall(part.at.exited_at.max(0).saturating_mul(1000)));
    let how = match code {
        _ if detail.oom_killed => "killed: it needed more memory than its limit".to_owned(),
        _ if !detail.error.is_empty() => detail.error.clone(),
        Some(code @ 129..=192) => format!("killed by {}", crate::executor::shell::run::signal_name(code - 128)),
        Some(code) => format!("exit code {code}"),
        None => "nobody knows how".to_owned(),
    };
    // Told to, and so it may well have said 0.
    let (code, how) = match &detail.ended_by {
        Some(why) if !stopped => (code.filter(|code| *code != 0), format!("{why}; it was ended: {how}")),
        _ => (code, how),
    };
    End { code, at, how, tail: detail.tail, cut_off: false, stopped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(role: &str, state: &str, code: i64) -> Listed {
        let labels = BTreeMap::from(
            [
                (labels::NAMESPACE, "default"),
                (labels::NAME, "w"),
                (labels::HASH, "abc"),
                (labels::CONTAINERS, "3"),
                (labels::CONTAINER, role),
                (labels::ROLE, role),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        Listed {
            id: format!("id-{role}"),
            pod: "p".into(),
            pod_name: "w-abc".into(),
            state: state.into(),
            exit_code: code,
            exited: state == "exited",
            exited_at: if state == "exited" { 100 } else { -62_135_596_800 },
            started_at: if state == "created" { -62_135_596_800 } else { 50 },
            is_infra: role.is_empty(),
            labels: Some(labels),
            ..Listed::default()
        }
    }

    fn phase(infra: &str, init: (&str, i64), a: (&str, i64), b: (&str, i64)) -> String {
        let mut all = vec![
            listed("main.1", b.0, b.1),
            listed("", infra, 0),
            listed("init.0", init.0, init.1),
            listed("main.0", a.0, a.1),
        ];
        all.retain(|container| container.state != "-");
        let pods = pods(all);
        match pods.first().map(|pod| (pod.phase(&Details::new(), false), pod.in_place())) {
            None => "none".into(),
            Some((Phase::Starting(_), _)) => "starting".into(),
            Some((Phase::Unfinished, _)) => "unfinished".into(),
            Some((Phase::Running, _)) => "running".into(),
            Some((Phase::Degraded(down), place)) => {
                let names: Vec<&str> = down.iter().map(|one| one.name.as_str()).collect();
                format!("degraded {} {place}", names.join(","))
            }
            Some((Phase::Ended(end), place)) => format!("ended {:?} {} {place}", end.code, end.stopped),
        }
    }

    #[test]
    fn what_podman_5_says_of_a_pod_after_a_power_cut_is_no_end() {
        let cut_off = |role: &str| Listed { exited: false, ..listed(role, "exited", 0) };
        let infra = Listed { exited: false, ..listed("", "exited", 0) };
        let pods = pods(vec![infra, cut_off("init.0"), cut_off("main.0"), cut_off("main.1")]);
        let pod = pods.first().expect("a pod");
        assert_eq!((pod.phase(&Details::new(), false), pod.in_place()), (Phase::Unfinished, true));
    }

    #[test]
    fn every_combination_of_container_states_is_one_phase() {
        let (made, runs, well) = (("created", 0), ("running", 0), ("exited", 0));
        let bad = |code| ("exited", code);
        for (infra, init, a, b, expected) in [
            ("created", ("-", 0), ("-", 0), ("-", 0), "ended None true false"),
            ("created", made, made, ("-", 0), "ended None true false"),
            ("created", made, made, made, "unfinished"),
            ("running", runs, made, made, "starting"),
            ("running", ("paused", 0), made, made, "starting"),
            ("running", well, made, made, "unfinished"),
            ("running", bad(3), made, made, "ended Some(3) false false"),
            ("running", well, runs, made, "unfinished"),
            ("running", well, runs, runs, "running"),
            ("running", well, runs, ("stopping", 0), "running"),
            ("running", well, runs, bad(3), "degraded main.1 true"),
            ("running", well, well, bad(3), "ended Some(3) false true"),
            ("running", well, well, well, "ended Some(0) false true"),
            ("running", well, bad(137), well, "ended Some(137) false true"),
            ("exited", well, runs, runs, "degraded infra false"),
            ("exited", well, well, well, "ended Some(0) false false"),
            ("created", well, made, made, "unfinished"),
            ("running", well, ("unknown", -1), runs, "degraded main.0 true"),
            ("running", well, runs, ("-", 0), "degraded missing false"),
            ("-", well, runs, runs, "degraded missing false"),
            ("running", well, ("removing", 0), well, "ended None true false"),
            ("removing", well, well, well, "ended None true false"),
            ("running", well, ("removing", 0), runs, "degraded main.0 false"),
        ] {
            assert_eq!(phase(infra, init, a, b), expected, "{infra} {init:?} {a:?} {b:?}");
        }
    }
}
