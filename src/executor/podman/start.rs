//! Starting a pod, and starting again in place what is down of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::client::ApiError;
use super::files::{self, HostPathError};
use super::observe::Part;
use super::table::{Busy, Entry};
use super::translate::{Blueprint, NewContainer, bind, pod_name, translate};
use super::{Inner, images, limit, look};
use crate::executor::{ExecutorError, Handle, Instance};
use crate::model::pod::{PodJob, Volume};
use crate::model::status::Reason;
use crate::model::workload::{Payload, RestartPolicy, SourceKind, Workload};

/// Starts one; what was made is taken away again if it cannot be started.
pub(super) async fn start(
    inner: &Arc<Inner>,
    workload: &Workload,
    cpu_quota_us: Option<u32>,
) -> Result<Instance, ExecutorError> {
    let Payload::Pod(job) = &workload.payload else {
        return Err(failed(Reason::InvalidSpec, format!("{} is not a pod", workload.id)));
    };
    let _busy = Busy::with(inner, &workload.id);
    let _making = inner.making.read().await;
    let abilities =
        inner.abilities().await.map_err(|why| inner.error(Reason::StartFailed, "podman's abilities", why))?;
    let name = pod_name(workload);
    let mut blueprint = translate(workload, job, &inner.place(abilities, &name), cpu_quota_us);
    for again in [true, false] {
        for container in &blueprint.containers {
            let warning = images::ensure(inner, &workload.id, &container.image, container.pull).await?;
            blueprint.warnings.extend(warning);
        }
        images::used(inner, &workload.id);
        check_paths(inner, workload, &blueprint)?;
        match make(inner, workload, job, &blueprint).await {
            Ok(handle) => return started(inner, workload, &handle, &blueprint, cpu_quota_us).await,
            // It was pruned since it was last seen.
            Err(Failed::Image(image)) if again => inner.images.forget(&image),
            Err(Failed::Image(image)) => {
                return Err(failed(Reason::ImagePullFailed, format!("image {image} is not here")));
            }
            Err(Failed::Other(why)) => return Err(why),
        }
    }
    Err(failed(Reason::StartFailed, format!("pod {name} cannot be made")))
}

enum Failed {
    /// Podman does not have it any more.
    Image(String),
    Other(ExecutorError),
}

fn failed(reason: Reason, message: String) -> ExecutorError {
    ExecutorError { reason, message }
}

fn check_paths(inner: &Inner, workload: &Workload, blueprint: &Blueprint) -> Result<(), ExecutorError> {
    let policy = (workload.source == SourceKind::Flotta).then_some(&inner.setting.policy);
    for (path, kind) in &blueprint.host_paths {
        files::host_path(path, *kind, policy).map_err(|why| match why {
            HostPathError::Forbidden(why) => failed(Reason::ForbiddenByPolicy, why),
            HostPathError::Wrong(why) => failed(Reason::StartFailed, why),
        })?;
    }
    Ok(())
}

/// Makes and starts all of it, or leaves nothing behind.
async fn make(inner: &Arc<Inner>, workload: &Workload, job: &PodJob, blueprint: &Blueprint) -> Result<Handle, Failed> {
    let pod_id = create_pod(inner, workload, blueprint).await.map_err(Failed::Other)?;
    let made = fill(inner, job, blueprint, &pod_id).await;
    match made {
        Ok(()) => Ok(Handle(pod_id.into())),
        Err(why) => {
            if let Err(also) = discard(inner, &pod_id, blueprint).await {
                inner.swept.store(false, Ordering::Relaxed);
                tracing::warn!(pod = blueprint.name, why = %also, "what a failed start left cannot be removed: tried again at the next list");
            }
            Err(why)
        }
    }
}

/// The pod itself. One of the same name that is ours is what an earlier start left: it goes first.
async fn create_pod(inner: &Arc<Inner>, workload: &Workload, blueprint: &Blueprint) -> Result<String, ExecutorError> {
    let what = format!("pod {} cannot be made", blueprint.name);
    let error = |why| inner.error(Reason::StartFailed, &what, why);
    match inner.client.create_pod(blueprint.pod.clone()).await {
        Err(ApiError::Refused(_, words)) if words.contains("already exists") || words.contains("in use") => {
            look::look(inner, Some(&workload.id)).await.map_err(error)?;
            let left = {
                let state = inner.table.lock();
                let ours = |(_, entry): &(&Handle, &Entry)| entry.pod.name == blueprint.name;
                state.pods.iter().find(ours).map(|(handle, _)| handle.clone())
            };
            let Some(left) = left else {
                return Err(failed(
                    Reason::StartFailed,
                    format!("{what}: {words}, and it is not this agent's: remove or rename it"),
                ));
            };
            inner.client.remove_pod(&left.0).await.map_err(error)?;
            inner.table.lock().pods.remove(&left);
            inner.client.create_pod(blueprint.pod.clone()).await.map_err(error)
        }
        other => other.map_err(error),
    }
}

async fn fill(inner: &Arc<Inner>, job: &PodJob, blueprint: &Blueprint, pod_id: &str) -> Result<(), Failed> {
    let other = |what: String, why| Failed::Other(inner.error(Reason::StartFailed, &what, why));
    let local = |what: &str, why: std::io::Error| Failed::Other(failed(Reason::StartFailed, format!("{what}: {why}")));
    let is_files = |(name, volume): (&'_ String, &'_ Volume)| matches!(volume, Volume::Files(_)).then(|| name.clone());
    let of_files: Vec<String> = job.spec.volumes.iter().filter_map(is_files).collect();
    files::write(&inner.pod_dir(&blueprint.name), &blueprint.files, of_files.iter().map(String::as_str))
        .map_err(|why| local("the pod's files cannot be written", why))?;
    let mut mountpoints = std::collections::BTreeMap::new();
    for volume in &blueprint.volumes {
        let made = match inner.client.create_volume(volume.body.clone()).await {
            // Left by an earlier start that was cut off: emptyDirs begin empty.
            Err(ApiError::Refused(_, words)) if words.contains("already exists") => {
                let error = |why| other(format!("volume {} of an earlier start cannot be removed", volume.name), why);
                inner.client.remove_volume(&volume.name).await.map_err(error)?;
                inner.client.create_volume(volume.body.clone()).await
            }
            made => made,
        };
        let made = made.map_err(|why| other(format!("volume {} cannot be made", volume.name), why))?;
        if let Err(why) = files::open_to_all(&made.mountpoint) {
            tracing::debug!(volume = volume.name, %why, "an emptyDir keeps podman's own permissions");
        }
        mountpoints.insert(volume.name.clone(), made.mountpoint);
    }
    let mut made = Vec::new();
    for container in &blueprint.containers {
        let mut body = container.body.clone();
        body["pod"] = pod_id.into();
        for (volume, mount) in &container.parts {
            let mountpoint = mountpoints.get(volume).map(String::as_str).unwrap_or_default();
            let source =
                files::make_part(mountpoint, &mount.sub_path).map_err(|why| local("a subPath cannot be made", why))?;
            let whole = crate::model::pod::Mount { sub_path: String::new(), ..mount.clone() };
            let bind = bind(&source, &whole, mount.read_only);
            match body["mounts"].as_array_mut() {
                Some(mounts) => mounts.push(bind),
                None => body["mounts"] = serde_json::json!([bind]),
            }
        }
        check_user(inner, container).await.map_err(Failed::Other)?;
        match inner.client.create_container(body).await {
            Ok(id) => made.push(id),
            Err(ApiError::Refused(_, words))
                if words.contains("image not known") || words.contains("No such image") =>
            {
                return Err(Failed::Image(container.image.clone()));
            }
            Err(why) => return Err(other(format!("container {} cannot be made", container.name), why)),
        }
    }
    // The first init container, or all that are to run side by side; the scheduler asks for the rest.
    let to_start = blueprint.containers.iter().zip(&made);
    let first_init = blueprint.containers.iter().any(|container| container.init);
    for (container, id) in to_start.take(if first_init { 1 } else { usize::MAX }) {
        let what = || format!("container {} cannot be started", container.name);
        inner.client.start(id).await.map_err(|why| other(what(), why))?;
    }
    Ok(())
}

/// `runAsNonRoot` without a user of its own: the image's counts.
async fn check_user(inner: &Inner, container: &NewContainer) -> Result<(), ExecutorError> {
    if !container.non_root {
        return Ok(());
    }
    let asked = inner.client.image_user(&container.image).await;
    let user = asked.map_err(|why| inner.error(Reason::StartFailed, "the image's user cannot be asked for", why))?;
    let name = user.split(':').next().unwrap_or_default();
    match name.parse::<u32>() {
        Ok(id) if id > 0 => Ok(()),
        _ => Err(failed(
            Reason::StartFailed,
            format!(
                "container {}: runAsNonRoot is set, and image {} runs as {}: set securityContext.runAsUser",
                container.name,
                container.image,
                if name.is_empty() { "root" } else { name }
            ),
        )),
    }
}

async fn discard(inner: &Inner, pod_id: &str, blueprint: &Blueprint) -> Result<(), ApiError> {
    inner.client.remove_pod(pod_id).await?;
    for volume in &blueprint.volumes {
        inner.client.remove_volume(&volume.name).await?;
    }
    if let Err(why) = files::remove(&inner.pod_dir(&blueprint.name)) {
        tracing::warn!(pod = blueprint.name, %why, "the files of a failed start cannot be removed");
    }
    Ok(())
}

/// What came of it, as podman sees it.
async fn started(
    inner: &Arc<Inner>,
    workload: &Workload,
    handle: &Handle,
    blueprint: &Blueprint,
    cpu_quota_us: Option<u32>,
) -> Result<Instance, ExecutorError> {
    let gone = || failed(Reason::StartFailed, format!("pod {} was there, and is gone", blueprint.name));
    let error = |why| inner.error(Reason::StartFailed, "the started pod cannot be looked at", why);
    look::look(inner, Some(&workload.id)).await.map_err(error)?;
    let mut state = inner.table.lock();
    let entry = state.pods.get_mut(handle).ok_or_else(gone)?;
    entry.stopped = false;
    entry.warnings.clone_from(&blueprint.warnings);
    entry.told = Some(cpu_quota_us);
    if cpu_quota_us.is_some() {
        limit::note_applied(entry);
    }
    look::instance(inner, &state, handle).ok_or_else(gone)
}

/// Goes on with an unfinished start; starts again what is down and may be.
pub(super) async fn resume(
    inner: &Arc<Inner>,
    handle: &Handle,
    policy: RestartPolicy,
) -> Result<Instance, ExecutorError> {
    let error = |why| inner.error(Reason::StartFailed, "the pod cannot be looked at", why);
    let gone = || failed(Reason::StartFailed, "the pod is gone".into());
    let id = look::known(inner, handle).await.map_err(error)?.ok_or_else(gone)?.pod.id;
    let _busy = Busy::with(inner, &id);
    look::one(inner, &id, handle).await.map_err(error)?.ok_or_else(gone)?;
    let entry = inner.table.get(handle).ok_or_else(gone)?;
    let never = |part: &Part| !part.at.runs() && !part.at.ended();
    let to_start: Vec<&Part> = match entry.pod.init_to_do().first() {
        Some(init) if never(init) => vec![init],
        Some(_) => Vec::new(),
        None => {
            let again = |part: &Part| match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => part.at.exit_code != 0,
                RestartPolicy::Never => false,
            };
            entry.pod.main.iter().filter(|part| never(part) || (part.at.ended() && again(part))).collect()
        }
    };
    for part in &to_start {
        let what = format!("container {} cannot be started", part.name);
        inner.client.start(&part.at.id).await.map_err(|why| inner.error(Reason::StartFailed, &what, why))?;
    }
    let instance = look::one(inner, &id, handle).await.map_err(error)?.ok_or_else(gone)?;
    match entry.told {
        // What a container was held to is lost when it is started again (before podman 5.1).
        Some(Some(quota)) if !to_start.is_empty() => limit::apply(inner, handle, Some(quota)).await,
        _ => Ok(instance),
    }
}
