//! Starting a pod, and starting again in place what is down of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::client::ApiError;
use super::observe::Part;
use super::probing::PodCare;
use super::table::{Busy, Starting};
use super::translate::{Blueprint, NewContainer, pod_name, translate};
use super::{Inner, files, images, limit, linger, look, networks, paths, ports, probing, provide, volumes};
use crate::executor::{ExecutorError, Handle, Instance};
use crate::model::pod::{PodJob, PullPolicy};
use crate::model::status::Reason;
use crate::model::workload::{Payload, RestartPolicy, Workload};

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
    if let Some(taken) = ports::conflict(inner, &workload.id, &job.spec) {
        return Err(failed(Reason::StartFailed, taken));
    }
    if let Some(taken) = ports::taken(inner, &job.spec).await {
        return Err(failed(Reason::StartFailed, taken));
    }
    let abilities =
        inner.abilities().await.map_err(|why| inner.error(Reason::StartFailed, "podman's abilities", why))?;
    let name = pod_name(workload);
    networks::check(inner, &job.spec).await?;
    let place = inner.place(abilities, &name);
    let mut blueprint = translate(workload, job, &place, cpu_quota_us);
    blueprint.warn(&Vec::from_iter(provide::warning(inner, job, &blueprint)));
    let home = inner.user().and_then(super::user::User::home);
    blueprint.warn(&Vec::from_iter(linger::warning(&job.spec, home.as_deref())));
    for again in [true, false] {
        blueprint.warn(&images::ensure(inner, &workload.id, &images_of(&blueprint), &job.registries).await?);
        // Whatever comes of it: the next start asks anew, for the image may be what is to be mended.
        inner.images.used(&workload.id);
        paths::check(inner, workload, &mut blueprint).await?;
        volumes::limit_sizes(inner, &mut blueprint).await?;
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

/// Each image once, with the strictest wish of those who use it.
fn images_of(blueprint: &Blueprint) -> BTreeMap<&str, PullPolicy> {
    let mut images = BTreeMap::new();
    for container in &blueprint.containers {
        let strictest = images.entry(container.image.as_str()).or_insert(container.pull);
        *strictest = container.pull.stricter(*strictest);
    }
    images
}

enum Failed {
    /// Podman does not have it any more.
    Image(String),
    Other(ExecutorError),
}

fn failed(reason: Reason, message: String) -> ExecutorError {
    ExecutorError { reason, message }
}

/// Makes and starts all of it, or leaves nothing behind.
async fn make(inner: &Arc<Inner>, workload: &Workload, job: &PodJob, blueprint: &Blueprint) -> Result<Handle, Failed> {
    // Until its containers use them, nobody else knows that its claims are wanted.
    let _claims = inner.claims.read().await;
    let pod_id = create_pod(inner, workload, blueprint).await.map_err(Failed::Other)?;
    let handle = Handle(pod_id.as_str().into());
    inner.table.lock().probing.know(&handle, PodCare::of(workload));
    let made = fill(inner, job, blueprint, &pod_id).await;
    match made {
        Ok(()) => Ok(handle),
        Err(why) => {
            inner.table.lock().probing.unknow(&handle);
            if let Err(also) = discard(inner, &pod_id, blueprint).await {
                inner.sweep_again();
                tracing::warn!(pod = blueprint.name, why = %also, "what a failed start left cannot be removed: tried again at the next list");
            }
            Err(why)
        }
    }
}

/// The pod itself. One of the same name that is ours is what an earlier start left: it goes first.
async fn create_pod(inner: &Arc<Inner>, workload: &Workload, blueprint: &Blueprint) -> Result<String, ExecutorError> {
    let what = format!("pod {} cannot be made", blueprint.name);
    let error = |why| {
        // It may be there all the same, half or whole.
        inner.sweep_again();
        inner.error(Reason::StartFailed, &what, why)
    };
    match inner.client.create_pod(blueprint.pod.clone()).await {
        Err(ApiError::Refused(_, words)) if words.contains("already exists") || words.contains("in use") => {
            // Asked for as a pod: one whose creation was cut off has no container that a list would show.
            let ours = inner.client.pods(&inner.owned()).await.map_err(error)?;
            let Some(left) = ours.into_iter().find(|pod| pod.name == blueprint.name) else {
                return Err(failed(
                    Reason::StartFailed,
                    format!("{what}: {words}, and it is not this agent's: remove or rename it"),
                ));
            };
            tracing::info!(workload = %workload.id, pod = left.name, "what an earlier start left is removed");
            inner.client.remove_pod(&left.id, true).await.map_err(error)?;
            inner.table.lock().pods.remove(&Handle(left.id.into()));
            inner.client.create_pod(blueprint.pod.clone()).await.map_err(error)
        }
        other => other.map_err(error),
    }
}

async fn fill(inner: &Arc<Inner>, job: &PodJob, blueprint: &Blueprint, pod_id: &str) -> Result<(), Failed> {
    let other = |what: String, why| Failed::Other(inner.error(Reason::StartFailed, &what, why));
    let local = |what: &str, why: std::io::Error| Failed::Other(failed(Reason::StartFailed, format!("{what}: {why}")));
    // The mark of a stop of an earlier one of this name, and what agents before this one kept there.
    files::remove(&inner.pod_dir(&blueprint.name))
        .map_err(|why| local("what an earlier pod of this name left cannot be removed", why))?;
    provide::make(inner, job, blueprint).await.map_err(Failed::Other)?;
    volumes::make(inner, blueprint).await.map_err(Failed::Other)?;
    let mut made = Vec::new();
    for container in &blueprint.containers {
        let mut body = container.body.clone();
        body["pod"] = pod_id.into();
        if let Some(user) = user(inner, container).await.map_err(Failed::Other)? {
            body["user"] = user.into();
        }
        let created = match inner.client.create_container(body.clone()).await {
            Err(ApiError::Refused(_, words)) if words.contains("already in use") => {
                remove_leftover(inner, &body, &words).await?;
                inner.client.create_container(body).await
            }
            created => created,
        };
        match created {
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
    let handle = Handle(pod_id.into());
    let first_init = blueprint.containers.iter().any(|container| container.init);
    for (container, id) in to_start.take(if first_init { 1 } else { usize::MAX }) {
        let what = || format!("container {} cannot be started", container.name);
        if let Err(why) = probing::start(inner, &handle, id, &container.name).await {
            return Err(other(what(), real_cause(inner, pod_id, why).await));
        }
    }
    Ok(())
}

/// A container's start starts the pod's own container first, and where that fails (a port that is taken) says only that
/// something failed. Asked for apart, podman says what.
async fn real_cause(inner: &Arc<Inner>, pod_id: &str, why: ApiError) -> ApiError {
    if !matches!(&why, ApiError::Refused(_, words) if words.contains("starting some containers")) {
        return why;
    }
    let why = match inner.client.infra(pod_id).await {
        Ok(infra) => inner.client.start(&infra).await.err().unwrap_or(why),
        Err(_) => why,
    };
    ports::explain(inner, pod_id, why).await
}

/// A container's name is taken: by what podman, killed in the middle, left of an earlier one in its storage, or by somebody.
async fn remove_leftover(inner: &Inner, body: &Json, words: &str) -> Result<(), Failed> {
    let name = body["name"].as_str().unwrap_or_default();
    let error = |why| Failed::Other(inner.error(Reason::StartFailed, "a container cannot be made", why));
    match inner.client.remove_forgotten(name).await {
        Ok(true) => Ok(()),
        Err(why) => Err(error(why)),
        Ok(false) => Err(Failed::Other(failed(
            Reason::StartFailed,
            format!("container {name} cannot be made: {words}, and it is not this agent's: remove or rename it"),
        ))),
    }
}

/// The user where the image has a say: `runAsNonRoot` without a user, a group without a user.
async fn user(inner: &Inner, container: &NewContainer) -> Result<Option<String>, ExecutorError> {
    if !container.non_root && container.group.is_none() {
        return Ok(None);
    }
    let asked = inner.client.image_user(&container.image).await;
    let user = asked.map_err(|why| inner.error(Reason::StartFailed, "the image's user cannot be asked for", why))?;
    let name = user.split(':').next().unwrap_or_default();
    match name.parse::<u32>() {
        Ok(0) | Err(_) if container.non_root => Err(failed(
            Reason::StartFailed,
            format!(
                "container {}: runAsNonRoot is set, and image {} runs as {}: set securityContext.runAsUser",
                container.name,
                container.image,
                if name.is_empty() { "root" } else { name }
            ),
        )),
        _ => Ok(container.group.map(|group| format!("{}:{group}", if name.is_empty() { "0" } else { name }))),
    }
}

async fn discard(inner: &Inner, pod_id: &str, blueprint: &Blueprint) -> Result<(), ApiError> {
    inner.client.remove_pod(pod_id, true).await?;
    for volume in &blueprint.volumes {
        inner.client.remove_volume(&volume.name).await?;
    }
    if let Err(why) = provide::remove(inner, &blueprint.name, blueprint.secrets.len()).await {
        inner.sweep_again();
        tracing::warn!(
            pod = blueprint.name,
            why = why.message,
            "the files of a failed start cannot be removed: tried again at the next list"
        );
    }
    if let Err(why) = files::remove(&inner.pod_dir(&blueprint.name)) {
        tracing::warn!(pod = blueprint.name, %why, "the mark of a failed start cannot be removed");
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
    entry.stopped = None;
    entry.told = Some(cpu_quota_us);
    if cpu_quota_us.is_some() {
        limit::note_applied(entry);
        entry.limit_warnings.extend(inner.cpu_warning());
    }
    look::instance(inner, &state, handle).ok_or_else(gone)
}

/// Goes on with an unfinished start; starts again what is down and may be.
pub(super) async fn resume(
    inner: &Arc<Inner>,
    handle: &Handle,
    workload: &Workload,
    policy: RestartPolicy,
) -> Result<Instance, ExecutorError> {
    let error = |why| inner.error(Reason::StartFailed, "the pod cannot be looked at", why);
    let gone = || failed(Reason::StartFailed, "the pod is gone".into());
    let id = look::known(inner, handle).await.map_err(error)?.ok_or_else(gone)?.pod.id;
    let _busy = Busy::with(inner, &id);
    look::one(inner, &id, handle).await.map_err(error)?.ok_or_else(gone)?;
    let entry = inner.table.get(handle).ok_or_else(gone)?;
    let killed: BTreeSet<String> = {
        let mut state = inner.table.lock();
        state.probing.know(handle, PodCare::of(workload));
        let killed = entry.pod.main.iter().filter(|part| state.probing.why_ended(part).is_some());
        killed.map(|part| part.at.id.clone()).collect()
    };
    let never = |part: &Part| !part.at.runs() && !part.at.ended();
    let to_start: Vec<&Part> = match entry.pod.init_to_do().first() {
        Some(init) if never(init) => vec![init],
        Some(_) => Vec::new(),
        None => {
            let again = |part: &Part| match policy {
                RestartPolicy::Always => true,
                // What a probe has ended did not end well, whatever it says.
                RestartPolicy::OnFailure => part.at.exit_code != 0 || killed.contains(&part.at.id),
                RestartPolicy::Never => false,
            };
            entry.pod.main.iter().filter(|part| never(part) || (part.at.ended() && again(part))).collect()
        }
    };
    if let Payload::Pod(job) = &workload.payload {
        let names: Vec<&str> = to_start.iter().map(|part| part.name.as_str()).collect();
        paths::check_again(inner, workload, job, &names).await?;
    }
    if to_start.iter().any(|part| paths::has_other_devices(part)) {
        let message = "a device that it was given has another number now: a new pod is needed".into();
        return Err(failed(Reason::StartFailed, message));
    }
    if !to_start.is_empty() {
        provide::again(inner, workload, &entry).await?;
    }
    for part in &to_start {
        let what = format!("container {} cannot be started", part.name);
        let _starting = Starting::again(&inner.table, &part.at.id);
        if let Err(why) = probing::start(inner, handle, &part.at.id, &part.name).await {
            let why = real_cause(inner, &handle.0, why).await;
            return Err(inner.error(Reason::StartFailed, &what, why));
        }
    }
    let instance = look::one(inner, &id, handle).await.map_err(error)?.ok_or_else(gone)?;
    match entry.told {
        // What a container was held to is lost when it is started again (before podman 5.1).
        Some(Some(quota)) if !to_start.is_empty() => limit::apply(inner, handle, Some(quota)).await,
        _ => Ok(instance),
    }
}
