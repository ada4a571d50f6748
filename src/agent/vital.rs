//! Tasks without which the agent only looks alive: when one of them panics, the agent ends, and whoever started it starts
//! another, which adopts what runs.

use std::future::Future;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Hears of the first that died.
pub(super) struct Vital {
    died: mpsc::Receiver<&'static str>,
    tell: mpsc::Sender<&'static str>,
}

struct Guard(&'static str, mpsc::Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Full: one is known already, and one is enough.
            let _ = self.1.try_send(self.0);
        }
    }
}

impl Vital {
    pub fn new() -> Vital {
        let (tell, died) = mpsc::channel(1);
        Vital { died, tell }
    }

    /// Runs it; that it ends is fine, that it panics is not.
    pub fn spawn<T: Send + 'static>(
        &self,
        what: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let guard = Guard(what, self.tell.clone());
        tokio::spawn(async move {
            let _guard = guard;
            task.await
        })
    }

    /// Waits for the first that dies.
    pub async fn died(&mut self) -> &'static str {
        match self.died.recv().await {
            Some(what) => what,
            // Its own sender is there for as long as it is.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_dies_is_heard_of_and_one_that_ends_is_not() {
        let mut vital = Vital::new();
        vital.spawn("one that ends", async {}).await.expect("it ends");
        vital.spawn("one that is aborted", std::future::pending::<()>()).abort();
        let dead = vital.spawn("the heart", async { panic!("a fault of the agent's own") });
        assert!(dead.await.is_err());
        assert_eq!(vital.died().await, "the heart");
    }
}
