//! Runs that this agent did not start: those of the agent before it, running or ended; and what is no run at all.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::RunSpec;
use super::run_dir::{RunDir, is_handle};
use super::table::{Entry, Live, Standing};
use super::{Inner, end, tree};
use crate::executor::{Handle, Instance};
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::SpecHash;

/// The agent may have been killed while a shim came up: then its pid, or its command's start, is about to be written. How
/// often we look, and how long after each time (2 s in all; a shim needs some milliseconds).
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// Everything that is there. Runs that are not in the table yet are put there.
pub(super) async fn list(inner: &Arc<Inner>) -> Result<Vec<Instance>, crate::executor::ExecutorError> {
    let _one_at_a_time = inner.listing.lock().await;
    let mut found = Vec::new();
    match std::fs::read_dir(&inner.runs_dir) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let name = entry.file_name();
                if let Some(name) = name.to_str().filter(|name| is_dir && is_handle(name)) {
                    found.push(Handle(name.into()));
                }
            }
        }
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => {
            let message = format!("the directory of runs {} cannot be read: {why}", inner.runs_dir.display());
            return Err(crate::executor::ExecutorError { reason: Reason::ExecutorUnreachable, message });
        }
    }
    for handle in &found {
        if inner.table.standing(handle).is_none() {
            look_at(inner, handle).await;
        }
    }
    // Of an ended run whose directory somebody removed there is nothing left to list; a running one has its own watch.
    let mut table = inner.table.lock();
    table.retain(|handle, entry| {
        !matches!(entry.standing, Standing::Ended(_)) || RunDir::of(&inner.runs_dir, &handle.0).exists()
    });
    Ok(table.iter().filter_map(|(handle, entry)| entry.instance(handle)).collect())
}

/// Finds out what a directory is that is not in the table, and puts it there, or away.
pub(super) async fn look_at(inner: &Arc<Inner>, handle: &Handle) {
    let dir = RunDir::of(&inner.runs_dir, &handle.0);
    let identity = dir.spec().and_then(|spec| Some((WorkloadId::parse(&spec.id).ok()?, spec)));
    let Some((id, spec)) = identity else {
        if dir.is_locked() {
            tracing::warn!(run = %handle.0, "a run goes on whose run.json cannot be read: it is left alone");
        } else {
            if dir.was_started() {
                tracing::warn!(run = %handle.0, "a run whose run.json was lost, by a loss of power just after its start: removed");
            }
            put_away(&dir, handle).await;
        }
        return;
    };
    let mut entry = Entry {
        id,
        hash: SpecHash(spec.hash.clone()),
        started_at: Wall(spec.started_at_ms),
        standing: Standing::Starting,
    };
    match shim_of(&dir).await {
        Shim::Alive(pid, pidfd) => {
            let live = Arc::new(Live { pidfd, pid, grace: spec.grace(), end: watch::Sender::new(None) });
            entry.standing = Standing::Running(Arc::clone(&live));
            inner.table.lock().insert(handle.clone(), entry);
            end::watch(inner, handle.clone(), live);
        }
        Shim::Dead => dead(inner, handle, &dir, &spec, entry).await,
        Shim::Unknown => {
            tracing::warn!(run = %handle.0, "a run goes on whose shim is not known: it is looked at again");
        }
    }
}

async fn dead(inner: &Arc<Inner>, handle: &Handle, dir: &RunDir, spec: &RunSpec, mut entry: Entry) {
    if dir.exit().is_none() && !dir.was_started() {
        put_away(dir, handle).await;
        return;
    }
    entry.standing = Standing::Ended(end::find_out(inner, handle, dir, spec).await);
    inner.table.lock().insert(handle.clone(), entry);
}

/// A start that never was.
async fn put_away(dir: &RunDir, handle: &Handle) {
    end::kill_remains(handle, dir).await;
    if let Err(why) = dir.remove() {
        tracing::warn!(path = %dir.path().display(), %why, "what an aborted start left cannot be removed");
    }
}

enum Shim {
    Alive(i32, OwnedFd),
    Dead,
    Unknown,
}

/// The lock says whether the shim lives. If it is still held after the pid that the shim wrote was opened, what was opened is
/// the shim; that it also has our `run.json` as standard input is checked in case somebody else wrote the pid.
async fn shim_of(dir: &RunDir) -> Shim {
    let mut alive = Shim::Unknown;
    for _ in 0..TRIES {
        if !dir.is_locked() {
            return Shim::Dead;
        }
        let opened = dir.shim_pid().and_then(|pid| Some((pid, tree::open(pid)?)));
        if let Some((pid, pidfd)) = opened.filter(|(pid, _)| dir.is_stdin_of(*pid) && dir.is_locked()) {
            alive = Shim::Alive(pid, pidfd);
            if dir.was_started() {
                return alive;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    alive
}
