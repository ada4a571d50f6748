//! Starting a run: a directory, a locked file, a shim, and its one line of answer.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::executor::{ExecutorError, Handle, Instance, Phase};
use crate::model::status::Reason;
use crate::model::workload::{ShellSpec, Workload};

use super::Inner;
use super::run::{RUN_FILE, RunSpec};

/// A shim answers within this, or is killed.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// The longest answer.
const ANSWER_MAX: u64 = 16 * 1024;

pub(super) async fn launch(
    inner: &Arc<Inner>,
    workload: &Workload,
    spec: &ShellSpec,
) -> Result<Instance, ExecutorError> {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let random = random.get(..12).unwrap_or_default();
    let name: String = workload.id.name().chars().take(100).collect();
    let handle = Handle(format!("{name}-{}-{random}", workload.hash.short()).into());
    let dir = inner.runs_dir.join(&*handle.0);
    inner.runs().starting.insert(handle.clone());
    let started = start(inner, workload, spec, &handle, &dir).await;
    inner.runs().starting.remove(&handle);
    if started.is_err() {
        // Nothing is left behind; what cannot be removed is found and removed by the next list.
        let _ = std::fs::remove_dir_all(&dir);
    }
    started.map_err(|message| ExecutorError { reason: Reason::StartFailed, message })
}

async fn start(
    inner: &Arc<Inner>,
    workload: &Workload,
    spec: &ShellSpec,
    handle: &Handle,
    dir: &Path,
) -> Result<Instance, String> {
    let unwritable = |why: std::io::Error| format!("the run's directory cannot be written: {why}");
    if DirBuilder::new().mode(0o700).create(dir).is_err() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unwritable)?;
    }
    let started_at = (inner.clock)();
    let mut env = inner.env.clone();
    env.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let run = RunSpec {
        handle: handle.0.to_string(),
        id: workload.id.to_string(),
        hash: workload.hash.0.clone(),
        argv: spec.argv.clone(),
        env,
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        grace_ms: u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX),
        boot_id: inner.boot_id.clone(),
        started_at_ms: started_at.0,
    };
    let locked = write_locked(dir, &run).map_err(unwritable)?;
    let (mut child, answer) = spawn(&inner.shim, dir, locked).map_err(|why| {
        let shim = inner.shim.display();
        format!("the program flotta-shim cannot be started at {shim}: {why}; it belongs beside flotta-agent, or name it with the key shim")
    })?;
    let answer = match tokio::time::timeout(ANSWER_DEADLINE, read_line(answer)).await {
        Ok(answer) => answer,
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the shim did not answer within {} s", ANSWER_DEADLINE.as_secs()));
        }
    };
    let answer = answer.unwrap_or_else(|why| format!("err the shim's answer cannot be read: {why}"));
    if !answer.starts_with("ok ") {
        // It ends by itself after an error; after anything else it has ended already.
        let _ = child.kill();
        let _ = child.wait();
        let why = answer.strip_prefix("err ").map_or("the shim ended without an answer", str::trim);
        return Err(why.to_owned());
    }
    // The child is not reaped yet, so its pid is its own.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.ok_or("the shim has no pid").and_then(|pid| {
        pidfd_open(pid, PidfdFlags::empty()).map_err(|_| "the kernel has no pidfd (Linux 5.3 or later is needed)")
    })?;
    let instance = Instance {
        id: workload.id.clone(),
        hash: workload.hash.clone(),
        handle: handle.clone(),
        phase: Phase::Running,
        started_at,
        warnings: Vec::new(),
    };
    inner
        .watch(&instance, spec.grace, pidfd, Some(child))
        .map_err(|why| format!("its end cannot be waited for: {why}"))?;
    Ok(instance)
}

/// `run.json`, exclusively locked and ready to be read: the lock goes to the shim with the file.
fn write_locked(dir: &Path, run: &RunSpec) -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(dir.join(RUN_FILE))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.write_all(&serde_json::to_vec(run)?)?;
    file.rewind()?;
    Ok(file)
}

fn spawn(shim: &Path, dir: &Path, locked: File) -> std::io::Result<(Child, OwnedFd)> {
    let mut child = Command::new(shim)
        .current_dir(dir)
        .stdin(Stdio::from(locked))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = child.stdout.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
    Ok((child, answer.into()))
}

async fn read_line(answer: OwnedFd) -> std::io::Result<String> {
    rustix::io::ioctl_fionbio(&answer, true)?;
    let mut answer = pipe::Receiver::from_owned_fd(answer)?.take(ANSWER_MAX);
    let mut text = Vec::with_capacity(64);
    while !text.ends_with(b"\n") {
        if answer.read_buf(&mut text).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}
