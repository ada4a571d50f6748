//! After a boot, with no network, no server, no manifests and any clock: what was acknowledged is there, and what should
//! run runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::guest::{MANIFESTS, exists, get, millis, retained, run, running, until};
use super::ledger::{Entry, Ledger};
use super::workloads::{ALL, OF_SERVER};

/// What the device is found to be.
type Found = BTreeMap<&'static str, Entry>;

pub fn look(path: &str) -> Result<Ledger, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{path}: {why}"))?;
    let mut ledger = Ledger::read(&text);
    if ledger.is_empty() {
        println!("nothing was acknowledged yet");
        return Ok(ledger);
    }
    if exists(MANIFESTS) {
        return Err(format!("{MANIFESTS} outlived the cut: this would show nothing"));
    }
    let found = until("what was acknowledged is there and what should run runs", || state(&ledger))?;
    for (name, entry) in &found {
        ledger.say("found", name, entry.number, &entry.value);
    }
    let date = run(&["date", "+%Y-%m-%d"])?;
    let runs = running().len();
    println!(
        "looked: {} things are as acknowledged, {runs} run, {} s after the boot, on what the clock takes for {}",
        found.len(),
        millis() / 1000,
        date.trim()
    );
    Ok(ledger)
}

/// Whether the gate is open and whether the device is locked, as the agent has it.
pub fn gate_and_lock() -> Result<(Value, bool), String> {
    let profiles = get("/api/v1/profiles")?;
    let condition = profiles[0]["conditions"][0].clone();
    let device = get("/api/v1/device")?;
    Ok((condition, device["locked"] == true))
}

fn of(ledger: &Ledger, name: &str, fits: impl Fn(&Entry) -> bool) -> Result<Entry, String> {
    let allowed = ledger.allowed(name);
    allowed.iter().rev().find(|entry| fits(entry)).cloned().ok_or_else(|| format!("{name} may be any of {allowed:?}"))
}

fn state(ledger: &Ledger) -> Result<Found, String> {
    let mut found = Found::new();
    let (condition, locked) = gate_and_lock()?;
    if !ledger.allowed("x").is_empty() {
        let value = if condition["value"] == true { "1" } else { "0" };
        if condition["stale"] != true {
            return Err(format!("no metric came, but the condition is not stale: {condition}"));
        }
        found.insert("x", of(ledger, "x", |e| e.value == value).map_err(|why| format!("{why}, is {value}"))?);
    }
    if !ledger.allowed("lock").is_empty() {
        let value = if locked { "on" } else { "off" };
        found.insert("lock", of(ledger, "lock", |e| e.value == value).map_err(|why| format!("{why}, is {value}"))?);
    }
    if !ledger.allowed("garden").is_empty() {
        let number = retained("garden/pump");
        let is = |e: &Entry| e.number.to_string() == number;
        found.insert("garden", of(ledger, "garden", is).map_err(|why| format!("{why}, is {number:?}"))?);
    }
    let said = get("/api/v1/workloads")?;
    let said = said.as_array().ok_or("no list of workloads")?;
    let runs = running();
    let names = ALL.iter().map(|w| (w.name, w.gated)).chain([(OF_SERVER, false)]);
    for (name, gated) in names {
        if ledger.allowed(name).is_empty() {
            continue;
        }
        let status = said.iter().find(|w| w["name"] == name);
        let versions = runs.get(name).cloned().unwrap_or_default();
        let wanted = status.is_some() && !locked && (!gated || condition["value"] == true);
        let state = status.map_or("", |w| w["state"].as_str().unwrap_or_default());
        let wrong = |what: &str| Err(format!("{name} {what}: {versions:?} run; the agent says {status:?}"));
        let entry = match (wanted, versions.as_slice()) {
            (true, [version]) if state == "running" => {
                of(ledger, name, |e| e.value == "on" && e.number.to_string() == *version)
                    .map_err(|why| format!("{why}, runs {version}"))?
            }
            (true, [_, _, ..]) => return wrong("runs more than once"),
            (true, _) => return wrong("should run and say so"),
            (false, [_, ..]) => return wrong("should not run"),
            // Which version it is nobody sees while it does not run.
            (false, []) if status.is_some() => of(ledger, name, |e| e.value == "on")?,
            (false, []) => of(ledger, name, |e| e.value == "off")?,
        };
        found.insert(name, entry);
    }
    Ok(found)
}
