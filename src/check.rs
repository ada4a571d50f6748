//! `flotta-agent check`: what configuration and manifests were understood as.

use std::io::Write;

use crate::cli::Exit;
use crate::cli::check::{CheckReport, CheckedCondition, CheckedCron, CheckedProfile, CheckedWorkload};
use crate::clock;
use crate::condition;
use crate::config::{Loaded, absent};
use crate::cron::{Schedule, Zone};
use crate::model::problem::Problem;
use crate::model::profile::ProfileSpec;
use crate::model::time::Wall;
use crate::model::workload::Payload;
use crate::source::flotta::Files;
use crate::source::manifests::{Settings, read_once};
use crate::spec_hash::DeviceKey;

/// How many of a schedule's next times are shown.
const NEXT_TIMES: usize = 3;

/// Reads everything as the agent would, and says what it found.
pub fn run(loaded: &Loaded, out: &mut dyn Write) -> Exit {
    let report = report(loaded, clock::wall());
    match report.write(out).and_then(|()| out.flush()) {
        Ok(()) => report.exit(),
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => report.exit(),
        Err(_) => Exit::Wrong,
    }
}

fn report(loaded: &Loaded, now: Wall) -> CheckReport {
    let config = &loaded.config;
    // Hashes are not shown, so any key will do: a check neither makes nor needs a state directory.
    let settings = Settings {
        device_id: config.device_id.clone(),
        fallback_id: "this-device".into(),
        key: DeviceKey::new([0; 32]),
    };
    let outcome = read_once(&config.manifests.dir, &settings);
    let mut report = CheckReport { problems: outcome.desired.problems, ..CheckReport::default() };
    report
        .problems
        .retain(|problem| !outcome.warnings.contains(problem) && !problem.message.ends_with("it counts as false"));
    let files = if config.server.url.is_some() { Files::of(&config.server).wrong() } else { Vec::new() };
    report.problems.extend(files.into_iter().map(|why| Problem::new(loaded.place("SERVER"), why)));
    report.warnings.extend(loaded.warnings.iter().cloned());
    report.warnings.extend(absent(loaded).into_iter().filter(|problem| !problem.message.starts_with("manifests.dir")));
    report.warnings.extend(outcome.warnings);
    report.warnings.extend(outcome.notes);
    report.profiles = outcome.desired.profiles.iter().map(profile).collect();
    if outcome.desired.workloads.values().any(|workload| workload.cron.is_some())
        && let Err(why) = Zone::try_local()
    {
        report.warnings.push(Problem::new("time zone", format!("{why}; the device's own clock counts as UTC")));
    }
    for workload in outcome.desired.workloads.values() {
        report.workloads.push(CheckedWorkload {
            id: workload.id.clone(),
            kind: workload.kind,
            origin: workload.origin.clone(),
            cron: workload.cron.as_ref().map(|cron| checked_cron(&cron.schedule, now)),
            warnings: match &workload.payload {
                Payload::Invalid(why) => vec![format!("InvalidSpec: {why}")],
                _ => Vec::new(),
            },
        });
    }
    report
}

fn checked_cron(schedule: &Schedule, now: Wall) -> CheckedCron {
    let next = std::iter::successors(schedule.next(now), |at| schedule.next(*at)).take(NEXT_TIMES);
    CheckedCron {
        expression: schedule.expression().to_owned(),
        understood: schedule.describe(),
        next: next.map(|at| schedule.zone().clock(at, now)).collect(),
    }
}

fn profile(spec: &ProfileSpec) -> CheckedProfile {
    let condition = |condition: &crate::model::profile::ConditionSpec| CheckedCondition {
        name: condition.name.clone(),
        expression: condition.expression.clone(),
        understood: condition::compile(&condition.expression)
            .map(|program| program.to_string())
            .map_err(|why| why.to_string()),
    };
    CheckedProfile { name: spec.name.clone(), conditions: spec.conditions.iter().map(condition).collect() }
}
