//! What the server is told: from what was observed to the heartbeat's words (SPEC "Scheduler", the table's last column). Pure.

pub mod events;

use std::collections::BTreeMap;

use crate::model::id::WorkloadId;
use crate::model::status::{Reason, State, WorkloadStatus};

use super::wire::message::{Status, WorkloadState};

/// The table; `None`: the last one that was sent, since nobody can tell.
#[must_use]
pub fn status(state: State, reason: Reason) -> Option<Status> {
    Some(match (state, reason) {
        (State::Unknown, _) => return None,
        (State::Ready, Reason::BackOff) => Status::Crashed,
        (State::Ready, Reason::CronWait) => Status::Stopped,
        (State::Ready, _) | (State::Deploying, _) => Status::Deploying,
        (State::Running, _) => Status::Running,
        (State::Inactive | State::Stopped, _) => Status::Stopped,
        (State::Degraded | State::Error | State::Exited, _) => Status::Crashed,
    })
}

/// What was sent last about each workload.
#[derive(Clone, Debug, Default)]
pub struct Told(BTreeMap<WorkloadId, Status>);

impl Told {
    /// Every workload of the server's, in the order of their names. `look` gives what is observed now.
    pub fn workloads<'a>(
        &mut self,
        assigned: impl Iterator<Item = &'a WorkloadId>,
        look: impl Fn(&WorkloadId) -> Option<WorkloadStatus>,
    ) -> Vec<WorkloadState> {
        let before = std::mem::take(&mut self.0);
        for id in assigned {
            let seen = match look(id) {
                Some(seen) => status(seen.state, seen.reason).or(before.get(id).copied()).unwrap_or(Status::Crashed),
                // Taken on, and not looked at yet.
                None => before.get(id).copied().unwrap_or(Status::Deploying),
            };
            self.0.insert(id.clone(), seen);
        }
        self.0.iter().map(|(id, status)| WorkloadState { name: id.name().to_owned(), status: *status }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_the_word_that_the_table_gives_it() {
        use Status::{Crashed, Deploying, Running, Stopped};
        let table = [
            (State::Inactive, Reason::ConditionFalse, Some(Stopped)),
            (State::Inactive, Reason::UnknownProfile, Some(Stopped)),
            (State::Inactive, Reason::Locked, Some(Stopped)),
            (State::Ready, Reason::CronWait, Some(Stopped)),
            (State::Ready, Reason::ImagePull, Some(Deploying)),
            (State::Ready, Reason::VolumeWait, Some(Deploying)),
            (State::Ready, Reason::BackOff, Some(Crashed)),
            (State::Deploying, Reason::Starting, Some(Deploying)),
            (State::Running, Reason::Running, Some(Running)),
            (State::Running, Reason::Adopted, Some(Running)),
            (State::Running, Reason::Stopping, Some(Running)),
            (State::Degraded, Reason::ContainerDown, Some(Crashed)),
            (State::Degraded, Reason::NotReady, Some(Crashed)),
            (State::Error, Reason::ImagePullFailed, Some(Crashed)),
            (State::Error, Reason::ForbiddenByPolicy, Some(Crashed)),
            (State::Error, Reason::ExecutorUnreachable, Some(Crashed)),
            (State::Stopped, Reason::Completed, Some(Stopped)),
            (State::Exited, Reason::Failed, Some(Crashed)),
            (State::Unknown, Reason::ExecutorUnreachable, None),
        ];
        for (state, reason, word) in table {
            assert_eq!(status(state, reason), word, "{state:?} {reason:?}");
        }
    }
}
