//! `why WORKLOAD`: from the metrics over conditions and profiles to the decision, and what would change it.

use std::io::Write;

use super::Trouble;
use super::client::Agent;
use super::remedy::remedy;
use super::text::{age, line, seconds};
use super::tree::Tree;
use crate::model::status::{
    ConditionStatus, DeviceStatus, GateStatus, MetricStatus, ProfileStatus, State, WorkloadStatus,
};
use crate::named;

/// All that the agent knows about it.
pub(super) struct Known {
    pub device: DeviceStatus,
    pub profiles: Vec<ProfileStatus>,
    pub metrics: Vec<MetricStatus>,
}

impl Known {
    pub(super) fn profile(&self, name: &str) -> Option<&ProfileStatus> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

/// Finds the workload and writes the chain.
pub(super) async fn workload(agent: &Agent, wanted: &str, out: &mut dyn Write) -> Result<(), Trouble> {
    let workloads: Vec<WorkloadStatus> = agent.get("/api/v1/workloads").await?;
    let workload = named::find(&workloads, wanted).map_err(Trouble::Wrong)?;
    let known = Known {
        device: agent.get("/api/v1/device").await?,
        profiles: agent.get("/api/v1/profiles").await?,
        metrics: agent.get("/api/v1/metrics").await?,
    };
    out.write_all(explain(workload, &known).as_bytes())?;
    Ok(())
}

fn explain(workload: &WorkloadStatus, known: &Known) -> String {
    let now = known.device.observed_at;
    let head = format!(
        "{} ({}): {}, {}, for {}",
        line(&named::id(workload)),
        workload.kind.as_str(),
        workload.state.as_str(),
        workload.reason,
        age(workload.since, now)
    );
    let mut tree = Tree::new(head, vec![Tree::leaf(line(&workload.message))]);
    if workload.profiles.is_empty() {
        tree.below.push(Tree::leaf("no profiles: it is always active"));
    }
    tree.below.extend(workload.profiles.iter().map(|gate| self::gate(gate, known)));
    tree.below.extend(facts(workload, known).into_iter().map(Tree::leaf));
    let label = match workload.state {
        State::Running | State::Degraded => "what would stop it",
        _ => "what would make it run",
    };
    tree.below.push(Tree::leaf(format!("{label}: {}", remedy(workload, known))));
    tree.draw()
}

fn facts(workload: &WorkloadStatus, known: &Known) -> Vec<String> {
    let now = known.device.observed_at;
    let mut facts = Vec::new();
    if known.device.locked {
        facts.push("the device is locked".to_string());
    }
    if let Some(quota) = workload.cpu_quota_us {
        facts.push(format!("cpu: {quota} µs per 100 ms ({}.{} % of one core)", quota / 1000, quota % 1000 / 100));
    }
    if let Some(at) = workload.last_run {
        let code = workload.last_exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
        facts.push(format!("last run: {} ago{code}", age(at, now)));
    }
    if let Some(at) = workload.next_run {
        facts.push(format!("next run: in {} ({})", age(now, at), at.rfc3339()));
    }
    if workload.restarts > 0 {
        facts.push(format!("restarts: {}", workload.restarts));
    }
    facts.extend(workload.warnings.iter().map(|warning| format!("warning: {}", line(warning))));
    facts
}

fn gate(gate: &GateStatus, known: &Known) -> Tree {
    let name = line(&gate.name);
    let active = if gate.active { "active" } else { "not active" };
    let Some(profile) = known.profile(&gate.name) else {
        return Tree::leaf(format!("profile {name}: {active}; the device has no profile of that name"));
    };
    let named: Vec<Tree> = if gate.conditions.is_empty() {
        profile.conditions.iter().map(|condition| self::condition(condition, known)).collect()
    } else {
        let find = |name: &String| profile.conditions.iter().find(|condition| condition.name == *name);
        let missing = |name: &str| Tree::leaf(format!("{}: the profile has no condition of that name", line(name)));
        gate.conditions
            .iter()
            .map(|name| find(name).map_or_else(|| missing(name), |c| self::condition(c, known)))
            .collect()
    };
    let rule = match named.len() {
        0 => "it has no conditions, so it is never active",
        1 => "needs this condition",
        _ => "needs one of these conditions",
    };
    Tree::new(format!("profile {name}: {active}; {rule}"), named)
}

fn condition(condition: &ConditionStatus, known: &Known) -> Tree {
    let stale = if condition.stale { " (stale: as before the restart, until its metrics arrive)" } else { "" };
    let text = format!("{}: {}{stale}, {}", line(&condition.name), condition.value, line(&condition.expression));
    let mut below: Vec<Tree> = Vec::new();
    if let Some(error) = &condition.error {
        below.push(Tree::leaf(format!("refused: {}", line(error))));
    }
    below.extend(condition.metrics.iter().map(|(name, value)| Tree::leaf(metric(name, *value, known))));
    Tree::new(text, below)
}

/// The value is the one that the condition was judged with; age and origin are those of the metric now.
fn metric(name: &str, value: Option<f64>, known: &Known) -> String {
    let held = known.metrics.iter().find(|metric| metric.name == name);
    match (value, held) {
        (Some(value), Some(held)) => {
            let unit = held.unit.as_ref().map(|unit| format!(" {}", line(unit))).unwrap_or_default();
            let source = serde_json::to_value(held.source).ok();
            let source = source.as_ref().and_then(|source| source.as_str()).unwrap_or_default();
            format!("{} = {value}{unit}, {} ago over {source}", line(name), seconds(held.age_seconds))
        }
        (Some(value), None) => format!("{} = {value}", line(name)),
        (None, _) => format!("{} = nil: it never came, was cleared, or outlived its time", line(name)),
    }
}
