//! Workloads of every kind that a test of trouble runs, what should run of them, and what really does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode};
use serde_json::Value;

use super::device::{Device, lines};
use super::processes;

/// What podman has of the fleet: the states of each workload's containers, and how many pods there are.
pub type Pods = (BTreeMap<String, Vec<String>>, usize);

pub struct Member {
    pub name: String,
    pub pod: bool,
    /// The metric that opens its gate, by being 1.
    pub gate: Option<&'static str>,
    /// Its manifest is edited, or taken away and put back, as the test goes.
    pub edited: bool,
    /// Each edit is one more.
    pub version: u64,
    pub here: bool,
    /// Starts that had their reason: those before the device was unlocked.
    pub settled: usize,
}

pub struct Fleet<'a> {
    pub members: Vec<Member>,
    /// Metrics that are gates, and whether each is open.
    pub gates: BTreeMap<&'static str, bool>,
    pub locked: bool,
    /// What the pods run; without it there are none.
    image: Option<String>,
    look: Box<dyn Fn() -> Pods + 'a>,
}

/// What is not as it should be.
#[derive(Debug, Default)]
pub struct Wrong {
    pub lost: Vec<String>,
    pub doubles: Vec<String>,
    pub orphans: Vec<String>,
    /// What the agent says that is not so.
    pub said: Vec<String>,
}

impl Wrong {
    pub fn nothing(&self) -> bool {
        self.lost.is_empty() && self.doubles.is_empty() && self.orphans.is_empty() && self.said.is_empty()
    }
}

const CRON: &str = "each-minute";
const FAILS: &str = "always-fails";

fn out(device: &Device) -> PathBuf {
    device.path("out")
}

impl<'a> Fleet<'a> {
    /// Shell runs; and pods, where there is an image and somebody who looks at podman.
    pub fn new(device: &Device, pods: Option<(String, Box<dyn Fn() -> Pods + 'a>)>) -> Fleet<'a> {
        std::fs::create_dir(out(device)).expect("made");
        // Pods write there too, as whoever their podman is.
        std::fs::set_permissions(out(device), std::fs::Permissions::from_mode(0o777)).expect("opened");
        let member = |name: &str, pod, gate, edited| Member {
            name: format!("{name}-{}", device.tag()),
            pod,
            gate,
            edited,
            version: 0,
            here: true,
            settled: 0,
        };
        let mut members: Vec<Member> = (0..4).map(|n| member(&format!("steady{n}"), false, None, false)).collect();
        members.extend((0..4).map(|n| member(&format!("gated{n}"), false, Some("x"), false)));
        members.extend((0..2).map(|n| member(&format!("edited{n}"), false, None, true)));
        let (image, look) = match pods {
            Some((image, look)) => (Some(image), look),
            None => (None, Box::new(Pods::default) as Box<dyn Fn() -> Pods>),
        };
        if image.is_some() {
            members.push(member("steady-pod0", true, None, false));
            members.push(member("steady-pod1", true, None, false));
            members.push(member("gated-pod", true, Some("y"), false));
            members.push(member("edited-pod", true, None, true));
        }
        let fleet = Fleet { members, gates: BTreeMap::from([("x", false), ("y", false)]), locked: false, image, look };
        let device_yaml = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: test-{} }}\nspec:\n  profiles:\n    - {{ name: x, conditions: [ {{ name: \"on\", expression: \"x == 1\" }} ] }}\n    - {{ name: y, conditions: [ {{ name: \"on\", expression: \"y == 1\" }} ] }}\n",
            device.tag()
        );
        device.manifest("device.yaml", &device_yaml);
        for n in 0..fleet.members.len() {
            let fifo = out(device).join(format!("fifo-{}", fleet.members[n].name));
            rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a fifo");
            std::fs::set_permissions(&fifo, std::fs::Permissions::from_mode(0o666)).expect("opened");
            fleet.write(device, n);
        }
        // A run of three seconds each minute; and one that fails at once, and waits 1, 2, 4, and then 8 seconds each time.
        let dir = out(device).display().to_string();
        let once = |name: &str, how: &str, script: &str| {
            let text = format!(
                "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n  {how}\n  shell:\n    env: {{ FLOTTA_TEST: {} }}\n    script: '{script}'\n    terminationGracePeriodSeconds: 1\n",
                device.tag()
            );
            device.manifest(&format!("{name}.yaml"), &text);
        };
        let lock = format!("exec 9>>{dir}/lock-cron; flock -n 9 || echo cron >> {dir}/doubles");
        once(CRON, "cron: \"* * * * *\"", &format!("{lock}; date +%d-%H:%M >> {dir}/cron; exec sleep 3"));
        let growing = "retry: { exponentialBackoff: { initialIntervalSeconds: 1, multiplier: 2, randomizationFactor: 0, maxIntervalSeconds: 8 } }";
        once(FAILS, growing, &format!("date +%s >> {dir}/fails; exit 3"));
        fleet
    }

    /// Puts the manifest of a member as it is now, or takes it away.
    pub fn write(&self, device: &Device, n: usize) {
        let member = &self.members[n];
        let (name, version) = (&member.name, member.version);
        let file = format!("{name}.yaml");
        if !member.here {
            return device.delete(&file);
        }
        let gate = member.gate.map_or(String::new(), |gate| format!("  profiles: [ {{ name: {gate} }} ]\n"));
        let dir = if member.pod { "/out".to_owned() } else { out(device).display().to_string() };
        let told = format!("echo {version} >> {dir}/starts-{name}");
        // A run that lives holds a lock; busybox has no flock, so a container reads a fifo, which another one would write to.
        let begin = if member.pod {
            format!(
                "{told}; trap \"exit 0\" TERM; timeout 1 /bin/sh -c \"echo x > {dir}/fifo-{name}\" && echo {name} >> {dir}/doubles; exec 9<>{dir}/fifo-{name}"
            )
        } else {
            format!("{told}; exec 9>>{dir}/lock-{name}; flock -n 9 || echo {name} >> {dir}/doubles")
        };
        let tag = device.tag();
        let what = if let (true, Some(image)) = (member.pod, &self.image) {
            let whose = if device.podman == device.path("no-podman.sock") { "  rootless: true\n" } else { "" };
            format!(
                "  type: pod\n{whose}  pod: {{ spec: {{ terminationGracePeriodSeconds: 5, volumes: [ {{ name: out, hostPath: {{ path: \"{}\" }} }} ], containers: [ {{ name: c, image: \"{image}\", command: [ /bin/sh, -c, '{begin}; sleep 100000 9>&- & wait' ], env: [ {{ name: FLOTTA_TEST, value: \"{tag}\" }} ], volumeMounts: [ {{ name: out, mountPath: /out }} ] }} ] }} }}\n",
                out(device).display()
            )
        } else {
            format!(
                "  type: shell\n  shell:\n    env: {{ FLOTTA_TEST: {tag}, FLOTTA_N: {name} }}\n    script: '{begin}; exec sleep 100000'\n    terminationGracePeriodSeconds: 1\n"
            )
        };
        let text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n{gate}{what}"
        );
        device.manifest(&file, &text);
    }

    pub fn wants(&self, member: &Member) -> bool {
        member.here && !self.locked && member.gate.is_none_or(|gate| self.gates[gate])
    }

    /// Versions that were started, the last one last.
    pub fn starts(&self, device: &Device, member: &Member) -> Vec<String> {
        lines(&out(device).join(format!("starts-{}", member.name)))
    }

    /// The times at which the one with a schedule ran, in minutes; twice in the same minute is a double.
    pub fn cron_runs(&self, device: &Device) -> Vec<String> {
        lines(&out(device).join("cron"))
    }

    /// Of the one that always fails: the seconds from one start to the next.
    pub fn waits(&self, device: &Device) -> Vec<u64> {
        let at: Vec<u64> = lines(&out(device).join("fails")).iter().filter_map(|line| line.parse().ok()).collect();
        at.windows(2).map(|two| two[1].saturating_sub(two[0])).collect()
    }

    /// Compares what should run with the processes, with podman, and with what the agent says.
    pub fn wrong(&self, device: &Device) -> Wrong {
        let mut wrong = Wrong::default();
        let mut shells: BTreeMap<String, usize> = BTreeMap::new();
        for pid in processes::with_env("FLOTTA_TEST", &device.tag()).keys() {
            if let Some(name) = processes::env_of(*pid, "FLOTTA_N") {
                *shells.entry(name).or_default() += 1;
            }
        }
        let (mut containers, pods) = (self.look)();
        let said = device.agent().get("/api/v1/workloads");
        for member in &self.members {
            let wanted = self.wants(member);
            let (count, how) = if member.pod {
                let mut states = containers.remove(&member.name).unwrap_or_default();
                // What has ended in a locked device stays as it is.
                states.retain(|state| !(self.locked && state == "exited"));
                // One that does not run counts too: it is to be removed.
                if wanted && states.len() == 1 && states[0] != "running" {
                    wrong.lost.push(format!("{} is {}", member.name, states[0]));
                }
                (states.len(), format!("{states:?}"))
            } else {
                (shells.remove(&member.name).unwrap_or(0), String::new())
            };
            let newest = self.starts(device, member).last() == Some(&member.version.to_string());
            match (count, wanted) {
                (0, true) => wrong.lost.push(format!("{} does not run", member.name)),
                (1, true) if !newest => {
                    wrong.lost.push(format!("{} is not of version {}", member.name, member.version))
                }
                (1.., false) => wrong.orphans.push(format!("{} {how}", member.name)),
                (2.., true) => wrong.doubles.push(format!("{} {count} times {how}", member.name)),
                _ => {}
            }
            let state = said.as_array().and_then(|all| all.iter().find(|w| w["name"] == *member.name));
            let fits = match (state, wanted) {
                (Some(w), true) => w["state"] == "running" && w["reason"] != "Stopping",
                (Some(w), false) => member.here && w["state"] == "inactive",
                (None, _) => !member.here,
            };
            if !fits {
                wrong.said.push(format!("{}: {}", member.name, state.unwrap_or(&Value::Null)));
            }
        }
        wrong.orphans.extend(shells.keys().chain(containers.keys()).map(|name| format!("{name}, whatever it is")));
        let wanted = |pod| self.members.iter().filter(|m| m.pod == pod && self.wants(m)).count();
        if pods > wanted(true) && !self.locked {
            wrong.orphans.push(format!("{pods} pods where {} are wanted", wanted(true)));
        }
        let shims = processes::shims_below(&device.path("state"), &[CRON, FAILS]);
        if shims > wanted(false) {
            wrong.orphans.push(format!("{shims} shims where {} are wanted", wanted(false)));
        }
        if device.agent().get("/api/v1/device")["locked"] != self.locked {
            wrong.said.push(format!("locked: {}", !self.locked));
        }
        let doubles = lines(&out(device).join("doubles"));
        wrong.doubles.extend(doubles.into_iter().map(|name| format!("{name} started while it ran")));
        wrong
    }

    /// Of what has no gate, each version is started once and never again: these were.
    pub fn restarted(&self, device: &Device) -> Vec<String> {
        let ungated = self.members.iter().filter(|member| member.gate.is_none());
        let twice = |member: &&Member| {
            let mut starts = self.starts(device, member).split_off(member.settled);
            let all = starts.len();
            starts.sort();
            starts.dedup();
            starts.len() < all
        };
        ungated.filter(twice).map(|member| format!("{}: {:?}", member.name, self.starts(device, member))).collect()
    }
}
