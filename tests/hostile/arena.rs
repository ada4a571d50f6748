//! Where attacks take place: an agent with a gated workload, the good client, and what is checked around every attack.

use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::device::{Agent, Device, deadline, until_true};
use super::dice::number;
use super::good::{Good, now};
use super::memory::{Bound, Memory, Mib, reset_peak};
use super::mqtt::{self, Client};

const DEVICE: &str = r#"
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: { name: toto }
spec: { profiles: [ { name: p, conditions: [ { name: c, expression: "go == 1 || x < 0" } ] } ] }
"#;
/// Marked, so that a test that fails leaves nothing running.
fn workload(device: &Device) -> String {
    let tag = device.tag();
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: w }}\nspec:\n  type: shell\n  profiles: [ {{ name: p }} ]\n  shell: {{ script: 'exec sleep 100000', env: {{ FLOTTA_TEST: {tag} }}, terminationGracePeriodSeconds: 1 }}\n"
    )
}

/// Messages that the good client gets before and after an attack, undisturbed.
const CALM: u64 = 100;
/// Lines of log that an attack of any size may cause: a device's disk is small.
const LOG_LINES: u64 = 1_000;

pub struct Arena {
    attack: &'static str,
    device: Device,
    good: Good,
    before: Memory,
    refused: BTreeMap<String, f64>,
    logged: u64,
}

/// How long the good client is to be disturbed, in its messages (200 per second).
pub fn messages() -> u64 {
    number("HOSTILE_MESSAGES", if is_full() { 2_000 } else { 400 })
}

/// One of two sizes: for every run, and with HOSTILE_FULL.
pub fn size(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}

fn is_full() -> bool {
    number("HOSTILE_FULL", 0) != 0
}

impl Arena {
    /// An agent, a good client that has been there for a while, and the agent's memory as it is before the attack.
    pub fn open(attack: &'static str) -> Arena {
        let mut device = Device::new();
        device.manifest("device.yaml", DEVICE);
        device.manifest("w.yaml", &workload(&device));
        device.start();
        more_files();
        let agent = device.agent();
        let good = Good::start(&agent.mqtt);
        decides(agent);
        good.gets(CALM);
        reset_peak(agent.pid());
        let (before, refused, logged) = (Memory::of(agent.pid()), refused(agent), agent.logged());
        Arena { attack, device, good, before, refused, logged }
    }

    pub fn agent(&self) -> &Agent {
        self.device.agent()
    }

    pub fn broker(&self) -> &str {
        &self.agent().mqtt
    }

    pub fn good(&self) -> &Good {
        &self.good
    }

    /// What was refused since the attack began.
    pub fn refused(&self, what: &str) -> f64 {
        refused(self.agent()).get(what).unwrap_or(&0.0) - self.refused.get(what).unwrap_or(&0.0)
    }

    /// One value of `GET /metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.agent().request("GET", "/metrics", &[], b"");
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Runs attackers, each in a thread, until the good client got `messages()` and the agent decided meanwhile; what they
    /// counted.
    pub fn attackers(&self, count: usize, attack: impl Fn(usize, &AtomicBool) -> u64 + Sync) -> u64 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..count)
                .map(|n| {
                    scope.spawn({
                        let (attack, stop) = (&attack, &stop);
                        move || attack(n, stop)
                    })
                })
                .collect();
            // However this ends, the attackers do.
            let _stop = OnDrop(&stop);
            self.good.gets(messages());
            decides(self.agent());
            stop.store(true, Relaxed);
            running.into_iter().map(|thread| thread.join().expect("an attacker does not panic")).sum()
        })
    }

    /// The attack is over. Whatever `what` names was refused, and counted.
    pub fn close(self, bound: Bound, what: &[&str], note: &str) {
        let agent = self.device.agent();
        self.good.gets(CALM);
        newcomer(agent, deadline());
        decides(agent);
        let figures = self.good.finish();
        let peak = Memory::of(agent.pid()).peak;
        let settled = self.before.private + bound.after;
        let settles = comes_true(deadline(), || Memory::of(agent.pid()).private < settled);
        let after = Memory::of(agent.pid());
        let logged = agent.logged() - self.logged;
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
        println!(
            "\n| {} | {note} | {} | {} | {} | {} | {} | {} | {} | {} | {logged} |",
            self.attack,
            figures.sent,
            figures.lost,
            ms(figures.p50),
            ms(figures.p99),
            ms(figures.max),
            Mib(self.before.resident),
            Mib(peak),
            Mib(after.resident),
        );
        let now = refused(agent);
        let new: BTreeMap<_, _> = now
            .iter()
            .map(|(name, count)| (name, count - self.refused.get(name).unwrap_or(&0.0)))
            .filter(|(_, more)| *more > 0.0)
            .collect();
        println!("  refused: {new:?}");
        let most = self.before.resident + bound.peak;
        let mut wrong = Vec::new();
        let mut holds = |is_so: bool, or_else: String| {
            if !is_so {
                wrong.push(or_else)
            }
        };
        holds(figures.lost == 0, format!("the good client lost {} messages", figures.lost));
        holds(figures.max < deadline(), format!("a message of the good client took {} ms", ms(figures.max)));
        holds(peak < most, format!("{} MiB resident at the peak, the bound is {}", Mib(peak), Mib(most)));
        holds(
            settles,
            format!("{} MiB of its own after the attack, the bound is {}", Mib(after.private), Mib(settled)),
        );
        holds(logged < LOG_LINES, format!("{logged} lines of log, the bound is {LOG_LINES}"));
        for what in what {
            holds(new.keys().any(|name| name == what), format!("{what} was not counted as refused"));
        }
        holds(agent.request("GET", "/healthz", &[], b"").0 == 200, "it is not healthy".to_owned());
        assert!(wrong.is_empty(), "{}: {}", self.attack, wrong.join("; "));
    }
}

/// Tells threads to end, however this one does.
pub struct OnDrop<'a>(pub &'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Looks again and again, for what nothing tells.
pub fn comes_true(within: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let begin = now();
    loop {
        if is_true() {
            return true;
        }
        if now() - begin > within {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A good client that was not there before is let in, subscribes and gets its own message; in how many tries.
pub fn newcomer(agent: &Agent, within: Duration) -> usize {
    let (mut tries, mut last) = (0, String::new());
    let is_in = comes_true(within, || {
        tries += 1;
        visit(&agent.mqtt).map_err(|why| last = why.to_string()).is_ok()
    });
    assert!(is_in, "no way in for a newcomer in {tries} tries within {within:?}: {last}");
    tries
}

fn visit(broker: &str) -> std::io::Result<()> {
    let mut client = Client::connect(broker, "newcomer")?;
    let codes = client.subscribe(&["new/comer"], 1)?;
    if codes != [1] {
        return Err(std::io::Error::other(format!("its subscription was answered with {codes:?}")));
    }
    client.send(&mqtt::publish(2, 7, "new/comer", b"hello"))?;
    let (mut acknowledged, mut got) = (false, false);
    while !(acknowledged && got) {
        match client.read()? {
            (mqtt::PUBACK, _) => acknowledged = true,
            (0x32, body) => got = mqtt::published(0x32, &body).is_some_and(|(.., payload)| payload == b"hello"),
            other => return Err(std::io::Error::other(format!("a newcomer got {other:?}"))),
        }
    }
    client.send(mqtt::DISCONNECT)
}

/// A metric by MQTT starts the workload, one by HTTP stops it.
pub fn decides(agent: &Agent) {
    let send = || -> std::io::Result<()> {
        let mut client = Client::connect(&agent.mqtt, "sensor")?;
        client.send(&mqtt::publish(2, 1, "flotta/metrics/go", b"1"))?;
        client.read_until(mqtt::PUBACK)?;
        client.send(mqtt::DISCONNECT)
    };
    until_true("a sensor's metric is taken", || send().is_ok());
    agent.until_state("w", "running");
    agent.set("go", 0.0);
    agent.until_state("w", "inactive");
}

/// `flotta_broker_refused_total` by what.
fn refused(agent: &Agent) -> BTreeMap<String, f64> {
    let (code, text) = agent.request("GET", "/metrics", &[], b"");
    assert_eq!(code, 200, "{text}");
    let lines = text.lines().filter_map(|line| line.strip_prefix("flotta_broker_refused_total{what=\""));
    lines
        .filter_map(|line| line.split_once("\"} "))
        .filter_map(|(what, n)| Some((what.to_owned(), n.parse().ok()?)))
        .collect()
}

/// The retained object that the agent keeps under a topic.
pub fn retained(agent: &Agent, topic: &str) -> Value {
    let mut client = Client::connect(&agent.mqtt, "reader").expect("let in");
    assert_eq!(client.subscribe(&[topic], 0).expect("subscribed"), [0]);
    let body = client.read_until(0x31).expect("a retained message");
    let (_, _, payload) = mqtt::published(0x31, &body).expect("a publish");
    serde_json::from_slice(payload).expect("the agent's own object")
}

/// As many open files as the system allows.
fn more_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    });
}

/// Connections that one test may hold at a time: several run at once, and each has other files, too.
pub fn held_at_once(wanted: usize) -> usize {
    more_files();
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(files / 4).unwrap_or(usize::MAX))
}
