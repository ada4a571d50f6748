//! What executors tell: their lists, and the outcomes of operations.

use std::collections::BTreeMap;

use super::{LIMIT_RETRY, Outcome, Page, Reconciler};
use crate::executor::{ExecutorError, ExecutorId, Handle, Instance};
use crate::model::id::WorkloadId;
use crate::model::status::Reason;
use crate::model::time::Now;
use crate::scheduler::book::Seen;
use crate::scheduler::decide::Reach;
use crate::scheduler::plan::{Step, StepAction};

impl Reconciler {
    pub(super) fn listed(&mut self, executor: ExecutorId, ticket: u64, instances: Vec<Instance>, now: Now) {
        self.reaches.insert(executor, Reach::Reachable);
        // It may not have answered at first.
        let first = self.answered.insert(executor);
        for instance in &instances {
            self.books.entry(instance.id.clone()).or_insert_with(|| Page::new(&instance.id));
        }
        let mut by_id: BTreeMap<WorkloadId, Vec<Instance>> = BTreeMap::new();
        for instance in instances {
            by_id.entry(instance.id.clone()).or_default().push(instance);
        }
        for (id, page) in &mut self.books {
            let book = &mut page.book;
            let there = by_id.remove(id).unwrap_or_default();
            if book.operation.is_some() || book.touched > ticket {
                // Something happened since the question was asked, or goes on: what is gone, or new, its outcome tells. How
                // what is known is, the numbers of the looks put in order.
                let known = |i: &Instance| book.instances.iter().any(|seen| seen.instance.handle == i.handle);
                for instance in there.into_iter().filter(known).collect::<Vec<_>>() {
                    book.observe(executor, instance, now);
                }
                if book.operation.is_none() {
                    self.relist.extend(book.uncertain.filter(|uncertain| *uncertain == executor));
                }
                continue;
            }
            if book.uncertain == Some(executor) {
                book.uncertain = None;
            }
            let gone = |seen: &&Seen| seen.by == executor && !there.iter().any(|i| i.handle == seen.instance.handle);
            let missing: Vec<Handle> =
                book.instances.iter().filter(gone).map(|seen| seen.instance.handle.clone()).collect();
            for handle in missing {
                book.forget(&handle, now);
            }
            for instance in there {
                book.believe(&instance);
                if first {
                    book.adopted = Some(instance.handle.clone());
                }
                book.observe(executor, instance, now);
            }
        }
    }

    pub(super) fn done(&mut self, step: Step, result: Result<Outcome, ExecutorError>, now: Now) {
        let book = self.touch(&step.id);
        if let (StepAction::Start(..), Some(times)) = (&step.action, &mut book.times) {
            times.beginning = None;
        }
        match result {
            // It runs as before, and nothing but its quota is at stake.
            Ok(Outcome::Limited(instance)) => {
                book.limit_retry = None;
                book.limit_error = None;
                book.observe(step.executor, instance, now);
            }
            Err(error) if matches!(step.action, StepAction::Limit(..)) => {
                book.limit_retry = Some(now.mono.plus(LIMIT_RETRY));
                book.limit_error = Some(error.message);
                book.news = book.news.saturating_add(1);
                self.relist.push(step.executor);
            }
            Err(error) if matches!(error.reason, Reason::ImagePull | Reason::VolumeWait) => {
                book.note_waiting(error.reason, error.message, now);
            }
            Ok(outcome) => {
                book.note_success(step.action.is_end());
                match (outcome, step.action) {
                    (Outcome::Started(instance), _) => {
                        book.restarts = book.restarts.saturating_add(u64::from(book.ended_by_itself));
                        book.ended_by_itself = false;
                        book.observe(step.executor, instance, now);
                    }
                    (Outcome::Resumed(instance), _) => {
                        // It had been stopped, and is back: what is told of it from here on counts again.
                        let stopped = |seen: &&mut Seen| {
                            seen.instance.handle == instance.handle && seen.instance.look == u64::MAX
                        };
                        if let Some(seen) = book.instances.iter_mut().find(stopped) {
                            seen.instance.look = instance.look;
                        }
                        let was_down = book.instances.iter().any(|seen| {
                            seen.instance.handle == instance.handle && !(seen.runs() && seen.down().is_empty())
                        });
                        book.restarts = book.restarts.saturating_add(u64::from(was_down));
                        book.ended_by_itself = false;
                        if was_down && book.adopted.as_ref() == Some(&instance.handle) {
                            book.adopted = None;
                        }
                        let same = |seen: &Seen| {
                            seen.instance.handle == instance.handle && seen.instance.phase == instance.phase
                        };
                        if was_down && book.instances.iter().any(same) {
                            let message = "it was started again, and is as it was".to_owned();
                            book.note_failure(Reason::StartFailed, message, now);
                        }
                        book.observe(step.executor, instance, now);
                    }
                    (Outcome::Stopped(end), StepAction::Stop(handle)) => {
                        let known = book.instances.iter().find(|seen| seen.instance.handle == handle);
                        if let Some(mut instance) = known.map(|seen| seen.instance.clone()) {
                            instance.phase = crate::executor::Phase::Ended(end);
                            // Nothing brings it back: all other news of it are older.
                            instance.look = u64::MAX;
                            book.observe(step.executor, instance, now);
                        }
                    }
                    (_, StepAction::Remove(handle)) => book.forget(&handle, now),
                    (_, _) => {}
                }
            }
            Err(error) if step.action.is_end() => {
                book.note_end_failure(error.message, now);
                book.uncertain = Some(step.executor);
            }
            // No failure of the workload's: whether the executor can be asked, the list tells that is asked for now.
            Err(error) if error.reason == Reason::ExecutorUnreachable => {
                book.note_unreachable(error.message, now);
                book.uncertain = Some(step.executor);
            }
            Err(error) => {
                book.note_failure(error.reason, error.message, now);
                book.uncertain = Some(step.executor);
            }
        }
        let book = self.touch(&step.id);
        book.operation = None;
        let uncertain = book.uncertain;
        self.relist.extend(uncertain);
    }
}
