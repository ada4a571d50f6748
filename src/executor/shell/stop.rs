//! Ending a run, and forgetting it.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::time::timeout;

use super::run_dir::{RunDir, is_handle};
use super::table::{Live, Standing};
use super::{Inner, adopt, end, tree};
use crate::executor::{End, ExecutorError, Handle};
use crate::model::status::Reason;

/// After the grace period the shim has this long to kill and to write the end down; then we do it.
const SLACK: Duration = Duration::from_secs(5);
/// How long after a KILL to everything we wait for the end.
const KILL_MAX: Duration = Duration::from_secs(10);
/// A grace period beyond this is as good as none.
const GRACE_MAX: Duration = Duration::from_secs(365 * 86_400);

/// Ends one; returns when nothing of it runs any more.
pub(super) async fn stop(inner: &Arc<Inner>, handle: &Handle) -> Result<End, ExecutorError> {
    match known(inner, handle).await {
        None => Ok(end::gone((inner.clock)())),
        Some(Standing::Ended(end)) => Ok(end),
        Some(Standing::Starting) => Err(refused(format!("run {} is being started: stop it then", handle.0))),
        Some(Standing::Running(live)) => end_it(handle, &live).await,
    }
}

async fn end_it(handle: &Handle, live: &Live) -> Result<End, ExecutorError> {
    match pidfd_send_signal(&live.pidfd, Signal::TERM) {
        // It has just ended by itself: that is on its way here.
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(why) => return Err(refused(format!("run {} cannot be told to stop: {why}", handle.0))),
    }
    if let Some(end) = ended(live, live.grace.min(GRACE_MAX).saturating_add(SLACK)).await {
        return Ok(end);
    }
    tracing::warn!(run = %handle.0, "the shim of a run does not end it: both are killed");
    tree::signal_descendants(live.pid, Signal::KILL, |_, _| true);
    let _ = pidfd_send_signal(&live.pidfd, Signal::KILL);
    let stuck = || refused(format!("run {} was killed but does not end: the kernel holds on to it", handle.0));
    ended(live, KILL_MAX).await.ok_or_else(stuck)
}

async fn ended(live: &Live, max: Duration) -> Option<End> {
    let mut end = live.end.subscribe();
    let ended = timeout(max, end.wait_for(Option::is_some)).await.ok()?.ok()?;
    ended.clone()
}

/// Removes an ended run's directory.
pub(super) async fn remove(inner: &Arc<Inner>, handle: &Handle) -> Result<(), ExecutorError> {
    match known(inner, handle).await {
        None => return Ok(()),
        Some(Standing::Ended(_)) => {}
        Some(Standing::Starting | Standing::Running(_)) => {
            return Err(refused(format!("run {} goes on: it is stopped before it is removed", handle.0)));
        }
    }
    let dir = RunDir::of(&inner.runs_dir, &handle.0);
    dir.remove()
        .map_err(|why| refused(format!("the run's directory {} cannot be removed: {why}", dir.path().display())))?;
    inner.table.lock().remove(handle);
    Ok(())
}

/// Where a run stands, also one that was never listed. Only what may be a handle is looked for on disk: never a path.
async fn known(inner: &Arc<Inner>, handle: &Handle) -> Option<Standing> {
    if let Some(standing) = inner.table.standing(handle) {
        return Some(standing);
    }
    if is_handle(&handle.0) && RunDir::of(&inner.runs_dir, &handle.0).exists() {
        let _one_at_a_time = inner.listing.lock().await;
        if inner.table.standing(handle).is_none() {
            adopt::look_at(inner, handle).await;
        }
    }
    inner.table.standing(handle)
}

fn refused(message: String) -> ExecutorError {
    ExecutorError { reason: Reason::StopFailed, message }
}
