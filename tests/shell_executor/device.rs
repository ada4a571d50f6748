//! A directory for runs, the agents over it, and the commands that they are given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::shell::{ShellExecutor, proc, run};
use flotta_agent::executor::{End, Executor, ExecutorEvent, Handle, Instance, Phase};
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, SharedWorkload, ShellSpec, Workload};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use super::models::workload as workload_of;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const STEP: Duration = Duration::from_millis(5);
pub const NOW: Wall = Wall(1_790_000_000_000);

pub struct Device {
    pub dir: tempfile::TempDir,
}

pub struct Agent {
    pub shell: ShellExecutor,
    pub events: mpsc::Receiver<ExecutorEvent>,
}

impl Device {
    pub fn new() -> Device {
        Device { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn runs(&self) -> PathBuf {
        self.path("runs")
    }

    pub fn agent(&self) -> Agent {
        agent(self.runs())
    }

    pub fn run_dirs(&self) -> usize {
        fs::read_dir(self.runs()).map_or(0, Iterator::count)
    }

    pub fn run_file(&self, handle: &Handle, name: &str) -> PathBuf {
        self.runs().join(&*handle.0).join(name)
    }

    pub fn shim_pid(&self, handle: &Handle) -> i32 {
        fs::read_to_string(self.run_file(handle, run::SHIM_FILE)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Device {
    /// No test leaves a process behind, also when it fails.
    fn drop(&mut self) {
        for run in fs::read_dir(self.runs()).into_iter().flatten().flatten() {
            let handle = run.file_name().into_string().unwrap();
            let shim = fs::read_to_string(run.path().join(run::SHIM_FILE)).unwrap_or_default();
            if let Ok(shim) = shim.trim().parse::<i32>() {
                let cmdline = fs::read(format!("/proc/{shim}/cmdline")).unwrap_or_default();
                if String::from_utf8_lossy(&cmdline).contains(&handle) {
                    kill(shim, Signal::KILL);
                }
            }
            flotta_agent::executor::shell::tree::kill_remains(&handle, None);
        }
    }
}

pub fn agent(runs: PathBuf) -> Agent {
    let (sender, events) = mpsc::channel(64);
    let env = BTreeMap::from([("DEVICE_ID".to_owned(), "toto".to_owned())]);
    let shim = PathBuf::from(env!("CARGO_BIN_EXE_flotta-shim"));
    Agent { shell: ShellExecutor::new(runs, shim, env, Arc::new(|| NOW), sender), events }
}

impl Agent {
    pub async fn start(&self, workload: SharedWorkload) -> Instance {
        within("start", self.shell.start(workload, None)).await.unwrap()
    }

    pub async fn sh(&self, script: &str) -> Instance {
        self.start(sh(script)).await
    }

    pub async fn list(&self) -> Vec<Instance> {
        within("list", self.shell.list()).await.unwrap()
    }

    pub async fn stop(&self, handle: &Handle) -> End {
        within("stop", self.shell.stop(handle.clone())).await.unwrap()
    }

    /// The end of a run as the executor tells it by itself.
    pub async fn end_of(&mut self, handle: &Handle) -> End {
        loop {
            match within("an event", self.events.recv()).await.unwrap() {
                ExecutorEvent::Changed(Instance { handle: of, phase: Phase::Ended(end), .. }) if of == *handle => {
                    return end;
                }
                _ => {}
            }
        }
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(STEP).await;
        }
    })
    .await;
}

pub fn spec(argv: &[&str]) -> ShellSpec {
    ShellSpec {
        argv: argv.iter().map(|part| (*part).to_owned()).collect(),
        env: BTreeMap::new(),
        working_dir: None,
        user: None,
        grace: Duration::from_secs(10),
    }
}

pub fn workload(shell: ShellSpec) -> SharedWorkload {
    let job = workload_of("job", 0x4005_f0ea_9fd3, Kind::Shell, Payload::Shell(shell), RestartPolicy::OnFailure);
    Arc::new(Workload { origin: String::new(), ..job })
}

pub fn sh(script: &str) -> SharedWorkload {
    workload(spec(&["/bin/sh", "-c", script]))
}

pub fn sh_with_grace(script: &str, grace: Duration) -> SharedWorkload {
    workload(ShellSpec { grace, ..spec(&["/bin/sh", "-c", script]) })
}

pub fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

pub fn alive(pid: i32) -> bool {
    proc::stat(pid).is_some_and(|stat| !stat.zombie)
}

/// A pid that a script wrote into a file.
pub async fn pid_in(path: &Path) -> i32 {
    let read = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))?.trim().parse().ok();
    until(&format!("a pid in {}", path.display()), || read().is_some()).await;
    read().unwrap()
}
