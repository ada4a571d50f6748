//! Keeps the clients' retained messages on disk: a change is written `Limits::flush_after` later, with all that came
//! meanwhile. The agent's own messages are not stored: after a power cut they would be lies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;

use crate::hub::Hub;
use crate::store::{self, SHARDS};

/// After a failure (a full disk), the next attempt.
const RETRY: Duration = Duration::from_secs(10);

/// Reads what an earlier run left. Returns what could not be read, in sentences.
pub(crate) fn restore(hub: &Hub, dir: &Path) -> Vec<String> {
    let loaded = store::load(dir, &hub.limits);
    for damage in &loaded.damaged {
        tracing::warn!("retained messages: {damage}");
    }
    let count = loaded.entries.len();
    hub.restore(loaded.entries);
    tracing::debug!(count, dir = %dir.display(), "retained messages read");
    loaded.damaged.iter().map(ToString::to_string).collect()
}

/// Writes changes until the shutdown; what is behind then is for [`flush`].
pub(crate) async fn keep(hub: Arc<Hub>, dir: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut failed = false;
    loop {
        let pause = async {
            if failed {
                tokio::time::sleep(RETRY).await;
            } else {
                hub.changed.notified().await;
                tokio::time::sleep(hub.limits.flush_after).await;
            }
        };
        // Not while a file is being written: the shutdown would not wait for it, nor learn that it failed.
        tokio::select! {
            () = pause => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let before = failed;
        let result = flush(&hub, &dir).await;
        failed = result.is_err();
        match result {
            Err(why) if !before => tracing::warn!(
                "retained messages cannot be written into {}: {why}; make room or rights there; tried again every {} s, and until then they would not survive a restart",
                dir.display(),
                RETRY.as_secs()
            ),
            Ok(()) if before => tracing::info!("retained messages are written again"),
            _ => {}
        }
    }
}

/// Writes all files that are behind. One that cannot be written does not keep the others from it; the first failure is
/// returned.
pub(crate) async fn flush(hub: &Arc<Hub>, dir: &Path) -> std::io::Result<()> {
    let mut result = Ok(());
    for shard in 0..SHARDS {
        let Some(entries) = hub.take_dirty(shard) else { continue };
        let dir = dir.to_owned();
        let written = tokio::task::spawn_blocking(move || store::save(&dir, shard, entries.into_iter())).await;
        match written.unwrap_or_else(|_| Err(std::io::Error::other("the writer failed"))) {
            Ok(bytes) => hub.counters.retained_written.add(usize::try_from(bytes).unwrap_or(usize::MAX)),
            Err(why) => {
                hub.set_dirty(shard);
                hub.counters.retained_failures.fetch_add(1, Relaxed);
                result = result.and(Err(why));
            }
        }
    }
    result
}
