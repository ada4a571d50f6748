//! Calls of the file system on paths that people name: below a network mount whose server is gone, they may never come back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How long somebody waits for one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Threads they may keep; there are further ones (`main`), for what must never wait for these.
const AT_ONCE: usize = 4;

#[derive(Debug)]
pub(super) struct PathCalls {
    permits: Arc<Semaphore>,
    under_way: Arc<Mutex<BTreeSet<PathBuf>>>,
    patience: Duration,
}

impl Default for PathCalls {
    fn default() -> PathCalls {
        PathCalls { permits: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default(), patience: PATIENCE }
    }
}

/// Out of the set again, also if the call panicked.
struct Under {
    way: Arc<Mutex<BTreeSet<PathBuf>>>,
    path: PathBuf,
}

impl Drop for Under {
    fn drop(&mut self) {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

impl PathCalls {
    /// Does it on a thread of its own. The error: the path does not answer, or did not when it was last asked and still
    /// does not: a path keeps one thread, not one for each try.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        path: &Path,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let until = Instant::now() + self.patience;
        let silent = || {
            let seconds = self.patience.as_secs();
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "no answer from the file system of {} for {seconds} s; is it on a network mount whose server is away?",
                    path.display()
                ),
            )
        };
        let permit = timeout_at(until, self.permits.clone().acquire_owned()).await.map_err(|_| silent())?;
        let permit = permit.map_err(io::Error::other)?;
        if !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
            return Err(silent());
        }
        let under = Under { way: self.under_way.clone(), path: path.to_owned() };
        let done = tokio::task::spawn_blocking(move || {
            // Given up by whoever asked or not, the thread is busy until there is an answer.
            let _until_then = (permit, under);
            call()
        });
        timeout_at(until, done).await.map_err(|_| silent())?.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_path_that_does_not_answer_keeps_one_thread_and_holds_up_no_other() {
        let calls = PathCalls { patience: Duration::from_millis(30), ..PathCalls::default() };
        let (answer, server) = mpsc::channel::<()>();
        let hung = Path::new("/mnt/nas/a");
        let never = calls.call(hung, move || server.recv()).await;
        let words = never.expect_err("no answer").to_string();
        assert!(words.contains("/mnt/nas/a") && words.contains("network mount"), "{words}");
        for _ in 0..3 * AT_ONCE {
            assert!(calls.call(hung, || ()).await.is_err());
        }
        assert_eq!(calls.permits.available_permits(), AT_ONCE - 1);
        assert_eq!(calls.call(Path::new("/srv"), || 7).await.expect("an answer"), 7);
        drop(answer);
        while calls.permits.available_permits() < AT_ONCE {
            tokio::task::yield_now().await;
        }
        assert_eq!(calls.call(hung, || 8).await.expect("it is back"), 8);
    }
}
