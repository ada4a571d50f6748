//! What is left of pods that are no more: directories, volumes, secrets of podman's, and pods that have no container by which a list would show
//! them. Ours only, and nothing that an operation under way may be making.

use std::collections::BTreeSet;
use std::fs;

use super::client::ApiError;
use super::{Inner, files, labels, secrets};

/// Removes all of it. Comes after a list, so that what is there is known; what cannot be removed now is tried again after a
/// later one.
pub(super) async fn sweep(inner: &Inner) {
    match try_sweep(inner).await {
        Ok(true) => {}
        Ok(false) => inner.sweep_again(),
        Err(why) => {
            inner.sweep_again();
            tracing::warn!(podman = inner.shown(), why, "what earlier pods left is still there: tried again");
        }
    }
}

/// Whether all was done; the error: the last thing that is still there.
async fn try_sweep(inner: &Inner) -> Result<bool, String> {
    let words = |why: ApiError| why.to_string();
    // What might be left is noted first: what is made from now on is not among it.
    let mut work = Work { inner, all: true, error: None };
    let directories: Vec<String> = {
        let entries = fs::read_dir(&inner.setting.pods_dir).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let marked = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names: BTreeSet<String> = marked.chain(inner.runtime.pods()).collect();
        names.into_iter().filter(|name| work.is_left(name)).collect()
    };
    let secrets = inner.client.secrets().await.map_err(words)?;
    let secrets = secrets::left(secrets, &inner.setting.owner, |version| work.is_version_left(version));
    let mut volumes = Vec::new();
    for volume in inner.client.volumes(&[inner.owned()]).await.map_err(words)? {
        let pod = volume.labels.and_then(|mut labels| labels.remove(labels::POD));
        volumes.extend(pod.filter(|pod| work.is_left(pod)).map(|pod| (pod, volume.name)));
    }
    let mut there = BTreeSet::new();
    for pod in inner.client.pods(&inner.owned()).await.map_err(words)? {
        // Those with containers are seen in lists: what becomes of them is the scheduler's to say.
        if pod.containers.is_none_or(|containers| containers.is_empty()) && work.is_left(&pod.name) {
            let removed = inner.client.remove_pod(&pod.id, false).await;
            tracing::info!(pod = pod.name, ok = removed.is_ok(), "a pod that podman never finished is removed");
            // The pod's own container, if only its storage was made.
            inner.table.lock().gone.push(format!("{}-infra", pod.id.get(..12).unwrap_or(&pod.id)));
            work.note(removed.map_err(|why| format!("pod {}: {why}", pod.name)));
        } else {
            there.insert(pod.name);
        }
    }
    // The storage of containers whose pod went while podman was killed.
    let gone = std::mem::take(&mut inner.table.lock().gone);
    for container in gone {
        let removed = inner.client.remove_forgotten(&container).await;
        if removed.is_err() {
            inner.table.lock().gone.push(container.clone());
        }
        work.note(removed.map(drop).map_err(|why| format!("container {container}: {why}")));
    }
    for (pod, volume) in volumes.iter().filter(|(pod, _)| !there.contains(pod)) {
        if work.is_left(pod) {
            work.note(inner.client.remove_volume(volume).await.map_err(|why| format!("volume {volume}: {why}")));
        }
    }
    for pod in directories.iter().filter(|pod| !there.contains(*pod)) {
        if work.is_left(pod) {
            let error = |why| format!("the files of pod {pod}: {why}");
            work.note(inner.runtime.remove(pod).map_err(error));
            work.note(files::remove(&inner.pod_dir(pod)).map_err(error));
        }
    }
    let has = |version: &str| there.iter().any(|pod| pod.rsplit_once('-').is_some_and(|(_, end)| end == version));
    for secret in secrets::left(secrets, &inner.setting.owner, |version| !has(version) && work.is_version_left(version))
    {
        work.note(inner.client.remove_secret(&secret).await.map_err(|why| format!("secret {secret}: {why}")));
    }
    work.error.map_or(Ok(work.all), Err)
}

struct Work<'a> {
    inner: &'a Inner,
    /// Nothing was left for later.
    all: bool,
    error: Option<String>,
}

impl Work<'_> {
    /// There is no pod of this name any more. One that may be in the making is left for later.
    fn is_left(&mut self, pod: &str) -> bool {
        let there = self.inner.table.is_there(pod);
        self.all &= there.is_some();
        there == Some(false)
    }

    /// The same of a version, the end of a pod's name.
    fn is_version_left(&mut self, version: &str) -> bool {
        let there = self.inner.table.is_version_there(version);
        self.all &= there.is_some();
        there == Some(false)
    }

    fn note(&mut self, result: Result<(), String>) {
        self.error = result.err().or(self.error.take());
    }
}
