//! Finding the runs of an agent before this one, and reading how a run ended.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::executor::{End, ExecutorError, Handle, Instance, Phase};
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::SpecHash;

use super::run::{
    EXIT_FILE, Exit, FILE_MAX, OUTPUT_FILE, RUN_FILE, RunSpec, SHIM_FILE, STARTED_FILE, Started, TAIL_MAX,
};
use super::{Inner, Run, tree};

/// A shim that was started a moment before its agent was killed writes its pid within this.
const PID_TRIES: u32 = 500;
const PID_PAUSE: Duration = Duration::from_millis(10);
/// How often the remains of a killed run are looked for.
const KILL_TRIES: u32 = 50;

/// Takes in every run in the directory that is not known yet.
pub(super) async fn adopt_unknown(inner: &Arc<Inner>) -> Result<(), ExecutorError> {
    let entries = match std::fs::read_dir(&inner.runs_dir) {
        Ok(entries) => entries,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Err(why) => {
            let message = format!("the directory of the runs cannot be read: {why}");
            return Err(ExecutorError { reason: Reason::ExecutorUnreachable, message });
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let handle = Handle(name.into());
        let is_new = {
            let runs = inner.runs();
            !runs.known.contains_key(&handle) && !runs.starting.contains(&handle)
        };
        if is_new {
            adopt(inner, handle, &entry.path()).await;
        }
    }
    Ok(())
}

async fn adopt(inner: &Arc<Inner>, handle: Handle, dir: &Path) {
    let Some(spec) = read::<RunSpec>(dir, RUN_FILE).filter(|spec| spec.handle == *handle.0) else {
        // Made a moment before its agent was killed, or damaged: if nobody holds it, nobody needs it.
        if !is_held(dir) {
            discard(&handle, dir, "it says nothing that could be read");
        }
        return;
    };
    let Ok(id) = WorkloadId::parse(&spec.id) else {
        if !is_held(dir) {
            discard(&handle, dir, "its workload has no valid name");
        }
        return;
    };
    let mut instance = Instance {
        id,
        hash: SpecHash(spec.hash.clone()),
        handle: handle.clone(),
        phase: Phase::Running,
        started_at: Wall(spec.started_at_ms),
        warnings: Vec::new(),
    };
    for _ in 0..PID_TRIES {
        if !is_held(dir) {
            break;
        }
        // Opened first, then looked whether the lock is still held: then the pid is certainly the shim's.
        if let Some(shim) = open_shim(dir)
            && is_held(dir)
        {
            if let Err(why) = inner.watch(&instance, spec.grace(), shim, None) {
                tracing::error!(handle = %handle.0, "a run cannot be waited for: {why}");
            }
            return;
        }
        tokio::time::sleep(PID_PAUSE).await;
    }
    if is_held(dir) {
        tracing::error!(handle = %handle.0, "a run is alive but its shim cannot be found; looked for again at the next list");
        return;
    }
    let started = read::<Started>(dir, STARTED_FILE);
    if read::<Exit>(dir, EXIT_FILE).is_none() && started.is_none() && spec.boot_id == inner.boot_id {
        kill(&handle, None).await;
        discard(&handle, dir, "it never got to run");
        return;
    }
    if read::<Exit>(dir, EXIT_FILE).is_none() && spec.boot_id == inner.boot_id {
        kill(&handle, started.as_ref()).await;
    }
    let end = read_end(inner, &handle);
    instance.phase = Phase::Ended(end.clone());
    let (_, ended) = watch::channel(Some(end));
    let run = Run { instance, grace: spec.grace(), shim: None, end: ended };
    inner.runs().known.insert(handle, run);
}

fn discard(handle: &Handle, dir: &Path, why: &str) {
    tracing::info!(handle = %handle.0, "a leftover run is removed: {why}");
    if let Err(why) = std::fs::remove_dir_all(dir) {
        tracing::warn!(handle = %handle.0, "a leftover run cannot be removed: {why}");
    }
}

/// Kills what is left of a run without a shim, until nothing is.
async fn kill(handle: &Handle, started: Option<&Started>) {
    for _ in 0..KILL_TRIES {
        if tree::kill_remains(&handle.0, started) == 0 {
            return;
        }
        tokio::time::sleep(PID_PAUSE).await;
    }
    tracing::error!(handle = %handle.0, "something of a run whose shim was killed does not end");
}

/// How a run ended whose shim is gone.
pub(super) fn read_end(inner: &Inner, handle: &Handle) -> End {
    let dir = inner.runs_dir.join(&*handle.0);
    let tail = tail(&dir);
    if let Some(exit) = read::<Exit>(&dir, EXIT_FILE) {
        return End { code: exit.code, at: Wall(exit.at_ms), how: exit.how, tail, cut_off: exit.cut_off };
    }
    let other_boot = read::<RunSpec>(&dir, RUN_FILE).is_some_and(|spec| spec.boot_id != inner.boot_id);
    if !other_boot {
        tree::kill_remains(&handle.0, read::<Started>(&dir, STARTED_FILE).as_ref());
    }
    let how = if other_boot { "cut off by a restart of the machine" } else { "its parent process was killed" };
    let end = End { code: None, at: (inner.clock)(), how: how.into(), tail, cut_off: other_boot };
    // Written down, so that the next agent reads the same time.
    let exit = Exit { code: None, at_ms: end.at.0, how: end.how.clone(), cut_off: other_boot, output_dropped_bytes: 0 };
    if let Ok(text) = serde_json::to_vec(&exit) {
        let _ = std::fs::write(dir.join(EXIT_FILE), text);
    }
    end
}

fn open_shim(dir: &Path) -> Option<OwnedFd> {
    let text = std::fs::read_to_string(dir.join(SHIM_FILE)).ok()?;
    tree::open(text.trim().parse().ok()?)
}

/// Whether the run's shim lives: it holds the lock of `run.json`.
fn is_held(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join(RUN_FILE)) else { return false };
    flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK)
}

fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Option<T> {
    let mut text = Vec::new();
    File::open(dir.join(name)).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The last lines of the output.
fn tail(dir: &Path) -> String {
    let read = || {
        let mut file = File::open(dir.join(OUTPUT_FILE)).ok()?;
        let length = file.metadata().ok()?.len();
        let from = length.saturating_sub(TAIL_MAX as u64);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(TAIL_MAX as u64).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Begin with a whole line.
        let whole = match text.split_once('\n') {
            Some((_, rest)) if from > 0 => rest.to_owned(),
            _ => text,
        };
        Some(whole.trim_end().to_owned())
    };
    read().unwrap_or_default()
}
