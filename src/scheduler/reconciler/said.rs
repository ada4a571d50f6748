//! What is said of a workload when a turn is over: its status if it changed, an event if its state did.

use super::{Output, Page};
use crate::model::id::WorkloadId;
use crate::model::status::{Event, Reason, State};
use crate::model::time::Now;
use crate::scheduler::book::Operation;
use crate::scheduler::decide::Verdict;
use crate::scheduler::message::{self, Facts, Sky};

/// Says what changed of one workload. What is begun in this turn is said in this turn.
pub(super) fn say(page: &mut Page, verdict: &Verdict, sky: &Sky<'_>, now: Now, seq: &mut u64, out: &mut Output) {
    let mut verdict = verdict.clone();
    if page.book.operation.is_some_and(|(operation, _)| operation == Operation::Stop) {
        verdict.say = Some((State::Running, Reason::Stopping));
    }
    let from = page.said.as_ref().map(|(_, status)| status.state);
    let Some((state, reason)) = verdict.say else {
        if page.book.is_blank()
            && let Some((_, last)) = page.said.take()
        {
            out.events.push(event(seq, now, &page.book.id, from, None, None, format!("{} is gone", last.name)));
            out.statuses.push((page.book.id.clone(), None));
        }
        return;
    };
    let facts = Facts::of(&page.book, (state, reason), &verdict, sky, now);
    if page.said.as_ref().is_some_and(|(last, _)| *last == facts) {
        return;
    }
    let before = page.said.as_ref().map(|(_, status)| status);
    let Some(status) = message::status(&page.book, &facts, before, sky, now) else { return };
    let changed = before.is_none_or(|last| (last.state, last.reason) != (state, reason));
    if changed {
        out.events.push(event(seq, now, &page.book.id, from, Some(state), Some(reason), status.message.clone()));
    }
    // Not all that is compared is said.
    if before != Some(&status) {
        out.statuses.push((page.book.id.clone(), Some(status.clone())));
    }
    page.said = Some((facts, status));
}

fn event(
    seq: &mut u64,
    now: Now,
    id: &WorkloadId,
    from: Option<State>,
    to: Option<State>,
    reason: Option<Reason>,
    message: String,
) -> Event {
    *seq = seq.saturating_add(1);
    Event {
        seq: *seq,
        time: now.wall,
        namespace: id.namespace().into(),
        name: id.name().into(),
        from,
        to,
        reason,
        message,
    }
}
