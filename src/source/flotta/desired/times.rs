//! When a workload of the server runs, and how long it waits before it is tried again: `cron` and `retry`.

use std::time::Duration;

use crate::cron::Zone;
use crate::model::problem::Problem;
use crate::model::workload::{Cron, Kind, RestartPolicy, Retry};
use crate::source::flotta::wire::configuration::Workload as Wire;
use crate::source::reading::carried::default_restart;
use crate::source::reading::cron::WrittenCron;
use crate::source::reading::limits::RETRY_SECONDS;
use crate::source::reading::retry::Growing;
use crate::source::reading::tree::short;

pub(super) struct Times {
    pub cron: Option<Cron>,
    pub retry: Retry,
    pub restart: RestartPolicy,
}

/// `written` is the PodSpec's restart policy.
pub(super) fn read(
    wire: &Wire,
    kind: Kind,
    written: Option<RestartPolicy>,
    prefix: &str,
    errors: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Times {
    let mut warn = |message: String| warnings.push(Problem::new(prefix, message));
    if kind.is_of_a_cluster() {
        let kind_name = kind.as_str();
        if wire.cron.is_some() {
            warn(format!("spec.cron: is ignored for type {kind_name}: there, a CronJob does it"));
        }
        if wire.retry.is_some() {
            warn(format!("spec.retry: is ignored for type {kind_name}: the cluster has its own"));
        }
        let restart = written.unwrap_or_else(|| default_restart(kind, false));
        return Times { cron: None, retry: Retry::DEFAULT, restart };
    }
    let Some(line) = &wire.cron else {
        let restart = written.unwrap_or_else(|| default_restart(kind, false));
        return Times { cron: None, retry: retry(wire, errors, warn), restart };
    };
    if wire.retry.is_some() {
        warn("spec.retry: is ignored beside spec.cron: a cron run is not tried again before its next time".into());
    }
    if let Some(policy @ (RestartPolicy::Always | RestartPolicy::OnFailure)) = written {
        warn(format!("restartPolicy: {policy:?} is ignored beside spec.cron: a cron run is not started again (Never)"));
    }
    let read = WrittenCron::read(line, None, false);
    let read = read.map_err(|why| errors.push(Problem::new(prefix, format!("spec.cron: {why}")))).ok();
    Times { cron: read.map(|cron| cron.by(Zone::local)), retry: Retry::DEFAULT, restart: default_restart(kind, true) }
}

fn retry(wire: &Wire, errors: &mut Vec<Problem>, mut warn: impl FnMut(String)) -> Retry {
    let Some(retry) = &wire.retry else { return Retry::DEFAULT };
    let growing = Growing {
        // Of these 0 is how the server leaves one out.
        initial: retry.initial_interval_seconds.filter(|seconds| *seconds != 0).map(seconds),
        multiplier: retry.multiplier.filter(|factor| *factor != 0.0),
        randomization: retry.randomization_factor,
        max: None,
    };
    let constant = retry.period_seconds.filter(|seconds| *seconds != 0);
    let backoff = retry.backoff.as_deref().unwrap_or_default().to_ascii_lowercase();
    let exponential = match backoff.as_str() {
        name if name.starts_with("exponential") => true,
        name if name.starts_with("constant") => false,
        "" => growing != Growing::default(),
        other => {
            warn(format!("retry.backoff: must be exponential or constant, not {:?}: ignored", short(other)));
            growing != Growing::default()
        }
    };
    if exponential {
        if constant.is_some() {
            warn("retry.periodSeconds: is ignored, since the backoff is exponential".into());
        }
        return Retry::Exponential(growing.used(|field, why| warn(format!("retry.{field}: {why}"))));
    }
    let (from, to) = RETRY_SECONDS;
    match constant {
        None => Retry::DEFAULT,
        Some(seconds) if (from..=to).contains(&seconds) => {
            Retry::Constant(Duration::from_secs(u64::try_from(seconds).unwrap_or(20)))
        }
        Some(seconds) => {
            let message = format!("must be whole seconds from {from} to {to}, not {seconds} (workload {})", wire.name);
            errors.push(Problem::new(format!("server: {}.retry.periodSeconds", wire.at), message));
            Retry::DEFAULT
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is too large")]
fn seconds(whole: i64) -> f64 {
    whole as f64
}
