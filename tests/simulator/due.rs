//! What is going to happen, and when.

use std::collections::BTreeMap;

use flotta_agent::executor::{ExecutorError, ExecutorEvent, ExecutorId, Handle, Instance};
use flotta_agent::source::flotta::session::Exchange;

/// Which start of the agent's process something belongs to.
pub type Life = u64;

/// One thing that is going to happen.
#[derive(Debug)]
pub enum Due {
    // The machine and its executors.
    Effect(u64),
    Answer(u64),
    Dies(Handle, i32, u64),
    Progresses(Handle),
    Told(Life, ExecutorId, Box<ExecutorEvent>),
    Looked(Life, ExecutorId, u64),
    Listed(Life, ExecutorId, u64, Result<Vec<Instance>, ExecutorError>),
    ExecutorBack(ExecutorId),
    // The agent's process.
    AgentStarts,
    Turn(Life),
    Relist(Life),
    Alive(Life),
    FilesQuiet(Life),
    Rescan(Life),
    Write(Life),
    Exchanged(Life, Exchange, u64),
    Serve(Life),
    Publish(Life),
    KeepEvents(Life),
    Killed(Life),
    // Everybody else.
    Metric,
    Edit,
    ServerEdit,
    Command,
    Trouble,
    BrokerBack,
    ServerBack,
    DiskWell,
    ClockRight,
    DirectoryBack,
}

/// In the order of time, and of being put in.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<(u64, u64), Due>,
    order: u64,
}

impl Queue {
    pub fn put(&mut self, at: u64, due: Due) {
        self.order += 1;
        self.waiting.insert((at, self.order), due);
    }

    pub fn first(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn take(&mut self) -> Option<(u64, Due)> {
        self.waiting.pop_first().map(|((at, _), due)| (at, due))
    }

    pub fn retain(&mut self, keep: impl Fn(&Due) -> bool) {
        self.waiting.retain(|_, due| keep(due));
    }

    /// What hangs, or is late, comes by then.
    pub fn hurry(&mut self, latest: u64) {
        let late = self.waiting.split_off(&(latest, 0));
        for ((at, order), due) in late {
            let hangs = matches!(due, Due::Effect(_) | Due::Answer(_) | Due::Looked(..) | Due::Told(..));
            self.waiting.insert((if hangs { latest } else { at }, order), due);
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}
