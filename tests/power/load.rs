//! Things that happen to a device until its power is cut, at a moment that the seed says.

use super::dice::Dice;
use super::guest::{get, millis, pause, publish, run, running, until};
use super::ledger::Ledger;
use super::look::gate_and_lock;
use super::workloads::{ALL, OF_SERVER, Workload, of_server, put, put_all};

/// What is in force is stored at most a second later, and written by an emulated machine.
const STORED: u64 = 3_000;
/// Others' retained messages are stored within five seconds.
const RETAINED_STORED: u64 = 9_000;

struct Load {
    ledger: Ledger,
    dice: Dice,
    /// In force since then; acknowledged when it must be stored.
    waiting: Vec<(&'static str, u64, String, u64)>,
}

/// Changes things one after the other; after `seconds` at most the power is asked to be cut, and they go on.
pub fn until_the_cut(ledger: Ledger, seed: u64, seconds: u64) -> Result<(), String> {
    let first = ledger.is_empty();
    let mut load = Load { ledger, dice: Dice(seed), waiting: Vec::new() };
    load.begin()?;
    if first {
        load.server()?;
    }
    let cut = millis() + 2_000 + load.dice.below(seconds.saturating_mul(1000).max(1));
    std::thread::spawn(move || {
        pause(cut.saturating_sub(millis()));
        println!("cut the power");
    });
    loop {
        load.change()?;
    }
}

fn wants(of: &Workload, open: bool) -> bool {
    !of.gated || open
}

impl Load {
    /// The manifests are put back as they are in force: what was found, and for what nobody saw, something new.
    fn begin(&mut self) -> Result<(), String> {
        let open = self.ledger.newest("x").is_some_and(|entry| entry.value == "1");
        let mut those = Vec::new();
        for of in &ALL {
            let known = self.ledger.newest(of.name).cloned();
            match known {
                Some(entry) if entry.value == "off" => {}
                Some(entry) if wants(of, open) => those.push((of, entry.number)),
                _ => those.push((of, self.ledger.issue(of.name, "on"))),
            }
        }
        put_all(&those)?;
        if self.ledger.newest("lock").is_some_and(|entry| entry.value == "on") {
            self.lock(false)?;
        }
        if self.ledger.newest("x").is_none() {
            run(&["systemctl", "start", "flotta-agent.service"])?;
            self.set_gate(true)?;
        }
        let open = self.ledger.newest("x").is_some_and(|entry| entry.value == "1");
        publish("flotta/metrics/x", if open { "1" } else { "0" }, &[])?;
        for (of, number) in those {
            if wants(of, open) {
                runs(of.name, number)?;
            }
            self.waiting.push((of.name, number, "on".into(), millis() + STORED));
        }
        Ok(())
    }

    /// In the first boot there is a server, which assigns a workload and is never seen again.
    fn server(&mut self) -> Result<(), String> {
        std::process::Command::new("/opt/flotta/flotta-standin")
            .args(["--dir", "/opt/flotta/server", "--listen", "127.0.0.1:8043", "--control", "127.0.0.1:8044"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(|why| format!("the server: {why}"))?;
        until("the server has made its certificates", || {
            std::fs::metadata("/opt/flotta/server/register.key").map_err(|why| why.to_string())
        })?;
        let restart = ["systemctl", "restart", "flotta-agent.service"];
        run(&restart)?;
        until("the agent is connected", || {
            let device = get("/api/v1/device")?;
            if device["server"]["state"] == "connected" { Ok(()) } else { Err(device["server"].to_string()) }
        })?;
        let number = self.ledger.issue(OF_SERVER, "on");
        let body = of_server(number).to_string();
        run(&["curl", "-sf", "-X", "PUT", "-d", &body, "http://127.0.0.1:8044/devices/power/workloads"])?;
        run(&restart)?;
        runs(OF_SERVER, number)?;
        self.waiting.push((OF_SERVER, number, "on".into(), millis() + STORED));
        Ok(())
    }

    fn change(&mut self) -> Result<(), String> {
        let now = millis();
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(.., at)| *at <= now);
        self.waiting = waiting;
        for (name, number, value, _) in due {
            // Something newer of it may have been asked for since: what is acknowledged stays the least there may be.
            self.ledger.say("ack", name, number, &value);
        }
        let open = self.ledger.newest("x").is_some_and(|entry| entry.value == "1");
        match self.dice.below(16) {
            0..5 => self.set_gate(!open),
            5..10 => self.edit(open),
            10..12 => self.retain(),
            12 => self.lock_for_a_while(open),
            _ => {
                pause(self.dice.below(1_500));
                Ok(())
            }
        }
    }

    fn set_gate(&mut self, open: bool) -> Result<(), String> {
        let value = if open { "1" } else { "0" };
        let number = self.ledger.issue("x", value);
        until("the metric is taken", || publish("flotta/metrics/x", value, &[]))?;
        until("the gate follows the metric", || {
            let (condition, _) = gate_and_lock()?;
            if condition["value"] == open { Ok(()) } else { Err(condition.to_string()) }
        })?;
        self.waiting.push(("x", number, value.into(), millis() + STORED));
        Ok(())
    }

    fn edit(&mut self, open: bool) -> Result<(), String> {
        let those: Vec<&Workload> = ALL.iter().filter(|of| of.name != "still-pod" && wants(of, open)).collect();
        let of = those[usize::try_from(self.dice.below(those.len() as u64)).unwrap_or(0)];
        let here = !(of.toggled && self.ledger.newest(of.name).is_some_and(|entry| entry.value == "on"));
        let value = if here { "on" } else { "off" };
        let number = self.ledger.issue(of.name, value);
        put(of, number, here)?;
        if here {
            runs(of.name, number)?;
        } else {
            until("a workload whose manifest is gone is gone", || {
                let said = get("/api/v1/workloads")?;
                let there = said.as_array().is_some_and(|all| all.iter().any(|w| w["name"] == of.name));
                if there || running().contains_key(of.name) { Err(said.to_string()) } else { Ok(()) }
            })?;
        }
        self.waiting.push((of.name, number, value.into(), millis() + STORED));
        Ok(())
    }

    /// A lock is acknowledged when the command says so, not some time later.
    fn lock(&mut self, on: bool) -> Result<(), String> {
        let number = self.ledger.issue("lock", if on { "on" } else { "off" });
        run(&["/usr/local/bin/flotta-agent", "host", if on { "lock" } else { "unlock" }])?;
        self.ledger.say("ack", "lock", number, if on { "on" } else { "off" });
        Ok(())
    }

    fn lock_for_a_while(&mut self, open: bool) -> Result<(), String> {
        self.lock(true)?;
        pause(self.dice.below(6_000));
        self.lock(false)?;
        for of in ALL.iter().filter(|of| wants(of, open)) {
            if let Some(entry) = self.ledger.newest(of.name).filter(|entry| entry.value == "on") {
                runs(of.name, entry.number)?;
            }
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<(), String> {
        let number = self.ledger.issue("garden", "-");
        publish("garden/pump", &number.to_string(), &["-r"])?;
        self.waiting.push(("garden", number, "-".into(), millis() + RETAINED_STORED));
        Ok(())
    }
}

/// This version runs, once, and the agent says that it runs.
fn runs(name: &str, number: u64) -> Result<(), String> {
    until(&format!("{name} runs with version {number}"), || {
        let versions = running().remove(name).unwrap_or_default();
        let said = get("/api/v1/workloads")?;
        let status =
            said.as_array().and_then(|all| all.iter().find(|w| w["name"] == name)).cloned().unwrap_or_default();
        let wrong = || Err(format!("{versions:?} run; the agent says {status}"));
        if versions == [number.to_string()] && status["state"] == "running" { Ok(()) } else { wrong() }
    })
}
