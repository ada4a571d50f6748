//! Who steers the device: sensors, and people who write manifests at any moment.

use std::collections::{BTreeMap, BTreeSet};

use flotta_agent::executor::ExecutorId;
use flotta_agent::model::metric::MetricUpdate;
use std::time::Duration;

use crate::dice::Dice;
use crate::due::Due;
use crate::tally::{Done, Fault};
use crate::trace::What;
use crate::wanted::{METRICS, Wanted, device_yaml};
use crate::world::World;

/// The names of the workloads in files; those from the fifth on are pods. The server has one of the last name too.
pub const NAMES: [&str; 8] = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "both"];
const DEVICE: &str = "device.yaml";
/// A value of a metric, on average.
const METRIC_EVERY: u64 = 40_000;
const EDIT_EVERY: u64 = 900_000;
const COMMAND_EVERY: u64 = 7_200_000;

/// A file of the directory.
#[derive(Clone, Debug)]
pub struct File {
    pub text: String,
    /// What it says; `None`: it is broken, or not about a workload.
    pub wanted: Option<Wanted>,
    pub readable: bool,
    pub broken: bool,
    pub version: u64,
}

/// A metric as the agent has it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub value: Option<f64>,
    /// In the simulation's time.
    pub expires: Option<u64>,
}

#[derive(Debug)]
pub struct Operator {
    pub dice: Dice,
    pub files: BTreeMap<String, File>,
    pub directory_gone: bool,
    /// Every version that was ever written, by anybody.
    pub written: BTreeSet<(String, u64)>,
    pub markers: u64,
    versions: u64,
    variant: u64,
    /// What the agent of now was told.
    pub held: BTreeMap<&'static str, Held>,
    burst: u64,
}

pub fn is_pod(name: &str) -> bool {
    matches!(name, "w4" | "w5" | "w6" | "both")
}

impl Operator {
    pub fn new(dice: Dice) -> Operator {
        Operator {
            dice,
            files: BTreeMap::new(),
            directory_gone: false,
            written: BTreeSet::new(),
            markers: 0,
            versions: 0,
            variant: 0,
            held: BTreeMap::new(),
            burst: 0,
        }
    }

    pub fn draw(&mut self, name: &str, by: ExecutorId) -> Wanted {
        self.markers += 1;
        self.written.insert((name.to_owned(), self.markers));
        Wanted::draw(&mut self.dice, self.markers, by, true)
    }

    fn path_of(&self, name: &str) -> Option<String> {
        [format!("{name}.yaml"), format!("moved-{name}.yaml")].into_iter().find(|path| self.files.contains_key(path))
    }

    fn put(&mut self, path: &str, text: String, wanted: Option<Wanted>, broken: bool) {
        self.versions += 1;
        let file = File { text, wanted, readable: true, broken, version: self.versions };
        self.files.insert(path.to_owned(), file);
    }

    /// A new version of a workload.
    pub fn write(&mut self, name: &str) -> String {
        let path = self.path_of(name).unwrap_or_else(|| format!("{name}.yaml"));
        let other = self.dice.one_in(15);
        let by = if is_pod(name) != other { ExecutorId::Podman } else { ExecutorId::Shell };
        let wanted = self.draw(name, by);
        let broken = wanted.invalid;
        self.put(&path, wanted.yaml(name), Some(wanted).filter(|_| !broken), broken);
        path
    }

    fn device(&mut self) -> String {
        self.variant += 1;
        self.put(DEVICE, device_yaml(self.variant), None, false);
        DEVICE.to_owned()
    }

    /// Every file says something again.
    pub fn repair(&mut self) -> Vec<String> {
        let sick = |file: &&File| file.broken || !file.readable;
        let sick: Vec<String> =
            self.files.iter().filter(|(_, file)| sick(file)).map(|(path, _)| path.clone()).collect();
        for path in &sick {
            if path == DEVICE {
                self.device();
                continue;
            }
            let name = path.trim_start_matches("moved-").trim_end_matches(".yaml").to_owned();
            while self.files.get(path).is_none_or(|file| file.broken || !file.readable) {
                self.write(&name);
            }
        }
        sick
    }
}

impl World {
    pub fn begin_operating(&mut self) {
        self.operator.device();
        for name in NAMES {
            if self.operator.dice.below(8) < 7 {
                self.operator.write(name);
            }
        }
        self.later(5, Due::Metric);
        self.later(1_000, Due::Edit);
        self.later(10_000, Due::ServerEdit);
        self.later(COMMAND_EVERY / 2, Due::Command);
    }

    pub fn metric_changes(&mut self) {
        let operator = &mut self.operator;
        let name = *operator.dice.pick(&METRICS);
        let value = (!operator.dice.one_in(10)).then(|| operator.dice.below(10) as f64);
        let ttl = operator.dice.one_in(6).then(|| operator.dice.between(500, 120_000));
        self.metric(name, value, ttl);
        let operator = &mut self.operator;
        if operator.burst > 0 {
            operator.burst -= 1;
        } else if operator.dice.one_in(60) {
            operator.burst = operator.dice.between(3, 40);
        }
        let after = match operator.burst {
            0 => operator.dice.around(METRIC_EVERY),
            _ => operator.dice.between(5, 300),
        };
        if self.busy {
            self.later(after, Due::Metric);
        }
    }

    /// A sensor says something; an agent that is not there does not hear it.
    pub fn metric(&mut self, name: &'static str, value: Option<f64>, ttl: Option<u64>) {
        self.tally.done(Done::Metric);
        let now = self.clock.read();
        let ms = self.clock.now;
        let Some(agent) = &mut self.agent else { return };
        let told = |value: Option<f64>| value.map_or(u64::MAX, |value| value as u64);
        self.trace.note(ms, What::Number(name, told(value)));
        self.operator.held.insert(name, Held { value, expires: ttl.map(|ttl| ms + ttl) });
        let update =
            MetricUpdate { name: name.into(), value, unit: None, timestamp: None, ttl: ttl.map(Duration::from_millis) };
        let changed = agent.brain.metric(update, now);
        if changed.truth || changed.deadline {
            self.turn_after(0);
        }
    }

    pub fn edit(&mut self) {
        let operator = &mut self.operator;
        let name = *operator.dice.pick(&NAMES);
        let known = operator.path_of(name);
        let mut touched = Vec::new();
        let what = operator.dice.below(14);
        match (what, known) {
            (0 | 1, Some(path)) => {
                operator.files.remove(&path);
                touched.push(path);
            }
            (2 | 3, Some(path)) if self.faulty => {
                let file = &operator.files[&path];
                let text = format!("{}\n\tbroken: [\n", file.text);
                operator.put(&path, text, None, true);
                touched.push(path);
                self.tally.fault(Fault::ManifestBroken);
            }
            (4, Some(path)) if self.faulty => {
                operator.versions += 1;
                let version = operator.versions;
                if let Some(file) = operator.files.get_mut(&path) {
                    (file.readable, file.version) = (false, version);
                }
                touched.push(path);
                self.tally.fault(Fault::ManifestUnreadable);
            }
            (5, Some(path)) => {
                let to = if path.starts_with("moved") { format!("{name}.yaml") } else { format!("moved-{name}.yaml") };
                if let Some(file) = operator.files.remove(&path) {
                    operator.put(&to, file.text, file.wanted, file.broken);
                }
                touched.extend([path, to]);
            }
            (6, _) => touched.push(operator.device()),
            (7 | 8, Some(path)) => {
                // Other gates, the same version.
                if let Some(wanted) = operator.files[&path].wanted.clone() {
                    let fresh = Wanted::draw(&mut operator.dice, wanted.marker, wanted.by, true);
                    let wanted = Wanted { gates: fresh.gates, priority: fresh.priority, ..wanted };
                    operator.put(&path, wanted.yaml(name), Some(wanted), false);
                }
                touched.push(path);
            }
            (9, Some(path)) => {
                let File { text, wanted, broken, .. } = operator.files[&path].clone();
                operator.put(&path, text, wanted, broken);
                touched.push(path);
            }
            _ => touched.push(operator.write(name)),
        }
        self.tally.done(Done::Edit);
        self.note(What::Of("a file is edited", touched.join(", "), what.to_string()));
        self.files_changed(touched);
        let every = self.operator.dice.around(EDIT_EVERY);
        if self.busy {
            self.later(every, Due::Edit);
        }
    }
}
