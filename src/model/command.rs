//! What a person may ask of the agent while it runs.

use super::id::WorkloadId;

/// A command. Answered with a sentence: what was done, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// No workload runs until [`Command::Unlock`], also after a restart.
    Lock {
        /// What runs goes on; only nothing new is started.
        keep: bool,
    },
    /// Gates and cron decide again.
    Unlock,
    /// Remove the content of claims that no workload refers to, for good.
    CollectVolumes {
        /// Only say which.
        dry_run: bool,
    },
    /// Run this one now: once, if it has a schedule; again, if it has ended.
    Run(WorkloadId),
}
