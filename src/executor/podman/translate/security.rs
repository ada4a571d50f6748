//! Who a container runs as, and what it may.

use serde_json::{Value as Json, json};

use crate::model::pod::Container;

/// Into the body of `containers/create`.
pub(super) fn security(body: &mut Json, container: &Container) {
    let of = &container.security;
    if let Some(user) = of.user {
        body["user"] = json!(of.group.map_or_else(|| user.to_string(), |group| format!("{user}:{group}")));
    }
    if !of.groups.is_empty() {
        body["groups"] = json!(of.groups.iter().map(u32::to_string).collect::<Vec<_>>());
    }
    let names = |caps: &[String]| -> Vec<String> {
        caps.iter().map(|cap| if cap == "ALL" { cap.clone() } else { format!("CAP_{cap}") }).collect()
    };
    if of.privileged {
        body["privileged"] = json!(true);
    }
    if !of.cap_add.is_empty() {
        body["cap_add"] = json!(names(&of.cap_add));
    }
    if !of.cap_drop.is_empty() {
        body["cap_drop"] = json!(names(&of.cap_drop));
    }
    if of.escalation == Some(false) {
        body["no_new_privileges"] = json!(true);
    }
    if of.read_only_root {
        body["read_only_filesystem"] = json!(true);
    }
    if of.seccomp_unconfined {
        body["seccomp_profile_path"] = json!("unconfined");
    }
    if of.unmasked {
        body["unmask"] = json!(["ALL"]);
    }
}
