//! kill -9 of the agent at random moments, again and again, while gates move by metrics that come over the embedded broker,
//! manifests are edited, and somebody else's retained message has to stay.
//!
//! `KILLS=1000` for more, `KILL_SEED=…` to go on from a seed; both are printed, with what was counted.
#![expect(clippy::print_stdout, reason = "a loop of an hour says how it goes")]

use std::process::Command;
use std::time::Duration;

use super::clients::{publish, publish_with};
use super::device::{Device, deadline, millis, until_true};
use super::dice::Dice;
use super::fleet::{Fleet, Wrong};

/// A truth is on disk this long after it was said.
const TRUTH_IS_STORED: u64 = 3_000;
const TOPIC: &str = "garden/pump";

pub struct Kills {
    dice: Dice,
    /// When a gate or the lock moved last, and when all was settled last.
    moved: u64,
    settled: u64,
    /// The last number that was published retained and is known to be on disk.
    retained: u64,
    tally: Tally,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    kills: u64,
    /// Of them so early that the agent was not ready yet.
    young: u64,
    edits: u64,
    flips: u64,
    /// Times that the device was locked, or unlocked.
    locks: u64,
    /// Runs of the schedule, and failures of the one that always fails.
    runs: u64,
    failures: u64,
    /// Gated runs, with a truth that was stored, that went on through a kill.
    kept: u64,
    pub lost: Vec<String>,
    pub doubles: Vec<String>,
    pub orphans: Vec<String>,
    pub restarted: Vec<String>,
}

impl Tally {
    fn add(&mut self, wrong: Wrong) {
        self.lost.extend(wrong.lost);
        self.doubles.extend(wrong.doubles);
        self.orphans.extend(wrong.orphans);
        self.lost.extend(wrong.said.into_iter().map(|what| format!("the agent says: {what}")));
    }

    fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubles.is_empty() && self.orphans.is_empty() && self.restarted.is_empty()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { kills, young, edits, flips, locks, runs, failures, kept, .. } = self;
        write!(
            f,
            "{kills} kills ({young} before the agent was ready), {edits} edits, {flips} gates moved, {locks} times (un)locked, {runs} runs of a schedule, {failures} failures with their waits, {kept} gated runs kept through a kill; {} orphans, {} doubles, {} lost, {} restarted",
            self.orphans.len(),
            self.doubles.len(),
            self.lost.len(),
            self.restarted.len()
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "that moment of the kill is what is random here")]
fn pause(dice: &mut Dice) {
    // From some microseconds to half a second, each order of magnitude as often as the others.
    let most = 10_u64.pow(u32::try_from(dice.below(5)).unwrap_or(0)).saturating_mul(50);
    std::thread::sleep(Duration::from_micros(dice.below(most.max(1))));
}

/// Runs the loop; panics with what was wrong, how often, and the seed.
pub fn run(device: &mut Device, fleet: &mut Fleet<'_>, kills: u64, seed: u64) {
    println!("{kills} kills of the agent from seed {seed}");
    let begun = millis();
    let mut all = Kills { dice: Dice(seed), moved: 0, settled: 0, retained: 0, tally: Tally::default() };
    device.start();
    publish_with(&device.agent().mqtt, TOPIC, "<0>", &["-r"]);
    all.until_stored(device, 0);
    all.settle(device, fleet, "at first");
    for round in 0..kills {
        let before = all.dice.0;
        all.round(device, fleet, round);
        let what = format!("round {round}, which began with KILL_SEED={before}");
        if all.tally.is_clean() {
            all.settle(device, fleet, &what);
        }
        assert!(all.tally.is_clean(), "{what}: {}\n{:#?}", all.tally, all.tally);
        if (round + 1) % (kills / 20).max(25) == 0 {
            println!("{} s: {}", (millis() - begun) / 1000, all.tally);
        }
    }
    let seconds = (millis() - begun).max(1) as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "kills are few")]
    let rate = kills as f64 / seconds;
    println!("{}\nin {seconds:.0} s, {rate:.2} kills per second; to go on: KILL_SEED={}", all.tally, all.dice.0);
}

impl Kills {
    fn round(&mut self, device: &mut Device, fleet: &mut Fleet<'_>, round: u64) {
        // A locked device is seen settled before it is unlocked.
        if self.dice.below(if fleet.locked { 3 } else { 25 }) == 0 {
            self.lock(device, fleet);
        }
        for _ in 0..self.dice.below(4) {
            self.trouble(device, fleet, round);
        }
        // What did not move since all was settled, and is stored, must go on through the kill.
        let mut steady = self.moved <= self.settled;
        if steady && self.dice.below(4) == 0 {
            until_true("the truths are on disk", || millis().saturating_sub(self.moved) > TRUTH_IS_STORED);
        }
        steady &= millis().saturating_sub(self.moved) > TRUTH_IS_STORED;
        let starts = |fleet: &Fleet<'_>, device: &Device| -> Vec<usize> {
            let gated = fleet.members.iter().filter(|member| member.gate.is_some() && fleet.wants(member));
            gated.map(|member| fleet.starts(device, member).len()).collect()
        };
        let before = starts(fleet, device);
        pause(&mut self.dice);
        device.kill();
        self.tally.kills += 1;
        if std::env::var_os("FLOTTA_TEST_LOG").is_some() {
            eprintln!(
                "round {round}: killed; gated ones started {before:?} times, moved {} ms ago",
                millis() - self.moved
            );
        }
        if self.dice.below(4) == 0 {
            device.start_and_kill(|| pause(&mut self.dice));
            self.tally.kills += 1;
            self.tally.young += 1;
        }
        device.start();
        // What the metric was is not known any more to the sensor's reader until it is sent again.
        for gate in ["x", "y"] {
            send(device, fleet, gate);
        }
        self.look_for_retained(device);
        if steady {
            let after = starts(fleet, device);
            if after == before {
                self.tally.kept += before.len() as u64;
            } else {
                let events = device.agent().get("/api/v1/events");
                self.tally.restarted.push(format!("gated ones started {before:?} times, then {after:?}: {events}"));
                self.tally.add(fleet.wrong(device));
            }
        }
    }

    /// Something that happens to a device.
    fn trouble(&mut self, device: &Device, fleet: &mut Fleet<'_>, round: u64) {
        match self.dice.below(12) {
            0..4 => self.flip(device, fleet, "x"),
            4 => self.flip(device, fleet, "y"),
            5..9 => {
                let edited: Vec<usize> = (0..fleet.members.len()).filter(|n| fleet.members[*n].edited).collect();
                let n = edited[usize::try_from(self.dice.below(edited.len() as u64)).unwrap_or(0)];
                let member = &mut fleet.members[n];
                // Away, back as another one, or just another one.
                member.here = !member.here || self.dice.below(3) > 0;
                member.version += u64::from(member.here);
                fleet.write(device, n);
                self.tally.edits += 1;
            }
            _ => {
                publish_with(&device.agent().mqtt, TOPIC, &format!("<{round}>"), &["-r"]);
                // It is stored within five seconds, of which most agents here have fewer.
                if self.dice.below(16) == 0 {
                    self.until_stored(device, round);
                }
            }
        }
    }

    fn until_stored(&mut self, device: &Device, number: u64) {
        until_true("the retained message is on disk", || {
            let files = std::fs::read_dir(device.path("state/retained")).into_iter().flatten().flatten();
            // Beside them may be one that is being written: that one is not stored yet.
            let whole = files.filter(|file| file.path().extension().is_some_and(|end| end == "jsonl"));
            let text: String = whole.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect();
            text.contains(&format!("<{number}>"))
        });
        self.retained = number;
    }

    fn flip(&mut self, device: &Device, fleet: &mut Fleet<'_>, gate: &'static str) {
        let open = fleet.gates.entry(gate).or_default();
        *open = !*open;
        send(device, fleet, gate);
        (self.moved, self.tally.flips) = (millis(), self.tally.flips + 1);
    }

    fn look_for_retained(&mut self, device: &Device) {
        let (host, port) = device.agent().mqtt.rsplit_once(':').expect("host:port");
        let seen = Command::new("mosquitto_sub")
            .args(["-h", host, "-p", port, "-t", TOPIC, "-C", "1", "-W", "10"])
            .output()
            .expect("mosquitto_sub is there: make test installs it");
        let text = String::from_utf8_lossy(&seen.stdout);
        let number = text.trim().trim_matches(['<', '>']).parse::<u64>();
        if number.as_ref().is_ok_and(|number| *number >= self.retained) {
            return;
        }
        self.tally.lost.push(format!("the retained message is {text:?}, but <{}> was on disk", self.retained));
    }

    /// Acknowledged when the command ends: it must not be lost from then on.
    fn lock(&mut self, device: &Device, fleet: &mut Fleet<'_>) {
        if fleet.locked {
            // Nothing runs; whatever starts now has its reason.
            for n in 0..fleet.members.len() {
                fleet.members[n].settled = fleet.starts(device, &fleet.members[n]).len();
            }
        }
        let (code, said) = device.client(&["host", if fleet.locked { "unlock" } else { "lock" }]);
        assert_eq!(code, 0, "{said}");
        fleet.locked = !fleet.locked;
        (self.moved, self.tally.locks) = (millis(), self.tally.locks + 1);
    }

    /// No run of a schedule comes twice, and no kill makes the waits between failures short again.
    fn look_at_times(&mut self, device: &Device, fleet: &Fleet<'_>) {
        let runs = fleet.cron_runs(device);
        let mut once = runs.clone();
        once.dedup();
        if once.len() < runs.len() {
            self.tally.doubles.push(format!("runs of one minute: {runs:?}"));
        }
        let waits = fleet.waits(device);
        // A kill within a second of a failure may forget that one.
        if let Some(short) = waits.iter().skip(6).find(|wait| **wait < 4) {
            self.tally.lost.push(format!("a retry after {short} s, as if nothing had failed before: {waits:?}"));
        }
        (self.tally.runs, self.tally.failures) = (runs.len() as u64, waits.len() as u64);
    }

    /// Waits until everything is as it should be; what is not within the deadline is counted.
    fn settle(&mut self, device: &Device, fleet: &Fleet<'_>, what: &str) {
        let begin = millis();
        loop {
            let wrong = fleet.wrong(device);
            if wrong.nothing() {
                break;
            }
            if u128::from(millis() - begin) > deadline().as_millis() {
                println!("{what}: not settled within {} s", deadline().as_secs());
                self.tally.add(wrong);
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "processes and podman are asked again, nothing rings")]
            std::thread::sleep(Duration::from_millis(20));
        }
        self.settled = millis();
        self.tally.restarted.extend(fleet.restarted(device));
        self.look_at_times(device, fleet);
    }
}

fn send(device: &Device, fleet: &Fleet<'_>, gate: &str) {
    let value = if fleet.gates[gate] { "1" } else { "0" };
    publish(&device.agent().mqtt, &format!("flotta/metrics/{gate}"), value);
}
