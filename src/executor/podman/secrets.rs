//! Variables whose values come from Secrets: known to the container's own processes, and shown to nobody.
//!
//! A container's `env` stands in podman's database, in `podman inspect`, and in the file for the runtime. So these variables
//! are made of podman's own secrets, of the kind whose value is asked for by a command at each start and each exec: `cat` of
//! a file in memory that only podman's user can read (see [`super::runtime`]). Podman stores the command, not the value.
//!
//! Podman writes the value once more, into the file for the runtime beside the container (`config.json`, readable by all in
//! directories of its user alone), and before 4.4 shows in `podman inspect` what stands there. Nobody reads that file once
//! the process runs, and podman writes it anew before each start: so it is removed when a container is seen to run.
//!
//! Their names are `flotta-<owner>-<version>-<number>`: secrets of podman 4.3 carry no labels.

use std::path::Path;

use super::client::{ApiError, Client};
use super::observe::{Part, Pod};
use super::table::State;
use super::translate::NewSecret;
use super::{Inner, labels, runtime};
use crate::model::id::WorkloadId;

/// Before the number of a pod's secrets; `version` is the end of the pod's name.
pub(super) fn prefix(owner: &str, version: &str) -> String {
    format!("{}{version}-", of_agent(owner))
}

fn of_agent(owner: &str) -> String {
    format!("flotta-{owner}-")
}

/// Makes those of a pod that are not there.
pub(super) async fn make(client: &Client, secrets: &[NewSecret]) -> Result<(), (String, ApiError)> {
    if secrets.is_empty() {
        return Ok(());
    }
    let there = client.secrets().await.map_err(|why| ("secrets".to_owned(), why))?;
    for secret in secrets.iter().filter(|secret| !there.contains(&secret.name)) {
        let made = client.create_secret(&secret.name, &lookup(&secret.file)).await;
        made.map_err(|why| (format!("secret {}", secret.name), why))?;
    }
    Ok(())
}

/// What podman runs, by `sh -c`, to get a value.
fn lookup(file: &str) -> String {
    format!("cat '{}'", file.replace('\'', r"'\''"))
}

/// Removes those of a pod.
pub(super) async fn remove(inner: &Inner, pod: &str, count: usize) -> Result<(), ApiError> {
    let version = pod.rsplit_once('-').map_or(pod, |(_, version)| version);
    let prefix = prefix(&inner.setting.owner, version);
    for number in 0..count {
        inner.client.remove_secret(&format!("{prefix}{number}")).await?;
    }
    Ok(())
}

/// Of these names, the secrets of this agent whose pod, known by its version, is left.
pub(super) fn left(names: Vec<String>, owner: &str, mut is_left: impl FnMut(&str) -> bool) -> Vec<String> {
    let ours = of_agent(owner);
    let version = |name: &str| name.strip_prefix(&ours)?.rsplit_once('-').map(|(version, _)| version.to_owned());
    names.into_iter().filter(|name| version(name).is_some_and(|version| is_left(&version))).collect()
}

/// A container of which podman wrote a file with its environment, and the process it was for; 0: that has ended.
pub(super) type Written = (WorkloadId, String, i64);

/// Containers whose file was not looked for since their process began, or ended.
pub(super) fn to_hide(state: &mut State, pods: &[Pod], all: bool) -> Vec<Written> {
    let parts = || pods.iter().flat_map(|pod| pod.parts().map(move |part| (pod, part)));
    let with = || parts().filter(|(_, part)| part.at.label(labels::SECRET_ENV).is_some());
    // Podman writes it before a start: while that is under way, it stays.
    let written = |(_, part): &(&Pod, &Part)| part.at.runs() || (part.at.ended() && !state.is_starting(&part.at.id));
    let found: Vec<Written> = with()
        .filter(written)
        .map(|(pod, part)| (pod.id.clone(), part.at.id.clone(), if part.at.runs() { part.at.pid } else { 0 }))
        .collect();
    let new = found.iter().filter(|(_, id, pid)| !state.hidden.contains(&(id.clone(), *pid))).cloned().collect();
    state.hidden.retain(|(id, _)| !all && !parts().any(|(_, part)| part.at.id == *id));
    state.hidden.extend(found.into_iter().map(|(_, id, pid)| (id, pid)));
    new
}

/// Removes the file of each.
pub(super) async fn hide(inner: &Inner, containers: Vec<Written>) {
    if inner.is_anybodys() {
        let mut state = inner.table.lock();
        for (_, id, pid) in containers {
            state.hidden.remove(&(id, pid));
        }
        return;
    }
    // One's own, or the user's who is served.
    let uid = inner.runtime.owner().map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
    for (workload, id, pid) in containers {
        let found = match inner.client.inspect(&id).await {
            Ok(found) if pid > 0 || !inner.table.lock().is_starting(&id) => found.oci_config_path,
            // A later look sees to it.
            Ok(_) | Err(_) => {
                inner.table.lock().hidden.remove(&(id, pid));
                continue;
            }
        };
        if found.is_empty() {
            continue;
        }
        let path = Path::new(&found);
        match runtime::remove_theirs(path, uid) {
            Ok(()) => tracing::debug!(%workload, container = id, "podman's file with its environment is removed"),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && path.parent().is_some_and(Path::exists) => {}
            Err(why) => tracing::warn!(
                %workload,
                container = id,
                file = found,
                %why,
                "values of Secrets stay in a file of podman's user (before podman 4.4 in podman inspect, too) while this container is there"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_this_agents_by_its_name_alone_and_left_when_its_pod_is() {
        let names = [
            "flotta-us-0123456789ab-0",
            "flotta-us-ffffffffffff-11",
            "flotta-others-0123456789ab-0",
            "mine",
            "flotta-us-",
        ];
        let found = left(names.map(str::to_owned).into(), "us", |version| version == "0123456789ab");
        assert_eq!(found, ["flotta-us-0123456789ab-0"]);
        assert_eq!(prefix("us", "0123456789ab"), "flotta-us-0123456789ab-");
    }

    #[test]
    fn a_path_is_one_word_of_a_command_whatever_stands_in_it() {
        assert_eq!(lookup("/run/a/b"), "cat '/run/a/b'");
        assert_eq!(lookup("/run/it's; rm -r"), r"cat '/run/it'\''s; rm -r'");
    }
}
