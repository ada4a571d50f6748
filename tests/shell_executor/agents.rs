//! Agents that come and go, by kill -9 too, and shims that are killed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flotta_agent::executor::shell::run;
use flotta_agent::executor::{End, Executor, Handle, Instance, Phase};
use flotta_agent::model::status::Reason;
use rustix::process::Signal;

use super::device::{Device, agent, alive, kill, pid_in, until, within};

#[tokio::test]
async fn a_new_agent_adopts_what_runs_and_learns_its_end() {
    let device = Device::new();
    let (go, first) = (device.path("go"), device.agent());
    let run = first.sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; exit 6", go.display())).await;
    drop(first);

    let mut second = device.agent();
    let listed = second.list().await;
    assert_eq!(listed, std::slice::from_ref(&run), "as it was, also its time");
    assert_eq!(second.list().await, listed, "listed twice, there once");
    assert_eq!(device.agent().list().await, listed, "also for a third");
    let refused = within("remove", second.shell.remove(run.handle.clone())).await.unwrap_err();
    assert_eq!(refused.reason, Reason::StopFailed);
    fs::write(go, "").unwrap();
    assert_eq!(second.end_of(&run.handle).await.code, Some(6));
}

#[tokio::test]
async fn an_adopted_run_can_be_stopped() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    let second = device.agent();
    // Not even listed before.
    assert_eq!(second.stop(&run.handle).await.code, Some(143));
}

#[tokio::test]
async fn an_end_while_no_agent_is_there_is_known_later() {
    let device = Device::new();
    let go = device.path("go");
    let run =
        device.agent().sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; echo bye; exit 9", go.display())).await;
    let shim = device.shim_pid(&run.handle);
    fs::write(go, "").unwrap();
    until("the shim's end", || !alive(shim)).await;

    let agent = device.agent();
    let listed = agent.list().await;
    let [Instance { phase: Phase::Ended(end), .. }] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((end.code, end.tail.as_str()), (Some(9), "bye"));
    assert_eq!(agent.list().await, listed);
}

/// This test program as the agent that is killed: starts a run, says so, and waits for its death.
async fn be_the_agent(runs: PathBuf) {
    let go = runs.parent().unwrap().join("go");
    let agent = agent(runs.clone());
    let run = agent.sh(&format!("i=0; while ! [ -e {} ]; do sleep 0.01; echo tick; done; exit 11", go.display())).await;
    fs::write(runs.parent().unwrap().join("started.tmp"), &*run.handle.0).unwrap();
    fs::rename(runs.parent().unwrap().join("started.tmp"), runs.parent().unwrap().join("started")).unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_run_survives_kill_9_of_its_agent() {
    if let Some(runs) = std::env::var_os("FLOTTA_TEST_RUNS") {
        return be_the_agent(runs.into()).await;
    }
    let device = Device::new();
    let mut first = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agents::a_run_survives_kill_9_of_its_agent"])
        .env("FLOTTA_TEST_RUNS", device.runs())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the first agent's start", || device.path("started").exists()).await;
    first.kill().unwrap();
    first.wait().unwrap();
    let handle = Handle(fs::read_to_string(device.path("started")).unwrap().into());
    assert!(alive(device.shim_pid(&handle)));

    let mut second = device.agent();
    let listed = second.list().await;
    assert_eq!(listed.iter().map(|run| (&run.handle, &run.phase)).collect::<Vec<_>>(), [(&handle, &Phase::Running)]);
    fs::write(device.path("go"), "").unwrap();
    let end = second.end_of(&handle).await;
    assert_eq!(end.code, Some(11));
    assert!(end.tail.ends_with("tick"));
}

#[tokio::test]
async fn kill_9_at_any_moment_of_a_start_leaves_a_run_or_nothing() {
    let device = Device::new();
    for pause_us in (0..40).map(|step| step * 250) {
        let mut first = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agents::a_run_survives_kill_9_of_its_agent"])
            .env("FLOTTA_TEST_RUNS", device.runs())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("the run's directory", || device.run_dirs() > 0).await;
        tokio::time::sleep(Duration::from_micros(pause_us)).await;
        first.kill().unwrap();
        first.wait().unwrap();
        let agent = device.agent();
        let listed = agent.list().await;
        assert_eq!(listed.len(), device.run_dirs(), "{pause_us} µs: {listed:?}");
        assert!(listed.len() <= 1);
        for run in listed {
            assert_eq!(run.phase, Phase::Running, "{pause_us} µs");
            assert_eq!(agent.stop(&run.handle).await.code, Some(143), "{pause_us} µs");
            within("remove", agent.shell.remove(run.handle)).await.unwrap();
        }
        assert_eq!(device.run_dirs(), 0);
    }
}

#[tokio::test]
async fn when_the_shim_is_killed_what_it_ran_is_too() {
    let device = Device::new();
    let mut agent = device.agent();
    let (leader, other) = (device.path("leader"), device.path("other"));
    let script = format!(
        "echo $$ > {}; setsid sh -c 'echo $$ > {}; exec sleep 1000' & sleep 1000",
        leader.display(),
        other.display()
    );
    let run = agent.sh(&script).await;
    let pids = [pid_in(&leader).await, pid_in(&other).await];
    kill(device.shim_pid(&run.handle), Signal::KILL);
    let end = agent.end_of(&run.handle).await;
    assert_eq!((end.code, end.how.as_str(), end.cut_off), (None, "its parent process was killed", false));
    assert!(!pids.into_iter().any(alive));
    let listed = device.agent().list().await;
    assert_eq!(listed[0].phase, Phase::Ended(end), "and it stays so for the next agent");
}

#[tokio::test]
async fn when_the_shim_is_killed_without_an_agent_the_next_one_cleans_up() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    let started: run::Started =
        serde_json::from_slice(&fs::read(device.run_file(&run.handle, run::STARTED_FILE)).unwrap()).unwrap();
    let shim = device.shim_pid(&run.handle);
    kill(shim, Signal::KILL);
    until("the shim's end", || !alive(shim)).await;
    assert!(alive(started.pid));
    let listed = device.agent().list().await;
    assert!(matches!(&listed[0].phase, Phase::Ended(End { code: None, cut_off: false, .. })), "{listed:?}");
    assert!(!alive(started.pid));
}
