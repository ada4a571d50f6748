//! What the simulated podman has: pods, containers, volumes, images; what its calls do to them; what must never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use flotta_agent::executor::podman::labels;
use flotta_agent::executor::podman::transport::Request;
use serde_json::{Value as Json, json};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::events::Events;
use crate::faults::{Fault, Rates};
use crate::things::{Container, Labels, NEVER_MS, Pod, Reply, State, Volume, empty, fail, reply};

/// The mark of the agent under test.
pub const OWNER: &str = "me";
/// No process of this machine has such a number: what the kernel holds a container to is not known.
const FIRST_PID: i64 = 100_000_000;

/// An end that is on its way.
pub struct Life {
    pub container: String,
    pub run: u64,
    pub after: Duration,
    pub code: i64,
    /// By itself: not once faults have ceased.
    pub natural: bool,
}

pub struct Machine {
    pub clock: Clock,
    pub dice: Dice,
    pub rates: Rates,
    pub faulty: bool,
    pub pods: BTreeMap<String, Pod>,
    pub containers: BTreeMap<String, Container>,
    pub volumes: BTreeMap<String, Volume>,
    /// Name and the file that is read for the value.
    pub secrets: BTreeMap<String, PathBuf>,
    pub images: BTreeSet<String>,
    pub registry: bool,
    /// What podman can limit here.
    pub controllers: Vec<&'static str>,
    pub volumes_dir: PathBuf,
    pub events: Events,
    pub lives: Vec<Life>,
    /// Versions that somebody wanted at some time.
    pub ever_desired: BTreeSet<String>,
    /// Workloads that are said to run, and that nothing gives a reason to touch.
    pub settled: BTreeSet<String>,
    /// Workloads that a call was carried out on when its agent had given up: what follows is nobody's fault.
    pub excused: BTreeSet<String>,
    /// Mutating calls of the agent's that it waits for, by workload.
    pub in_flight: BTreeMap<String, Vec<String>>,
    pub violations: Vec<String>,
    /// Faults for certain calls: by their number, or how they begin.
    pub planned: BTreeMap<u64, Fault>,
    pub planned_once: Option<(&'static str, Fault)>,
    /// Of every call whose path has this in it.
    pub planned_always: Option<(&'static str, Fault)>,
    pub starts: u64,
    pub faults: u64,
    pub calls: u64,
    pub hash: u64,
    pub loud: bool,
    ids: u64,
}

impl Machine {
    pub fn new(clock: Clock, dice: Dice, rates: Rates, volumes_dir: PathBuf, loud: bool) -> Machine {
        Machine {
            clock,
            dice,
            rates,
            faulty: true,
            pods: BTreeMap::new(),
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            images: BTreeSet::new(),
            registry: true,
            controllers: vec!["cpu", "memory", "pids"],
            volumes_dir,
            events: Events::default(),
            lives: Vec::new(),
            ever_desired: BTreeSet::new(),
            settled: BTreeSet::new(),
            excused: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            violations: Vec::new(),
            planned: BTreeMap::new(),
            planned_once: None,
            planned_always: None,
            starts: 0,
            faults: 0,
            calls: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            loud,
            ids: 0,
        }
    }

    /// Writes down what happens; the same seed writes the same.
    pub fn note(&mut self, what: &str) {
        let line = format!("{:>9} {what}", self.clock.ms());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.loud {
            eprintln!("{line}");
        }
    }

    pub fn violated(&mut self, what: String) {
        self.note(&format!("VIOLATED: {what}"));
        self.violations.push(what);
    }

    /// The next call that begins like this goes wrong.
    pub fn planned_for(&mut self, call: &'static str, fault: Fault) {
        self.planned_once = Some((call, fault));
    }

    pub fn fault(&mut self, n: u64) -> bool {
        let fault = self.faulty && self.dice.one_in(n);
        self.faults += u64::from(fault);
        fault
    }

    fn draw(&mut self, what: &str) -> String {
        self.ids += 1;
        format!("{:08x}{what}", (self.ids as u32).wrapping_mul(0x9e37_79b1))
    }

    /// The workload that something of ours belongs to.
    pub fn whose(labels: &Labels) -> Option<String> {
        if labels.get(labels::OWNER).map(String::as_str) != Some(OWNER) {
            return None;
        }
        Some(format!("{}/{}", labels.get(labels::NAMESPACE)?, labels.get(labels::NAME)?))
    }

    /// Something is about to be changed: it must be ours. `late`: nobody waits for it any more.
    pub fn touch(&mut self, labels: &Labels, what: &str, late: bool) {
        let Some(whose) = Machine::whose(labels) else {
            return self.violated(format!("{what}, which is not ours: {labels:?}"));
        };
        let harmless = what.starts_with("update");
        if !harmless && late {
            self.settled.remove(&whose);
            self.excused.insert(whose);
        } else if !harmless && self.settled.contains(&whose) {
            self.violated(format!("{what}, of {whose}, which runs well and should"));
        }
    }

    pub fn create_pod(&mut self, body: &Json) -> Reply {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let labels: Labels = serde_json::from_value(body["labels"].clone()).unwrap_or_default();
        if self.pods.values().any(|pod| pod.name == name) {
            return fail(409, &format!("adding pod to state: name \"{name}\" is in use: pod already exists"));
        }
        let id = self.put_pod(&name, labels);
        reply(201, &json!({ "Id": id }))
    }

    pub fn put_pod(&mut self, name: &str, labels: Labels) -> String {
        let id = self.draw("pod");
        self.pods.insert(id.clone(), Pod { name: name.into(), labels: labels.clone() });
        let infra = self.container(format!("{id}-infra"), &id, labels, true, &json!({}));
        self.events.publish("create", &infra, &mut self.dice, &self.clock);
        self.containers.insert(infra.id.clone(), infra);
        id
    }

    pub fn container(&mut self, name: String, pod: &str, labels: Labels, infra: bool, body: &Json) -> Container {
        let texts = |of: &Json, key: &str| -> Vec<String> {
            let all = of.as_array().into_iter().flatten();
            all.filter_map(|one| one[key].as_str().map(str::to_owned)).collect()
        };
        let own = body["resource_limits"]["cpu"]["quota"].as_u64().and_then(|quota| u32::try_from(quota).ok());
        Container {
            id: self.draw(if infra { "infra" } else { "ctr" }),
            name,
            pod: pod.into(),
            labels,
            infra,
            state: State::Created,
            exit_code: 0,
            true_code: None,
            started_ms: NEVER_MS,
            exited_ms: NEVER_MS,
            pid: 0,
            own_quota: own,
            quota: None,
            script: body["entrypoint"][0].as_str().unwrap_or("serve").to_owned(),
            volumes: texts(&body["volumes"], "Name"),
            secrets: body["secret_env"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(_, name)| name.as_str().map(str::to_owned))
                .collect(),
            binds: texts(&body["mounts"], "source").into_iter().map(PathBuf::from).collect(),
            grace: Duration::from_secs(body["stop_timeout"].as_u64().unwrap_or(10)),
            run: 0,
        }
    }

    pub fn create_container(&mut self, body: &Json, late: bool) -> Reply {
        let (name, pod) = (body["name"].as_str().unwrap_or_default(), body["pod"].as_str().unwrap_or_default());
        let Some(of) = self.pods.get(pod).cloned() else { return fail(500, &format!("no pod with ID {pod} found")) };
        self.touch(&of.labels, &format!("a container was made in pod {}", of.name), late);
        if self.containers.values().any(|other| other.name == name) {
            return fail(500, &format!("creating container storage: the container name \"{name}\" is already in use"));
        }
        let image = body["image"].as_str().unwrap_or_default();
        if !self.images.contains(image) {
            return fail(500, &format!("{image}: image not known"));
        }
        let labels: Labels = serde_json::from_value(body["labels"].clone()).unwrap_or_default();
        let made = self.container(name.to_owned(), pod, labels, false, body);
        if let Some(missing) = made.secrets.iter().find(|name| !self.secrets.contains_key(*name)) {
            return fail(500, &format!("no secret with name or id \"{missing}\": no such secret"));
        }
        self.events.publish("create", &made, &mut self.dice, &self.clock);
        let id = made.id.clone();
        self.containers.insert(id.clone(), made);
        reply(201, &json!({ "Id": id, "Warnings": [] }))
    }

    pub fn start(&mut self, id: &str, late: bool) -> Reply {
        let Some(found) = self.containers.get(id).cloned() else { return fail(404, "no such container") };
        if found.state.runs() {
            return empty(304);
        }
        self.touch(&found.labels, &format!("{} was started", found.name), late);
        let infra = self.containers.values().find(|other| other.pod == found.pod && other.infra).cloned();
        match infra {
            None => return fail(500, "its pod has no infra container"),
            Some(infra) if !infra.state.runs() => self.run(&infra.id),
            Some(_) => {}
        }
        if found.script == "bad" {
            return fail(500, "crun: executable file `bad` not found in $PATH: No such file or directory");
        }
        if let Some(missing) = found.binds.iter().find(|path| !path.exists()) {
            let name = missing.file_name().unwrap_or_default().display();
            return fail(500, &format!("statfs …/{name}: no such file or directory"));
        }
        let value = |name: &String| self.secrets.get(name).is_some_and(|file| file.exists());
        if let Some(missing) = found.secrets.iter().find(|name| !value(name)) {
            return fail(500, &format!("{missing}: no secret data with ID"));
        }
        self.run(id);
        empty(204)
    }

    pub fn run(&mut self, id: &str) {
        let now = self.clock.wall().0;
        self.ids += 1;
        let pid = FIRST_PID + self.ids as i64;
        let Some(one) = self.containers.get_mut(id) else { return };
        (one.state, one.started_ms, one.pid, one.quota, one.true_code) =
            (State::Running, now, pid, one.own_quota, None);
        one.run += 1;
        let one = one.clone();
        self.starts += u64::from(!one.infra);
        self.note(&format!("{} runs ({})", one.name, one.script));
        self.events.publish("init", &one, &mut self.dice, &self.clock);
        self.events.publish("start", &one, &mut self.dice, &self.clock);
        self.plan_end(&one);
        self.check_running(&one);
    }

    fn plan_end(&mut self, one: &Container) {
        let (after, code) = match one.script.as_str() {
            _ if one.infra => return,
            "init" => (self.dice.millis(10, 4_000), if self.fault(5) { 3 } else { 0 }),
            "job" => (self.dice.millis(1_000, 60_000), if self.fault(4) { 3 } else { 0 }),
            "serve" if self.fault(self.rates.death) => {
                (self.dice.millis(10, 1_200_000), self.dice.pick(&[0, 0, 1, 3, 137]))
            }
            _ => return,
        };
        self.lives.push(Life { container: one.id.clone(), run: one.run, after, code, natural: true });
    }

    /// At most one pod of a workload runs, and only in a version that was wanted.
    fn check_running(&mut self, started: &Container) {
        let Some(whose) = Machine::whose(&started.labels).filter(|_| !started.infra) else { return };
        let runs =
            |one: &&Container| one.state.runs() && !one.infra && Machine::whose(&one.labels).as_ref() == Some(&whose);
        let pods: BTreeSet<String> = self.containers.values().filter(runs).map(|one| one.pod.clone()).collect();
        if pods.len() > 1 {
            self.violated(format!("{whose} runs in {} pods at once", pods.len()));
        }
        let hash = started.labels.get(labels::HASH).cloned().unwrap_or_default();
        if !self.ever_desired.contains(&hash) {
            self.violated(format!("{} runs in a version that nobody ever wanted", started.name));
        }
    }

    pub fn die(&mut self, id: &str, run: u64, code: i64) {
        let now = self.clock.wall().0;
        let Some(one) = self.containers.get_mut(id).filter(|one| one.run == run && one.state.runs()) else { return };
        (one.state, one.exit_code, one.true_code, one.exited_ms, one.pid) = (State::Exited, code, Some(code), now, 0);
        let one = one.clone();
        self.note(&format!("{} ends with {code}", one.name));
        self.events.publish("died", &one, &mut self.dice, &self.clock);
        self.events.publish("cleanup", &one, &mut self.dice, &self.clock);
    }

    /// TERM: how long until it is gone; `Err`: it does not obey.
    pub fn term(&mut self, id: &str) -> Option<(u64, Result<Duration, Duration>)> {
        let obeys = !self.fault(8);
        let after = self.dice.millis(5, 800);
        let one = self.containers.get_mut(id).filter(|one| one.state.runs())?;
        one.state = State::Stopping;
        let (run, grace, code) = (one.run, one.grace, self.dice.pick(&[0, 143]));
        if obeys && after < grace {
            self.lives.push(Life { container: id.into(), run, after, code, natural: false });
            return Some((run, Ok(after)));
        }
        Some((run, Err(grace)))
    }

    pub fn update(&mut self, id: &str, body: &Json, late: bool) -> Reply {
        let Some(found) = self.containers.get(id).cloned() else { return fail(404, "no such container") };
        self.touch(&found.labels, &format!("update of {}", found.name), late);
        if !self.controllers.contains(&"cpu") || !found.state.runs() {
            return fail(500, "`/usr/bin/crun update` failed: exit status 1");
        }
        // One that lands when nobody waits any more is seen in the kernel's files, which this machine does not have.
        if let Some(one) = self.containers.get_mut(id).filter(|_| !late) {
            one.quota = match body["cpu"]["quota"].as_i64() {
                // As crun does it under systemd: not lifted, but the least there is.
                Some(-1) => Some(1_000),
                // More than any machine has.
                Some(1_000_000_000..) | None => None,
                Some(quota) => u32::try_from(quota).ok(),
            };
        }
        Reply { status: 201, body: format!("{id}\n").into_bytes() }
    }

    /// Removes what does not run any more of a pod; all of it, or only its containers.
    pub fn drop_pod(&mut self, id: &str, whole: bool) {
        let gone: Vec<Container> = self.containers.values().filter(|one| one.pod == id).cloned().collect();
        for one in gone.into_iter().filter(|one| whole || !one.infra) {
            self.containers.remove(&one.id);
            self.events.publish("remove", &one, &mut self.dice, &self.clock);
        }
        if whole {
            self.pods.remove(id);
        }
    }

    pub fn remove_container(&mut self, id: &str) {
        let Some(run) = self.containers.get(id).map(|one| one.run) else { return };
        self.die(id, run, 137);
        if let Some(one) = self.containers.remove(id) {
            self.events.publish("remove", &one, &mut self.dice, &self.clock);
        }
    }

    pub fn remove_by_force(&mut self, pod: &str) {
        let inside: Vec<(String, u64)> =
            self.containers.values().filter(|one| one.pod == pod).map(|one| (one.id.clone(), one.run)).collect();
        inside.iter().for_each(|(id, run)| self.die(id, *run, 137));
        self.drop_pod(pod, true);
    }

    pub fn create_volume(&mut self, body: &Json) -> Reply {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        if self.volumes.contains_key(&name) {
            return fail(500, &format!("volume with name {name} already exists: volume already exists"));
        }
        let labels: Labels = serde_json::from_value(body["Label"].clone()).unwrap_or_default();
        let dir = self.volumes_dir.join(&name);
        let _ = std::fs::create_dir_all(&dir);
        self.volumes.insert(name.clone(), Volume { labels, dir });
        reply(201, &self.volume(&name))
    }

    pub fn volume(&self, name: &str) -> Json {
        let Some(Volume { labels, dir }) = self.volumes.get(name) else { return Json::Null };
        json!({ "Name": name, "Driver": "local", "Mountpoint": dir, "Labels": labels })
    }

    pub fn remove_volume(&mut self, name: &str) -> Reply {
        let Some(volume) = self.volumes.get(name).cloned() else { return fail(404, "no such volume") };
        if volume.labels.get(labels::OWNER).map(String::as_str) != Some(OWNER) {
            self.violated(format!("volume {name} was removed, which is not ours"));
        }
        if self.containers.values().any(|one| one.volumes.iter().any(|used| used == name)) {
            return fail(409, &format!("volume {name} is being used by a container: volume is being used"));
        }
        let _ = std::fs::remove_dir_all(&volume.dir);
        self.volumes.remove(name);
        empty(204)
    }

    pub fn create_secret(&mut self, request: &Request) -> Reply {
        let text = |name: &str| request.query.iter().find(|(key, _)| *key == name).map(|(_, text)| text.clone());
        let name = text("name").unwrap_or_default();
        let options: Json = serde_json::from_str(&text("driveropts").unwrap_or_default()).unwrap_or_default();
        let file = options["lookup"].as_str().and_then(|lookup| lookup.strip_prefix("cat '")?.strip_suffix('\''));
        let (Some("shell"), Some(file)) = (text("driver").as_deref(), file) else {
            self.violated(format!("a secret that podman would keep: {request:?}"));
            return fail(500, "no");
        };
        if self.secrets.contains_key(&name) {
            return fail(500, &format!("{name}: secret name in use"));
        }
        self.secrets.insert(name, file.into());
        reply(200, &json!({ "ID": "s" }))
    }

    pub fn remove_secret(&mut self, name: &str) -> Reply {
        if !name.starts_with(&format!("flotta-{OWNER}-")) {
            self.violated(format!("secret {name} was removed, which is not ours"));
        }
        if self.containers.values().any(|one| one.secrets.iter().any(|used| used == name)) {
            self.violated(format!("secret {name} was removed while a container has it"));
        }
        if self.secrets.remove(name).is_some() { empty(204) } else { fail(404, "no such secret") }
    }

    /// What is not ours is taken away by its owners.
    pub fn send_strangers_away(&mut self) {
        let theirs = |pod: &Pod| Machine::whose(&pod.labels).is_none();
        let ids: Vec<String> = self.pods.iter().filter(|(_, pod)| theirs(pod)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.containers.retain(|_, one| one.pod != id);
            self.pods.remove(&id);
        }
    }

    /// The machine starts anew. `old`: podman 4.3 says `created` of what ran, a newer one `exited`, with the code and the
    /// time of an end before that.
    pub fn reboot(&mut self, old: bool) {
        self.settled.clear();
        self.excused.clear();
        self.events.forget_all();
        for one in self.containers.values_mut() {
            if one.state.runs() {
                one.state = if old { State::Created } else { State::Exited };
                one.true_code = None;
            }
            (one.pid, one.quota) = (0, None);
        }
    }
}
