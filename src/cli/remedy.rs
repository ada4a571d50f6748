//! The last line of `why`: what would change the state, in words.

use super::text::{age, line};
use super::why::Known;
use crate::model::status::{GateStatus, Reason, WorkloadStatus};
use crate::named;

/// What would make it run, or, for one that runs, what would stop it.
pub(super) fn remedy(workload: &WorkloadStatus, known: &Known) -> String {
    let next = match workload.next_run {
        Some(at) => format!("its next try, in {}", age(known.device.observed_at, at)),
        None => "its next try".into(),
    };
    match workload.reason {
        Reason::Running | Reason::Adopted => stop(workload),
        Reason::Stopping => "it is being stopped already".into(),
        Reason::ConditionFalse | Reason::UnknownProfile if known.device.locked => "unlocking the device".into(),
        Reason::ConditionFalse | Reason::UnknownProfile => gates(workload, known),
        Reason::Locked => "unlocking the device: flotta-agent host unlock".into(),
        Reason::CronWait => match workload.next_run {
            Some(at) => format!("its next time, in {}; now: {}", age(known.device.observed_at, at), run_now(workload)),
            None => format!("its next time; now: {}", run_now(workload)),
        },
        Reason::ShuttingDown => "starting the agent again".into(),
        Reason::Starting => "nothing more: it is being started".into(),
        Reason::BackOff => next,
        Reason::StartFailed | Reason::StopFailed => format!("{next}, if what the message names is mended"),
        Reason::ExecutorUnreachable => "that whoever carries it out answers again".into(),
        Reason::InvalidSpec => "a corrected manifest".into(),
        Reason::NotSupported => "a manifest that asks for something else, or a later version of the agent".into(),
        Reason::Completed | Reason::Failed if workload.profiles.is_empty() => {
            format!("a changed spec, or {}", run_now(workload))
        }
        Reason::Completed | Reason::Failed => {
            format!("a changed spec, its profiles turning false and true again, or {}", run_now(workload))
        }
        #[allow(unreachable_patterns, reason = "the list of reasons grows, and an older sentence is better than none")]
        _ => next,
    }
}

fn run_now(workload: &WorkloadStatus) -> String {
    format!("flotta-agent workload run {}", line(&named::id(workload)))
}

fn stop(workload: &WorkloadStatus) -> String {
    match workload.profiles.as_slice() {
        [] => "removing it, or stopping the device".into(),
        [only] => format!("profile {} turning false", line(&only.name)),
        several => {
            let names: Vec<String> = several.iter().map(|gate| line(&gate.name)).collect();
            format!("any of the profiles {} turning false", names.join(", "))
        }
    }
}

fn gates(workload: &WorkloadStatus, known: &Known) -> String {
    let closed: Vec<String> =
        workload.profiles.iter().filter(|gate| !gate.active).map(|gate| self::gate(gate, known)).collect();
    if closed.is_empty() { "nothing more: its profiles are active".into() } else { closed.join("; and ") }
}

fn gate(gate: &GateStatus, known: &Known) -> String {
    let Some(profile) = known.profile(&gate.name) else {
        return format!("giving the device a profile {}", line(&gate.name));
    };
    let wanted: Vec<_> = profile
        .conditions
        .iter()
        .filter(|condition| gate.conditions.is_empty() || gate.conditions.contains(&condition.name))
        .collect();
    let sound = wanted.iter().filter(|condition| condition.error.is_none());
    let ways: Vec<String> = sound.map(|condition| line(&condition.expression)).collect();
    match ways.as_slice() {
        [] if wanted.is_empty() => {
            format!("giving profile {} the condition {}", line(&gate.name), line(&gate.conditions.join(" or ")))
        }
        [] => format!("correcting the expressions of profile {}", line(&gate.name)),
        [one] => format!("{one} turning true"),
        several => format!("one of these turning true: {}", several.join("; ")),
    }
}
