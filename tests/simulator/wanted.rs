//! What somebody wants of the device: drawn by chance, written as people and servers write it.

use std::fmt::Write;

use serde_json::{Value, json};

use flotta_agent::executor::ExecutorId;

use crate::dice::Dice;

/// The metrics of the device's sensors.
pub const METRICS: [&str; 5] = ["m0", "m1", "m2", "m3", "room.t"];
/// Profiles with their conditions; the last one is the server's.
pub const PROFILES: [(&str, &[&str]); 3] =
    [("load", &["low", "slow", "unset"]), ("room", &["warm", "cold"]), ("remote", &["asked"])];

/// When it runs, if not all the time.
#[derive(Clone, Debug, PartialEq)]
pub struct CronLine {
    pub line: &'static str,
    pub catch_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryLine {
    Unsaid,
    Constant(u64),
    /// Initial, multiplier, randomization, most.
    Growing(u64, f64, f64, u64),
}

/// Conditions by name, with their CPU quota.
pub type Conditions = Vec<(&'static str, Option<u32>)>;

/// One workload as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Tells this version from all others, in its spec.
    pub marker: u64,
    pub by: ExecutorId,
    /// The profile, and the conditions it names with their CPU quota.
    pub gates: Vec<(&'static str, Conditions)>,
    pub restart: Option<&'static str>,
    pub cron: Option<CronLine>,
    pub retry: RetryLine,
    pub priority: i32,
    pub containers: usize,
    /// Its spec says nothing that could be run.
    pub invalid: bool,
}

/// What a version does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    RunsOn,
    /// Ends by itself after that many milliseconds, with that code.
    Ends(u64, i32),
}

impl Wanted {
    pub fn draw(dice: &mut Dice, marker: u64, by: ExecutorId, cron: bool) -> Wanted {
        let mut gates = Vec::new();
        for (profile, names) in PROFILES {
            if !dice.one_in(4) {
                continue;
            }
            let quota = |dice: &mut Dice| dice.one_in(3).then(|| *dice.pick(&[10_000, 20_000, 50_000]));
            let named = names.iter().filter(|_| dice.one_in(2)).copied().collect::<Vec<_>>();
            let named = if dice.one_in(2) { named } else { names[..1].to_vec() };
            gates.push((profile, named.into_iter().map(|name| (name, quota(dice))).collect()));
        }
        let retry = match dice.below(6) {
            0 => RetryLine::Constant(dice.between(1, 60)),
            1 | 2 => {
                let initial = dice.between(1, 10);
                let randomization = *dice.pick(&[0.0, 0.5]);
                RetryLine::Growing(initial, *dice.pick(&[1.5, 2.0, 10.0]), randomization, initial + dice.between(0, 50))
            }
            _ => RetryLine::Unsaid,
        };
        let line = *dice.pick(&["*/5 * * * *", "*/1 * * * *", "17 * * * *", "30 2 * * *", "0 */6 * * *"]);
        let cron = (cron && dice.one_in(5)).then(|| CronLine { line, catch_up: dice.one_in(2) });
        let restart = match &cron {
            Some(_) => None,
            None => *dice.pick(&[None, None, Some("Always"), Some("OnFailure"), Some("Never")]),
        };
        Wanted {
            marker,
            by,
            gates,
            restart,
            cron,
            retry,
            priority: dice.between(0, 2) as i32,
            containers: if by == ExecutorId::Podman && dice.one_in(3) { 2 } else { 1 },
            invalid: dice.one_in(20),
        }
    }

    /// The same for the same version, whoever starts it.
    pub fn behaviour(marker: u64, cron: bool) -> Behaviour {
        let mut dice = Dice::new(marker.wrapping_mul(0x1357_9bdf));
        match dice.below(8) {
            _ if cron => Behaviour::Ends(dice.between(200, 90_000), dice.one_in(4).into()),
            0 => Behaviour::Ends(dice.between(50, 3_000), 1),
            1 => Behaviour::Ends(dice.between(1_000, 900_000), 0),
            2 => Behaviour::Ends(dice.between(300_000, 3_000_000), 7),
            _ => Behaviour::RunsOn,
        }
    }

    fn pod_spec(&self) -> Value {
        let image = format!("localhost/x:v{}", self.marker);
        let containers: Vec<Value> =
            (0..self.containers).map(|nth| json!({ "name": format!("c{nth}"), "image": image })).collect();
        let mut spec = json!({ "containers": containers });
        if self.invalid {
            spec = json!({ "containers": [] });
        }
        if let Some(restart) = self.restart {
            spec["restartPolicy"] = restart.into();
        }
        spec
    }

    /// As somebody writes it into a file.
    pub fn yaml(&self, name: &str) -> String {
        let mut text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n"
        );
        let mut line = |line: String| writeln!(text, "  {line}").expect("written");
        if self.priority != 0 {
            line(format!("priority: {}", self.priority));
        }
        if let Some(cron) = &self.cron {
            line(format!("cron: \"{}\"", cron.line));
            // Not that of the machine the simulator runs on.
            line("cronTimeZone: Europe/Berlin".into());
            if cron.catch_up {
                line("cronCatchUp: true".into());
            }
        }
        match self.retry {
            RetryLine::Unsaid => {}
            RetryLine::Constant(every) => line(format!("retry: {{ constantBackoff: {{ periodSeconds: {every} }} }}")),
            RetryLine::Growing(initial, multiplier, randomization, most) => line(format!(
                "retry: {{ exponentialBackoff: {{ initialIntervalSeconds: {initial}, multiplier: {multiplier:?}, randomizationFactor: {randomization:?}, maxIntervalSeconds: {most} }} }}"
            )),
        }
        if !self.gates.is_empty() {
            line(format!("profiles: {}", json!(self.gates_json("cpu"))));
        }
        if self.by == ExecutorId::Podman {
            line("type: pod".into());
            line(format!("pod: {{ spec: {} }}", self.pod_spec()));
        } else {
            line("type: shell".into());
            let mut shell =
                json!({ "command": ["x", format!("v{}", self.marker)], "terminationGracePeriodSeconds": 5 });
            if self.invalid {
                shell = json!({});
            }
            if let Some(restart) = self.restart {
                shell["restartPolicy"] = restart.into();
            }
            line(format!("shell: {shell}"));
        }
        text
    }

    fn gates_json(&self, cpu: &str) -> Vec<Value> {
        let condition = |(name, quota): &(&str, Option<u32>)| match (quota, cpu) {
            (None, _) => json!({ "name": name }),
            (Some(quota), "cpu") => json!({ "name": name, "cpu": quota }),
            (Some(quota), _) => json!({ "name": name, "cpu": { "cpu": quota } }),
        };
        self.gates
            .iter()
            .map(|(profile, conditions)| {
                json!({ "name": profile, "conditions": conditions.iter().map(condition).collect::<Vec<_>>() })
            })
            .collect()
    }

    /// As a server sends it; pods alone.
    pub fn json(&self, name: &str) -> Value {
        let mut wire = json!({
            "name": name, "namespace": "default", "kind": "pod",
            "specification": self.pod_spec().to_string(),
            "profiles": self.gates_json("server"),
        });
        if let Some(cron) = &self.cron {
            wire["cron"] = cron.line.into();
        }
        wire
    }
}

/// The device's own profiles. `variant` shifts a threshold.
pub fn device_yaml(variant: u64) -> String {
    let limit = 4 + variant % 3;
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: {{ name: toto }}
spec:
  profiles:
    - name: load
      conditions:
        - {{ name: low, expression: \"m0 < {limit}\" }}
        - {{ name: slow, expression: \"m0 >= 5 && m1 < 5\", for: 3s, hold: 2s }}
        - {{ name: unset, expression: \"m2 == nil\", hold: 1s }}
    - name: room
      conditions:
        - {{ name: warm, expression: \"room.t >= {limit} || m3 > 8\" }}
        - {{ name: cold, expression: \"room.t < 2\", for: 10s }}
"
    )
}
