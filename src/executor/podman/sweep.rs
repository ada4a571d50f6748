//! What is left of pods that are no more: directories, volumes, and pods that have no container by which a list would show
//! them. Ours only, and nothing that an operation under way may be making.

use std::fs;

use super::client::ApiError;
use super::{Inner, files, labels};

/// Removes all of it. Comes after a list, so that what is there is known. The error: the last thing that is still there.
pub(super) async fn sweep(inner: &Inner) -> Result<(), String> {
    let mut left = Ok(());
    let cannot = |why: ApiError| why.to_string();
    for pod in inner.client.pods(&inner.owned()).await.map_err(cannot)? {
        if inner.table.may_be_there(&pod.name) {
            continue;
        }
        tracing::info!(pod = pod.name, "a pod that podman never finished is removed");
        if let Err(why) = inner.client.remove_pod(&pod.id, false).await {
            left = Err(format!("pod {}: {why}", pod.name));
        }
    }
    let entries = fs::read_dir(&inner.setting.pods_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !inner.table.may_be_there(&name)
            && let Err(why) = files::remove(&entry.path())
        {
            left = Err(format!("the files of pod {name}: {why}"));
        }
    }
    for volume in inner.client.volumes(&[inner.owned()]).await.map_err(cannot)? {
        let pod = volume.labels.as_ref().and_then(|labels| labels.get(labels::POD));
        if pod.is_some_and(|pod| !inner.table.may_be_there(pod))
            && let Err(why) = inner.client.remove_volume(&volume.name).await
        {
            left = Err(format!("volume {}: {why}", volume.name));
        }
    }
    left
}
