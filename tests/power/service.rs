//! The agent as a service of systemd, as `deploy/flotta-agent.service` says: ready when it is, watched, started again, and
//! its workloads never touched by any of that.

use std::collections::BTreeMap;

use super::guest::{get, millis, pids, publish, run, running, until};
use super::workloads::{ALL, put_all};

const UNIT: &str = "flotta-agent.service";

pub fn life() -> Result<(), String> {
    super::guest::install()?;
    // The unit's own would take minutes to show.
    std::fs::create_dir_all("/etc/systemd/system/flotta-agent.service.d").map_err(|why| why.to_string())?;
    std::fs::write("/etc/systemd/system/flotta-agent.service.d/test.conf", "[Service]\nWatchdogSec=20\n")
        .map_err(|why| why.to_string())?;
    run(&["systemctl", "daemon-reload"])?;
    let verified = run(&["systemd-analyze", "verify", "/etc/systemd/system/flotta-agent.service"]);
    println!("systemd-analyze verify: {verified:?}");
    verified?;
    put_all(&ALL.iter().map(|of| (of, 1)).collect::<Vec<_>>())?;

    run(&["systemctl", "start", UNIT])?;
    // `start` of a service of Type=notify returns when it has said that it is ready: then it answers, without any waiting.
    let device = get("/api/v1/device").map_err(|why| format!("started, but it does not answer: {why}"))?;
    if show("ActiveState")? != "active" || device["device_id"] != "power" {
        return Err(format!("started: {}, {device}", show("ActiveState")?));
    }
    println!("ok: `systemctl start` returns when the agent answers ({})", show("StatusText").unwrap_or_default());
    publish("flotta/metrics/x", "1", &[])?;
    all_run()?;
    let before = pids();
    println!("ok: {} workloads run: {before:?}", before.len());

    let main = show("MainPID")?;
    run(&["kill", "-9", &main])?;
    again(&main, 1)?;
    adopted(&before, "kill -9: started again after it")?;

    let main = show("MainPID")?;
    let begin = millis();
    run(&["kill", "-STOP", &main])?;
    again(&main, 2)?;
    println!("ok: an agent that stands still is ended by the watchdog after {} s", (millis() - begin) / 1000);
    let journal = run(&["journalctl", "-u", UNIT, "-o", "cat", "--no-pager"])?;
    if !journal.contains("Watchdog timeout") {
        return Err(format!("not the watchdog's doing: {journal}"));
    }
    adopted(&before, "the watchdog: started again after it")?;

    run(&["systemctl", "restart", UNIT])?;
    adopted(&before, "`systemctl restart`")?;

    run(&["systemctl", "stop", UNIT])?;
    if pids() != before {
        return Err(format!("stopping the agent stopped workloads: {:?}, before {before:?}", pids()));
    }
    println!("ok: `systemctl stop` leaves all {} running", before.len());
    run(&["systemctl", "start", UNIT])?;
    adopted(&before, "`systemctl stop` and `start`")?;

    // More kills in a row than systemd lets an ordinary service have.
    for n in 0..8 {
        let main = show("MainPID")?;
        run(&["kill", "-9", &main])?;
        until(&format!("started again after kill {n}"), || match (show("MainPID")?, show("ActiveState")?) {
            (pid, state) if pid != main && pid != "0" && state == "active" => Ok(()),
            (_, state) if state == "failed" => Err("systemd gave up".into()),
            (pid, state) => Err(format!("{pid} {state}")),
        })?;
    }
    adopted(&before, "eight kills in a row")?;

    println!("ok: all is well");
    Ok(())
}

fn show(property: &str) -> Result<String, String> {
    run(&["systemctl", "show", "--value", "-p", property, UNIT]).map(|text| text.trim().to_owned())
}

/// systemd has another agent running; it has started it again this often.
fn again(main: &str, times: u32) -> Result<(), String> {
    until("systemd starts the agent again", || {
        let (pid, state, restarts) = (show("MainPID")?, show("ActiveState")?, show("NRestarts")?);
        let fits = pid != main && pid != "0" && state == "active" && restarts == times.to_string();
        if fits { Ok(()) } else { Err(format!("pid {pid}, {state}, {restarts} restarts")) }
    })
}

/// Every workload has the process that it had, and the agent says so.
fn adopted(before: &BTreeMap<String, String>, what: &str) -> Result<(), String> {
    all_run()?;
    if pids() == *before {
        println!("ok: {what}: all {} adopted, none restarted", before.len());
        return Ok(());
    }
    Err(format!("{what}: {before:?} became {:?}", pids()))
}

fn all_run() -> Result<(), String> {
    until("all workloads run, and the agent says so", || {
        let (said, runs) = (get("/api/v1/workloads")?, running());
        let all = said.as_array().ok_or("no list")?;
        let well = all.iter().filter(|w| w["state"] == "running").count() == ALL.len();
        let one = ALL.iter().all(|of| runs.get(of.name).is_some_and(|versions| versions.len() == 1));
        if well && one { Ok(()) } else { Err(format!("{runs:?}; the agent says {said}")) }
    })
}
