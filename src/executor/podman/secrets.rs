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

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::client::{ApiError, Client};
use super::observe::Pod;
use super::table::State;
use super::translate::NewSecret;
use super::{Inner, runtime};

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
    let there = client.secrets().await.map_err(|why| ("podman's secrets".to_owned(), why))?;
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

/// Containers that run and whose file for the runtime was not looked for since.
pub(super) fn to_hide(state: &mut State, pods: &[Pod]) -> Vec<String> {
    let with = || pods.iter().flat_map(Pod::parts).filter(|part| part.at.label(super::labels::SECRET_ENV).is_some());
    let run: Vec<(String, i64)> =
        with().filter(|part| part.at.runs() && part.at.pid > 0).map(|part| (part.at.id.clone(), part.at.pid)).collect();
    let new = run.iter().filter(|at| !state.hidden.contains(*at)).map(|(id, _)| id.clone()).collect();
    // Those of other workloads stay.
    state.hidden.retain(|(id, _)| !with().any(|part| part.at.id == *id));
    state.hidden.extend(run);
    new
}

/// Removes the file for the runtime of containers that run.
pub(super) async fn hide(inner: &Inner, containers: &[String]) {
    for id in containers {
        let path = match inner.client.inspect(id).await {
            Ok(found) => found.oci_config_path,
            Err(why) => {
                tracing::debug!(container = id, %why, "what podman wrote for its runtime cannot be looked for");
                continue;
            }
        };
        if path.is_empty() {
            continue;
        }
        // One's own runtime directory, or that of the user who is served.
        let uid = inner.setting.runtime.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
        let path = Path::new(&path);
        match runtime::remove_theirs(path, uid) {
            Ok(()) => tracing::debug!(container = id, "the file with its environment is removed"),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && is_seen(path) => {}
            Err(why) => tracing::warn!(
                container = id,
                file = %path.display(),
                %why,
                "values of Secrets stay in a file of podman's user while this container runs (and, before podman 4.4, in podman inspect)"
            ),
        }
    }
}

/// Podman's directories are to be seen from here.
fn is_seen(path: &Path) -> bool {
    path.parent().is_some_and(|dir| std::fs::metadata(dir).is_ok_and(|found| found.nlink() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_this_agents_by_its_name_alone_and_left_when_its_pod_is() {
        let names = ["flotta-us-0123456789ab-0", "flotta-us-ffffffffffff-11", "flotta-others-0123456789ab-0", "mine", "flotta-us-"];
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
