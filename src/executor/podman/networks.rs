//! The networks that a pod joins: there, or said how they are made.

use super::Inner;
use crate::executor::ExecutorError;
use crate::model::pod::{Joined, NETWORK, Network, PodSpec};
use crate::model::status::Reason;

/// Before a start. Networks are the device's to make, not a workload's.
pub(super) async fn check(inner: &Inner, spec: &PodSpec) -> Result<(), ExecutorError> {
    let Network::Named(joined) = &spec.network else { return Ok(()) };
    for Joined { name, .. } in joined {
        let what = format!("network {name}");
        let there = inner.client.has_network(name).await;
        if !there.map_err(|why| inner.error(Reason::StartFailed, &what, why))? {
            let whose = if inner.setting.user.is_some() { "as the user of the rootless podman: " } else { "" };
            let message = format!(
                "{what} is not there, which the annotation {NETWORK} asks for: {whose}podman network create {name}"
            );
            return Err(ExecutorError { reason: Reason::StartFailed, message });
        }
    }
    Ok(())
}
