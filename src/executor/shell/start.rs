//! Starting a run: directory, `run.json`, shim, its one line.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use super::run::RunSpec;
use super::run_dir::{RunDir, new_handle};
use super::table::{Entry, Live, Standing};
use super::{Inner, end, tree};
use crate::executor::{ExecutorError, Handle, Instance, Phase, Quota};
use crate::model::status::Reason;
use crate::model::workload::{Payload, SharedWorkload, ShellSpec};

/// How long the shim may take until it says that the command runs.
const START_MAX: Duration = Duration::from_secs(10);
/// The longest line that is read of it.
const LINE_MAX: u64 = 4096;

/// Starts one; returns when the command was executed, or could not be.
pub(super) async fn start(inner: &Arc<Inner>, workload: &SharedWorkload) -> Result<Instance, ExecutorError> {
    let shell = match &workload.payload {
        Payload::Shell(shell) => shell,
        Payload::Invalid(why) => return Err(failed(Reason::InvalidSpec, why.clone())),
        Payload::Pod(_) | Payload::Kube(_) | Payload::Ansible(_) | Payload::Forbidden(_) => {
            return Err(failed(Reason::InvalidSpec, format!("{} is not a shell workload", workload.id)));
        }
    };
    let handle = Handle(new_handle(workload.id.name(), workload.hash.short()).into());
    let started_at = (inner.clock)();
    let mut entry =
        Entry { id: workload.id.clone(), hash: workload.hash.clone(), started_at, standing: Standing::Starting };
    let starting = inner.table.starting(&handle, entry.clone());
    let dir = RunDir::of(&inner.runs_dir, &handle.0);
    create(inner, &dir)?;

    let spec = RunSpec {
        handle: handle.0.to_string(),
        id: workload.id.to_string(),
        hash: workload.hash.0.clone(),
        argv: shell.argv.clone(),
        env: environment(&inner.device_env, shell),
        working_dir: shell.working_dir.clone(),
        user: shell.user.clone(),
        grace_ms: u64::try_from(shell.grace.as_millis()).unwrap_or(u64::MAX),
        boot_id: inner.boot_id.clone(),
        started_at_ms: started_at.0,
    };
    let shim = match spawn(inner, &dir, &spec) {
        Ok(shim) => shim,
        Err(why) => {
            discard(&dir);
            return Err(why);
        }
    };
    match tokio::time::timeout(START_MAX, first_line(shim.line)).await {
        Ok(line) if line.starts_with("ok ") => {}
        other => {
            let why = match other {
                Ok(line) => line.strip_prefix("err ").map_or_else(
                    || "the run's parent process (flotta-shim) ended before it started the command".to_owned(),
                    str::to_owned,
                ),
                Err(_) => format!("the command was not started within {} s", START_MAX.as_secs()),
            };
            tree::signal_descendants(shim.pid, Signal::KILL, |_, _| true);
            let _ = pidfd_send_signal(&shim.pidfd, Signal::KILL);
            end::wait_for(&shim.pidfd).await;
            end::kill_remains(&handle, &dir).await;
            discard(&dir);
            return Err(failed(Reason::StartFailed, why));
        }
    }
    let live = Arc::new(Live { pidfd: shim.pidfd, pid: shim.pid, grace: shell.grace, end: watch::Sender::new(None) });
    entry.standing = Standing::Running(Arc::clone(&live));
    let instance = Instance {
        id: entry.id.clone(),
        hash: entry.hash.clone(),
        handle: handle.clone(),
        phase: Phase::Running,
        started_at,
        warnings: Vec::new(),
        look: 0,
        quota: Quota::Fixed,
        in_place: false,
        unready: Vec::new(),
    };
    inner.table.lock().insert(handle.clone(), entry);
    drop(starting);
    keep(dir);
    end::watch(inner, handle, live);
    Ok(instance)
}

struct Shim {
    pidfd: rustix::fd::OwnedFd,
    pid: i32,
    line: Receiver,
}

/// The first visible step of a start: nothing stands before it.
fn create(inner: &Inner, dir: &RunDir) -> Result<(), ExecutorError> {
    let made = dir.create().or_else(|why| match why.kind() {
        io::ErrorKind::NotFound => std::fs::create_dir_all(&inner.runs_dir).and_then(|()| dir.create()),
        _ => Err(why),
    });
    made.map_err(|why| {
        let path = dir.path().display();
        failed(Reason::StartFailed, format!("the run's directory {path} cannot be made: {why}"))
    })
}

fn spawn(inner: &Inner, dir: &RunDir, spec: &RunSpec) -> Result<Shim, ExecutorError> {
    let broken = |why: io::Error| failed(Reason::StartFailed, format!("the run cannot be prepared: {why}"));
    let lock = dir.write_spec(spec).map_err(|why| {
        failed(Reason::StartFailed, format!("the run's file in {} cannot be written: {why}", dir.path().display()))
    })?;
    let (reader, writer) = io::pipe().map_err(broken)?;
    let mut command = Command::new(&inner.shim);
    command.arg(&spec.handle).current_dir(dir.path()).stdin(lock).stdout(writer).stderr(Stdio::null());
    let child = command.spawn().map_err(|why| {
        let shim = inner.shim.display();
        failed(Reason::StartFailed, format!("{shim}, which is installed beside the agent, cannot be started: {why}"))
    })?;
    // With it goes our copy of the lock.
    drop(command);
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let opened = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let line = Receiver::from_owned_fd(reader.into());
    match (opened, line) {
        (Ok(pidfd), Ok(line)) => Ok(Shim { pidfd, pid, line }),
        (opened, line) => {
            // Out of file descriptors. It is ours and not reaped, so the pid is its own.
            let mut child = child;
            tree::signal_descendants(pid, Signal::KILL, |_, _| true);
            let _ = child.kill().and_then(|()| child.wait());
            let why = opened.err().map(io::Error::from).or(line.err());
            Err(broken(why.unwrap_or_else(|| io::Error::other("unknown"))))
        }
    }
}

/// Behind the start, as no disk is waited for before something runs.
fn keep(dir: RunDir) {
    tokio::task::spawn_blocking(move || match dir.sync() {
        // It has ended and was removed meanwhile.
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => {
            tracing::warn!(path = %dir.path().display(), %why, "a run's record may not survive a loss of power");
        }
        Ok(()) => {}
    });
}

/// What the shim says, without the end of the line; empty if it died over it.
async fn first_line(pipe: Receiver) -> String {
    let mut line = Vec::new();
    let mut pipe = pipe.take(LINE_MAX);
    while !line.ends_with(b"\n") {
        match pipe.read_buf(&mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// What the workload says wins.
fn environment(device: &BTreeMap<String, String>, shell: &ShellSpec) -> BTreeMap<String, String> {
    let mut env = device.clone();
    env.extend(shell.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env
}

fn discard(dir: &RunDir) {
    if let Err(why) = dir.remove() {
        tracing::warn!(path = %dir.path().display(), %why, "the directory of a failed start cannot be removed");
    }
}

fn failed(reason: Reason, message: String) -> ExecutorError {
    ExecutorError { reason, message }
}
