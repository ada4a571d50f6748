//! How many files the process may have open: one for each client of the embedded broker, and some for everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Broker, Config};
use crate::model::problem::Problem;

/// For manifests, state, HTTP, podman and the workloads' shims.
const OTHERS: u64 = 512;

/// Raises the soft limit if the configuration needs it, and only then: workloads inherit it.
///
/// # Errors
/// What a person should mend, when the hard limit is too low.
pub(super) fn allow(config: &Config) -> Result<(), Problem> {
    if config.mqtt.broker != Broker::Embedded {
        return Ok(());
    }
    let clients = config.mqtt.limits.connections as u64;
    let wanted = clients.saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum });
    if possible >= wanted && raised.is_ok() {
        return Ok(());
    }
    let message = format!(
        "{clients} clients and everything else need {wanted} open files, and this process may have {possible}: raise LimitNOFILE of the service (or ulimit -Hn), or lower mqtt.limits.connections"
    );
    Err(Problem::new("mqtt.limits.connections", message))
}
