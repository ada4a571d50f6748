//! The body of `containers/create`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::env::{Environment, expand, open};
use super::limits::limits;
use super::security::security;
use super::{LOG_MAX_BYTES, Place};
use crate::model::pod::{Container, PodJob, SECRET_IS_SHOWN};
use crate::model::workload::{SourceKind, Workload};

#[expect(clippy::too_many_arguments, reason = "each is a different thing, and it is called once")]
pub(super) fn container_body(
    pod: &str,
    container: &Container,
    workload: &Workload,
    job: &PodJob,
    env: &Environment,
    place: &Place,
    quota_us: Option<u32>,
    labels: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> Json {
    // As Kubernetes does it, with Secrets too: whoever writes it is warned.
    let mut expanded = |field: &str, texts: &[String]| -> Vec<String> {
        let mut all = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let found = expand(text, env);
            if found.untold {
                let name = &container.name;
                warnings.push(format!("container {name}: {field}[{index}] has a part of a Secret: {SECRET_IS_SHOWN}"));
            }
            all.push(found.text);
        }
        all
    };
    let mut body = json!({
        "name": format!("{pod}-{}", container.name),
        "pod": pod,
        "image": container.image,
        "image_pull_policy": "never",
        "restart_policy": "no",
        "stop_timeout": grace_seconds(job.spec.grace),
        "labels": labels,
        "env": open(env),
        "log_configuration": { "size": LOG_MAX_BYTES },
    });
    // The runtimes obey some of them (hooks that run as root): a server does not get that far.
    if !workload.annotations.is_empty() && workload.source == SourceKind::Manifests {
        body["annotations"] = json!(workload.annotations);
    }
    if !container.command.is_empty() {
        body["entrypoint"] = json!(expanded("command", &container.command));
    }
    if !container.args.is_empty() {
        body["command"] = json!(expanded("args", &container.args));
    }
    if let Some(dir) = &container.working_dir {
        body["work_dir"] = json!(dir);
    }
    if container.tty {
        body["terminal"] = json!(true);
    }
    if container.stdin {
        body["stdin"] = json!(true);
    }
    security(&mut body, container);
    limits(&mut body, container, place, quota_us, warnings);
    body
}

fn grace_seconds(grace: Duration) -> u64 {
    // Podman waits whole seconds; less than one is one, so that TERM is heard.
    grace.as_secs().max(u64::from(!grace.is_zero()))
}
