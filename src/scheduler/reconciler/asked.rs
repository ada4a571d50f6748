//! What a person asks for while the agent runs.

use super::{Page, Reconciler};
use crate::gates::{Gate, Gates};
use crate::model::command::Command;
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Now;
use crate::scheduler::book::Operation;
use crate::scheduler::decide::Lock;

impl Reconciler {
    /// Carries out what a person asks for; what was done, or why not, in a sentence.
    ///
    /// # Errors
    /// A sentence with what to do.
    pub fn command(&mut self, command: &Command, gates: &Gates, now: Now) -> Result<String, String> {
        match command {
            Command::Lock { keep } => {
                let before = self.lock.replace(Lock { keep: *keep });
                Ok(match (before, keep) {
                    (Some(before), keep) if before.keep == *keep => "the device is locked already".to_owned(),
                    (_, true) => "the device is locked: what runs goes on, nothing new is started".to_owned(),
                    (_, false) => "the device is locked: its workloads are being stopped".to_owned(),
                })
            }
            Command::Unlock => Ok(match self.lock.take() {
                Some(_) => "the device is unlocked: profiles and schedules decide again".to_owned(),
                None => "the device was not locked".to_owned(),
            }),
            Command::Run(id) => self.run_now(id, gates, now),
            // Nothing of it is decided here.
            Command::CollectVolumes { .. } => Err("volumes are not the scheduler's".into()),
        }
    }

    fn run_now(&mut self, id: &WorkloadId, gates: &Gates, now: Now) -> Result<String, String> {
        let known = self.books.get_mut(id).filter(|page| page.book.desired.is_some());
        let Some(page) = known else {
            return Err(format!(
                "there is no workload {id} on this device; `flotta-agent status` lists those there are"
            ));
        };
        let Page { book, said, .. } = page;
        let Some(workload) = book.desired.clone() else { return Err(String::new()) };
        if self.lock.is_some() {
            return Err("the device is locked, so nothing is started; unlock it first: flotta-agent host unlock".into());
        }
        let hopeless = [Reason::InvalidSpec, Reason::NotSupported, Reason::ForbiddenByPolicy];
        if let Some((_, status)) = said.as_ref().filter(|(_, status)| hopeless.contains(&status.reason)) {
            return Err(format!("{id} cannot be run: {}", status.message));
        }
        let starts = matches!(book.operation, Some((Operation::Start | Operation::Resume, _)));
        if starts || book.instances.iter().any(|seen| seen.runs() && seen.instance.hash == workload.hash) {
            return Err(format!("{id} runs already"));
        }
        let closed = matches!(gates.gate(&workload.gates), Gate::Closed { .. });
        let why = || gates.explain(&workload.gates, now);
        match &mut book.times {
            Some(times) => times.ask(now.wall),
            None if closed => return Err(format!("{id} is not to run now: {}", why())),
            None => book.asked = true,
        }
        book.backoff.until = None;
        book.backoff.error = None;
        Ok(if closed {
            format!("a run of {id} is due, and waits: {}", why())
        } else {
            format!("{id} is being started")
        })
    }
}
