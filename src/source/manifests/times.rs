//! When an `EdgeWorkload` runs, and how long it waits before it is tried again: `cron…` and `retry`.

use std::time::Duration;

use crate::cron::Zone;
use crate::model::workload::{Kind, RestartPolicy, Retry};
use crate::source::reading::cron::WrittenCron;
use crate::source::reading::fields::{Fields, Report, text};
use crate::source::reading::limits::RETRY_SECONDS;
use crate::source::reading::retry::Growing;

/// `cron`, `cronTimeZone` and `cronCatchUp`.
pub(super) fn cron(report: &mut Report, spec: &mut Fields<'_>, kind: Kind) -> Option<WrittenCron> {
    let Some((key, node)) = spec.entry("cron") else {
        for field in ["cronTimeZone", "cronCatchUp"] {
            if let Some((key, _)) = spec.take_entry(field) {
                report.warn(key.at, format!("spec.{field}: is ignored without spec.cron"));
            }
        }
        return None;
    };
    if kind.is_of_a_cluster() {
        spec.ignore(&["cron", "cronTimeZone", "cronCatchUp"]);
        let kind = kind.as_str();
        report.warn(key.at, format!("spec.cron: is ignored for type {kind}: there, a CronJob does it"));
        return None;
    }
    let at = node.at;
    let written = spec.text(report, "cron");
    let catch_up = spec.boolean(report, "cronCatchUp").unwrap_or(false);
    let zone = match spec.take("cronTimeZone") {
        None => None,
        Some(node) => {
            let name = text(report, "spec.cronTimeZone", node)?;
            let zone = Zone::named(&name).map_err(|why| report.error(node.at, format!("spec.cronTimeZone: {why}")));
            Some(zone.ok()?)
        }
    };
    WrittenCron::read(&written?, zone, catch_up).map_err(|why| report.error(at, format!("spec.cron: {why}"))).ok()
}

/// What a cron workload's `restartPolicy` becomes, whatever is written.
pub(super) fn once(report: &mut Report, spec: &Fields<'_>, written: Option<RestartPolicy>) -> RestartPolicy {
    if let Some(policy @ (RestartPolicy::Always | RestartPolicy::OnFailure)) = written {
        report.warn(
            spec.at,
            format!("restartPolicy: {policy:?} is ignored beside spec.cron: a cron run is not started again (Never)"),
        );
    }
    RestartPolicy::Never
}

/// `retry`; a cron workload has none, and a cluster has its own.
pub(super) fn retry(report: &mut Report, spec: &mut Fields<'_>, kind: Kind, cron: bool) -> Retry {
    let at = spec.entry("retry").map(|(key, _)| key.at);
    let why = match kind.is_of_a_cluster() {
        true => Some(format!("for type {}: the cluster has its own", kind.as_str())),
        false => cron.then(|| "beside spec.cron: a cron run is not tried again before its next time".to_owned()),
    };
    if let (Some(at), Some(why)) = (at, why) {
        if spec.take("retry").is_some() {
            report.warn(at, format!("spec.retry: is ignored {why}"));
        }
        return Retry::DEFAULT;
    }
    let Some(mut retry) = spec.map(report, "retry") else { return Retry::DEFAULT };
    let mut found = Retry::DEFAULT;
    let growing = retry.entry("exponentialBackoff").is_some();
    if let Some((key, _)) = retry.entry("constantBackoff").filter(|_| growing) {
        report.warn(key.at, "spec.retry.constantBackoff: is ignored, since exponentialBackoff is there too");
    }
    if let Some(mut constant) = retry.map(report, "constantBackoff") {
        let (from, to) = RETRY_SECONDS;
        if let Some(seconds) = constant.integer(report, "periodSeconds", from, to) {
            found = Retry::Constant(Duration::from_secs(u64::try_from(seconds).unwrap_or(20)));
        }
        constant.finish(report);
    }
    if let Some(exponential) = retry.map(report, "exponentialBackoff") {
        found = exponentially(report, exponential);
    }
    retry.finish(report);
    found
}

fn exponentially(report: &mut Report, mut fields: Fields<'_>) -> Retry {
    let place = |field: &str| fields.entry(field).map_or(fields.at, |(_, node)| node.at);
    let names = ["initialIntervalSeconds", "multiplier", "randomizationFactor", "maxIntervalSeconds"];
    let places = names.map(|name| (name, place(name)));
    let growing = Growing {
        initial: fields.number(report, "initialIntervalSeconds"),
        multiplier: fields.number(report, "multiplier"),
        randomization: fields.number(report, "randomizationFactor"),
        max: fields.number(report, "maxIntervalSeconds"),
    };
    let (path, around) = (fields.path.clone(), fields.at);
    let used = growing.used(|field, why| {
        let at = places.iter().find(|(name, _)| *name == field).map_or(around, |(_, at)| *at);
        report.warn(at, format!("{path}.{field}: {why}"));
    });
    fields.finish(report);
    Retry::Exponential(used)
}

#[cfg(test)]
mod tests;
