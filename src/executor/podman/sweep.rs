//! What is left of pods that are no more: directories, volumes, and pods that have no container by which a list would show
//! them. Ours only, and nothing that an operation under way may be making.

use std::fs;

use super::{Inner, files, labels};

/// Removes all of it. Comes after a list, so that what is there is known; what cannot be removed now is tried again after a
/// later one.
pub(super) async fn sweep(inner: &Inner) {
    let results = [pods(inner).await, containers(inner).await, directories(inner), volumes(inner).await];
    for result in results {
        match result {
            Ok(true) => {}
            Ok(false) => inner.sweep_again(),
            Err(why) => {
                inner.sweep_again();
                tracing::warn!(podman = inner.shown, why, "what earlier pods left is still there: tried again");
            }
        }
    }
}

/// Whether all was done; the error: the last thing that is still there.
type Swept = Result<bool, String>;

async fn pods(inner: &Inner) -> Swept {
    let (mut all, mut error) = (true, None);
    for pod in inner.client.pods(&inner.owned()).await.map_err(|why| why.to_string())? {
        // Those with containers are seen in lists: what becomes of them is the scheduler's to say.
        if pod.containers.is_some_and(|containers| !containers.is_empty()) {
            continue;
        }
        match inner.table.is_there(&pod.name) {
            Some(true) => {}
            None => all = false,
            Some(false) => match inner.client.remove_pod(&pod.id, false).await {
                Ok(()) => {
                    tracing::info!(pod = pod.name, "a pod that podman never finished is removed");
                    // The pod's own container, if only its storage was made.
                    let infra = format!("{}-infra", pod.id.get(..12).unwrap_or(&pod.id));
                    inner.table.lock().gone.push(infra);
                }
                Err(why) => error = Some(format!("pod {}: {why}", pod.name)),
            },
        }
    }
    error.map_or(Ok(all), Err)
}

/// The storage of containers whose pod went while podman was killed.
async fn containers(inner: &Inner) -> Swept {
    let gone = std::mem::take(&mut inner.table.lock().gone);
    let mut error = None;
    for container in gone {
        if let Err(why) = inner.client.remove_container(&container).await {
            error = Some(format!("container {container}: {why}"));
            inner.table.lock().gone.push(container);
        }
    }
    error.map_or(Ok(true), Err)
}

fn directories(inner: &Inner) -> Swept {
    let (mut all, mut error) = (true, None);
    let entries = fs::read_dir(&inner.setting.pods_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        match inner.table.is_there(&name) {
            Some(true) => {}
            None => all = false,
            Some(false) => {
                error =
                    files::remove(&entry.path()).err().map(|why| format!("the files of pod {name}: {why}")).or(error);
            }
        }
    }
    error.map_or(Ok(all), Err)
}

async fn volumes(inner: &Inner) -> Swept {
    let (mut all, mut error) = (true, None);
    for volume in inner.client.volumes(&[inner.owned()]).await.map_err(|why| why.to_string())? {
        let Some(pod) = volume.labels.as_ref().and_then(|labels| labels.get(labels::POD)) else { continue };
        match inner.table.is_there(pod) {
            Some(true) => {}
            None => all = false,
            Some(false) => {
                let removed = inner.client.remove_volume(&volume.name).await;
                error = removed.err().map(|why| format!("volume {}: {why}", volume.name)).or(error);
            }
        }
    }
    error.map_or(Ok(all), Err)
}
