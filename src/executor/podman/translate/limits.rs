//! What a container may use, as far as the machine can hold it to that.

use serde_json::{Value as Json, json};

use super::{PERIOD_US, Place};
use crate::model::pod::Container;

/// Into the body of `containers/create`; what is not kept is warned about.
pub(super) fn limits(
    body: &mut Json,
    container: &Container,
    place: &Place,
    quota_us: Option<u32>,
    warnings: &mut Vec<String>,
) {
    let of = &container.resources;
    let mut not_enforced = |what: &str| {
        warnings.push(format!(
            "LimitNotEnforced: podman cannot limit {what} on this machine (container {}): {}",
            container.name, place.no_limits
        ));
    };
    let mut found = json!({});
    if place.cpu {
        if let Some(quota) = quota_us {
            found["cpu"] = json!({ "quota": quota, "period": PERIOD_US });
        }
        if let Some(milli) = of.cpu_request_milli {
            // As Kubernetes does it: 1024 for a whole core, at least 2.
            found["cpu"]["shares"] = json!((u64::from(milli) * 1024 / 1000).max(2));
        }
    } else if of.cpu_limit_us.is_some() {
        not_enforced("CPU");
    }
    if place.memory {
        if let Some(bytes) = of.memory_limit {
            found["memory"]["limit"] = json!(bytes);
        }
        if let Some(bytes) = of.memory_request {
            found["memory"]["reservation"] = json!(bytes);
        }
    } else if of.memory_limit.is_some() {
        not_enforced("memory");
    }
    if found.as_object().is_some_and(|limits| !limits.is_empty()) {
        body["resource_limits"] = found;
    }
}
