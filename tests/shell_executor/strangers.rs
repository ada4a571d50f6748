//! What is not a run of ours, or not any more: restarts of the machine, pids of others, rubbish among the runs.

use std::fs;
use std::sync::Arc;

use flotta_agent::executor::shell::run;
use flotta_agent::executor::{End, Executor, Handle, Instance, Phase};
use rustix::process::Signal;

use super::device::{Device, alive, kill, until, within};

#[tokio::test]
async fn a_restart_of_the_machine_is_told_from_a_bad_end() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    kill(device.shim_pid(&run.handle), Signal::KILL);
    let file = device.run_file(&run.handle, run::RUN_FILE);
    let mut spec: run::RunSpec = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    spec.boot_id = "another".into();
    fs::write(&file, serde_json::to_vec(&spec).unwrap()).unwrap();
    until("the lock's end", || {
        rustix::fs::flock(fs::File::open(&file).unwrap(), rustix::fs::FlockOperation::NonBlockingLockShared).is_ok()
    })
    .await;
    let listed = device.agent().list().await;
    let [Instance { phase: Phase::Ended(end), .. }] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((end.code, end.cut_off, end.how.as_str()), (None, true, "cut off by a restart of the machine"));
}

/// A process that is none of the executor's business.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = std::process::Command::new("sleep");
        Stranger(
            command
                .arg("1000")
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_pid_that_is_somebody_elses_is_never_signalled() {
    let device = Device::new();
    let stranger = Stranger::new();
    let pid = i32::try_from(stranger.0.id()).unwrap();

    // Dead, its pids used again.
    let dead = device.agent().sh("exit 0").await;
    let shim = device.shim_pid(&dead.handle);
    until("the shim's end", || !alive(shim)).await;
    fs::remove_file(device.run_file(&dead.handle, run::EXIT_FILE)).unwrap();
    fs::write(device.run_file(&dead.handle, run::SHIM_FILE), format!("{pid}\n")).unwrap();
    let started = run::Started { pid, start_ticks: 1 };
    fs::write(device.run_file(&dead.handle, run::STARTED_FILE), serde_json::to_vec(&started).unwrap()).unwrap();
    let agent = device.agent();
    let listed = agent.list().await;
    assert!(matches!(&listed[0].phase, Phase::Ended(End { code: None, .. })), "{listed:?}");

    // Alive, but another pid stands in its file.
    let run = device.agent().sh("exec sleep 1000").await;
    let shim = device.shim_pid(&run.handle);
    fs::write(device.run_file(&run.handle, run::SHIM_FILE), format!("{pid}\n")).unwrap();
    let agent = device.agent();
    assert!(agent.list().await.iter().all(|listed| listed.handle != run.handle));
    agent.stop(&run.handle).await;
    assert!(alive(pid) && alive(shim));
    fs::write(device.run_file(&run.handle, run::SHIM_FILE), format!("{shim}\n")).unwrap();
    assert_eq!(agent.stop(&run.handle).await.code, Some(143), "looked at again");
    assert!(alive(pid));
}

#[tokio::test]
async fn garbage_among_the_runs_is_no_crash() {
    let device = Device::new();
    let runs = device.runs();
    let ours = |number: usize| runs.join(format!("job-4005f0ea9fd3-{number:012x}"));
    for (number, texts) in [
        &[][..],
        &[("run.json", "")],
        &[("run.json", "{")],
        &[("run.json", "[1,2]"), ("exit.json", "{}")],
        &[("run.json", "{\"handle\":1}"), ("started", "x"), ("shim.pid", "-1")],
        &[("shim.pid", "1"), ("started", "{\"pid\":1,\"start_ticks\":0}")],
    ]
    .iter()
    .enumerate()
    {
        fs::create_dir_all(ours(number)).unwrap();
        for (name, text) in *texts {
            fs::write(ours(number).join(name), text).unwrap();
        }
    }
    fs::create_dir_all(ours(100).join("run.json")).unwrap();
    // Not ours: left alone.
    fs::create_dir_all(runs.join("lost+found")).unwrap();
    fs::write(runs.join("job-4005f0ea9fd3-0123456789ab"), "a file").unwrap();
    std::os::unix::fs::symlink("/", runs.join("job-4005f0ea9fd3-0123456789ac")).unwrap();

    let mut agent = device.agent();
    assert_eq!(agent.list().await, []);
    let run = agent.sh("exit 2").await;
    assert_eq!(agent.end_of(&run.handle).await.code, Some(2));
    assert_eq!(agent.list().await.len(), 1);
    let mut left: Vec<_> =
        fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|name| *name != *run.handle.0);
    left.sort();
    assert_eq!(left, ["job-4005f0ea9fd3-0123456789ab", "job-4005f0ea9fd3-0123456789ac", "lost+found"]);
}

#[tokio::test]
async fn what_is_not_a_handle_of_ours_is_gone() {
    let device = Device::new();
    let agent = device.agent();
    let precious = device.path("precious-4005f0ea9fd3-0123456789ab");
    fs::create_dir_all(&precious).unwrap();
    for name in ["", "..", "../precious-4005f0ea9fd3-0123456789ab", "job-4005f0ea9fd3-0123456789ab", "/tmp"] {
        let handle = Handle(name.into());
        assert_eq!(agent.stop(&handle).await.code, None);
        within("remove", agent.shell.remove(handle)).await.unwrap();
    }
    assert!(precious.exists());
}

#[tokio::test]
async fn a_list_beside_starts_disturbs_none() {
    let device = Device::new();
    let agent = Arc::new(device.agent());
    let starts: Vec<_> = (0..10)
        .map(|_| {
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.sh("exec sleep 1000").await })
        })
        .collect();
    while !starts.iter().all(tokio::task::JoinHandle::is_finished) {
        agent.list().await;
        tokio::task::yield_now().await;
    }
    let listed = agent.list().await;
    assert_eq!(listed.len(), 10);
    let stops: Vec<_> = listed.into_iter().map(|run| agent.shell.stop(run.handle)).collect();
    for stop in stops {
        assert_eq!(within("stop", stop).await.unwrap().code, Some(143));
    }
}
