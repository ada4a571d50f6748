//! What containers need before they start: the pod's files, and podman's secrets that read some of them.

use super::client::ApiError;
use super::table::Entry;
use super::translate::{Blueprint, pod_name, translate};
use super::{Inner, secrets};
use crate::executor::ExecutorError;
use crate::model::pod::{FileSource, Files, PodJob, Referred, Volume};
use crate::model::status::Reason;
use crate::model::workload::{Payload, Workload};

/// What is to be said of where a pod's Secrets will be; a sentence.
pub(super) fn warning(inner: &Inner, job: &PodJob, blueprint: &Blueprint) -> Option<String> {
    let secret = |source: &FileSource| matches!(source, FileSource::Object(of) if of.of == Referred::Secret);
    let in_files =
        job.spec.volumes.values().filter_map(Volume::files).flat_map(|files: &Files| &files.sources).any(secret);
    (in_files || !blueprint.secrets.is_empty()).then(|| inner.runtime.on_disk()).flatten()
}

/// For a new pod.
pub(super) async fn make(inner: &Inner, job: &PodJob, blueprint: &Blueprint) -> Result<(), ExecutorError> {
    write(inner, job, blueprint)?;
    made(inner, blueprint).await
}

/// For a pod that is there, before something of it starts again: what the machine lost when it was started anew.
pub(super) async fn again(inner: &Inner, workload: &Workload, entry: &Entry) -> Result<(), ExecutorError> {
    let Payload::Pod(job) = &workload.payload else { return Ok(()) };
    if pod_name(workload) != entry.pod.name {
        return Ok(());
    }
    let abilities =
        inner.abilities().await.map_err(|why| inner.error(Reason::StartFailed, "podman's abilities", why))?;
    let blueprint = translate(workload, job, &inner.place(abilities, &entry.pod.name), None);
    // They are whole when they are there; what runs may be reading them.
    if !inner.runtime.has(&blueprint.name) {
        write(inner, job, &blueprint)?;
    }
    made(inner, &blueprint).await
}

fn write(inner: &Inner, job: &PodJob, blueprint: &Blueprint) -> Result<(), ExecutorError> {
    let volumes = job.spec.volumes.iter().filter(|(_, volume)| volume.files().is_some()).map(|(name, _)| name.as_str());
    inner.runtime.write(&blueprint.name, &blueprint.files, volumes).map_err(|why| ExecutorError {
        reason: Reason::StartFailed,
        message: format!(
            "the pod's files cannot be written to {}: {why}",
            inner.runtime.path(&blueprint.name).display()
        ),
    })
}

async fn made(inner: &Inner, blueprint: &Blueprint) -> Result<(), ExecutorError> {
    let made = secrets::make(&inner.client, &blueprint.secrets).await;
    made.map_err(|(what, why)| inner.error(Reason::StartFailed, &format!("{what} of podman cannot be made"), why))
}

/// Removes what a pod, which is gone, was given.
pub(super) async fn remove(inner: &Inner, pod: &str, secrets: usize) -> Result<(), ExecutorError> {
    let error = |why: ApiError| inner.error(Reason::StopFailed, "podman's secrets of the pod cannot be removed", why);
    self::secrets::remove(inner, pod, secrets).await.map_err(error)?;
    inner.runtime.remove(pod).map_err(|why| ExecutorError {
        reason: Reason::StopFailed,
        message: format!("the pod's files in {} cannot be removed: {why}", inner.runtime.path(pod).display()),
    })
}
