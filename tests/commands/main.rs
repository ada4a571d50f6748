//! Commands from a person at the device: over the unix socket, from the built binary, and what they do to workloads.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "../common/clients.rs"]
mod clients;
#[path = "../common/device.rs"]
mod device;
#[path = "../common/processes.rs"]
mod processes;

mod access;
mod desk;
mod lock;
mod run;
mod said;
mod spoken;

/// A manifest of a shell workload; `more` are further lines of its spec.
fn shell(name: &str, spec: &str, more: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n{more}  shell: {spec}\n"
    )
}
