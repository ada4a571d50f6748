//! The way in for commands, whichever way they come: one at a time into the reconcile loop, and its answer back.

use tokio::sync::{mpsc, oneshot};

use crate::model::command::Command;

/// Commands that wait for the loop; a caller waits when it is full.
const WAITING: usize = 16;

/// A command and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked for.
    pub command: Command,
    /// Told what was done, or why not; a caller that went away is none.
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// Asks the loop.
#[derive(Clone, Debug)]
pub struct Commands {
    to: mpsc::Sender<Asked>,
}

impl Commands {
    /// And the loop's end of it.
    #[must_use]
    pub fn channel() -> (Commands, mpsc::Receiver<Asked>) {
        let (to, asked) = mpsc::channel(WAITING);
        (Commands { to }, asked)
    }

    /// Asks, and waits until it is done and, where that has to survive, stored.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub async fn ask(&self, command: Command) -> Result<String, String> {
        let ending = || "the agent is stopping".to_owned();
        let (answer, answered) = oneshot::channel();
        self.to.send(Asked { command, answer }).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?
    }
}
