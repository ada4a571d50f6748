//! Calls of the file system on paths that people name: below a network mount whose server is gone, they may never come back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long somebody waits for one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Threads they may keep; there are further ones (`main`), for what must never wait for these.
const AT_ONCE: usize = 4;

#[derive(Debug)]
pub(super) struct PathCalls {
    permits: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
    patience: Duration,
}

impl Default for PathCalls {
    fn default() -> PathCalls {
        PathCalls { permits: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default(), patience: PATIENCE }
    }
}

/// Paths that are being asked, since when; one call for each at a time.
#[derive(Debug, Default)]
struct UnderWay {
    since: Mutex<BTreeMap<PathBuf, Instant>>,
    ended: Notify,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under way no more, also if the call panicked.
struct Turn {
    of: Arc<UnderWay>,
    path: PathBuf,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.lock().remove(&self.path);
        self.of.ended.notify_waiters();
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
            let (seconds, path) = (self.patience.as_secs(), path.display());
            let words = format!(
                "no answer from the file system of {path} for {seconds} s; is it on a network mount whose server is away?"
            );
            io::Error::new(io::ErrorKind::TimedOut, words)
        };
        let turn = timeout_at(until, self.turn(path)).await.ok().flatten().ok_or_else(silent)?;
        let permit = timeout_at(until, self.permits.clone().acquire_owned()).await.map_err(|_| silent())?;
        let permit = permit.map_err(io::Error::other)?;
        let done = tokio::task::spawn_blocking(move || {
            // Given up by whoever asked or not, the thread is busy until there is an answer.
            let _until_then = (permit, turn);
            call()
        });
        timeout_at(until, done).await.map_err(|_| silent())?.map_err(io::Error::other)
    }

    /// Waits for those who ask the same path. `None`: it has not answered for too long.
    async fn turn(&self, path: &Path) -> Option<Turn> {
        loop {
            // Heard from before the look: an end in between is not missed.
            let mut ended = pin!(self.under_way.ended.notified());
            ended.as_mut().enable();
            {
                let mut since = self.under_way.lock();
                match since.get(path) {
                    None => {
                        since.insert(path.to_owned(), Instant::now());
                        return Some(Turn { of: self.under_way.clone(), path: path.to_owned() });
                    }
                    Some(begun) if begun.elapsed() >= self.patience => return None,
                    Some(_) => {}
                }
            }
            ended.await;
        }
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

    #[tokio::test]
    async fn who_asks_the_same_path_at_the_same_time_is_answered_too() {
        let calls = PathCalls::default();
        let shared = Path::new("/etc/localtime");
        let (go, wait) = mpsc::channel::<()>();
        let first = calls.call(shared, move || wait.recv());
        let others = async {
            // Begun while the first one is under way, which ends only then.
            let second = calls.call(shared, || 2);
            let third = calls.call(shared, || 3);
            let release = async { drop(go) };
            let (second, third, ()) = tokio::join!(second, third, release);
            (second.expect("answered"), third.expect("answered"))
        };
        let (first, others) = tokio::join!(first, others);
        assert!(first.is_ok());
        assert_eq!(others, (2, 3));
    }
}
