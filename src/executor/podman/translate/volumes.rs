//! A pod's volumes: what is made for them, and where containers have them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::labels;
use super::{NewFile, NewVolume, Place, fields};
use crate::model::pod::{
    Container, Content, Contents, DownwardItem, FileSource, Files, HostPathType, Mount, ObjectFiles, PodJob, Volume,
};
use crate::model::workload::Workload;

/// What is made for a pod's volumes.
#[derive(Default)]
pub(super) struct Made {
    pub(super) volumes: Vec<NewVolume>,
    pub(super) files: Vec<NewFile>,
    pub(super) host_paths: Vec<(String, HostPathType)>,
}

/// The name of a podman volume that is the pod's own.
fn volume_name(pod: &str, volume: &str) -> String {
    format!("{pod}-{volume}")
}

/// What has to be there before the containers.
pub(super) fn volumes(pod: &str, workload: &Workload, job: &PodJob, place: &Place) -> Made {
    let mut made = Made::default();
    for (volume, what) in &job.spec.volumes {
        match what {
            Volume::Empty { memory, size_limit } => {
                // In blocks: podman 4.3 takes `size` for itself, and refuses it where the disk has no quotas.
                let block = u64::try_from(rustix::param::page_size()).unwrap_or(4096).max(1);
                let size_limit = size_limit.filter(|bytes| *bytes > 0);
                let size = size_limit.map_or_else(String::new, |bytes| format!(",nr_blocks={}", bytes.div_ceil(block)));
                let options = if *memory {
                    json!({ "type": "tmpfs", "device": "tmpfs", "o": format!("mode=1777{size}") })
                } else {
                    json!({})
                };
                let label = json!({ labels::OWNER: place.owner, labels::POD: pod });
                let name = volume_name(pod, volume);
                let body =
                    json!({ "Name": name, "Driver": "local", "Options": options, "Label": label, "Labels": label });
                made.volumes.push(NewVolume { name, body });
            }
            Volume::HostPath { path, kind } => made.host_paths.push((path.clone(), *kind)),
            Volume::Files(wanted) => made.files.extend(files_of(volume, wanted, workload, job, place)),
            // Refused where pods are read.
            Volume::Claim { .. } => {}
        }
    }
    made
}

/// Adds a container's mounts to its body.
pub(super) fn mounted(
    mut body: Json,
    container: &Container,
    volumes: &BTreeMap<String, Volume>,
    place: &Place,
    pod: &str,
) -> Json {
    let (mut binds, mut named) = (Vec::new(), Vec::new());
    for mount in &container.mounts {
        match volumes.get(&mount.volume) {
            Some(Volume::Empty { .. }) => {
                // nocopy: an emptyDir begins empty, whatever the image has there.
                let access = if mount.read_only { "ro" } else { "rw" };
                named.push(
                    json!({ "Name": volume_name(pod, &mount.volume), "Dest": mount.path, "Options": ["nocopy", access] }),
                );
            }
            Some(Volume::HostPath { path, .. }) => {
                binds.push(bind(path, mount, &[if mount.read_only { "ro" } else { "rw" }]));
            }
            // z: where there is SELinux, containers may read them.
            Some(Volume::Files(_)) => {
                binds.push(bind(&format!("{}/{}", place.files, mount.volume), mount, &["ro", "z"]));
            }
            Some(Volume::Claim { .. }) | None => {}
        }
    }
    if !binds.is_empty() {
        body["mounts"] = json!(binds);
    }
    if !named.is_empty() {
        body["volumes"] = json!(named);
    }
    body
}

/// A mount of a path of the device.
fn bind(source: &str, mount: &Mount, more: &[&str]) -> Json {
    let options = [&["rbind", mount.propagation], more].concat();
    let separator = if mount.sub_path.is_empty() { "" } else { "/" };
    json!({
        "destination": mount.path,
        "source": format!("{source}{separator}{}", mount.sub_path),
        "type": "bind",
        "options": options,
    })
}

fn files_of(volume: &str, wanted: &Files, workload: &Workload, job: &PodJob, place: &Place) -> Vec<NewFile> {
    let files = wanted.sources.iter().flat_map(|source| match source {
        FileSource::Object(object) => of_object(volume, object, wanted.mode, &job.contents),
        FileSource::Downward(items) => of_pod(volume, items, wanted.mode, workload, job, place),
    });
    // Of two for the same path the later one stands.
    let by_path: BTreeMap<String, NewFile> = files.map(|file| (file.path.clone(), file)).collect();
    by_path.into_values().collect()
}

fn of_object(volume: &str, wanted: &ObjectFiles, mode: u32, contents: &Contents) -> Vec<NewFile> {
    let Some(content): Option<&Content> = contents.get(wanted.of, &wanted.name) else { return Vec::new() };
    let file =
        |path: &str, mode: u32, bytes: &[u8]| NewFile { path: format!("{volume}/{path}"), mode, bytes: bytes.to_vec() };
    if wanted.items.is_empty() {
        // Keys are names of files; what would lead elsewhere is none.
        let is_name = |key: &str| !key.is_empty() && !key.contains(['/', '\0']) && key != "." && key != "..";
        let keys = content.iter().filter(|(key, _)| is_name(key));
        return keys.map(|(key, bytes)| file(key, mode, bytes)).collect();
    }
    let item = |item: &crate::model::pod::FileItem| {
        content.get(&item.key).map(|bytes| file(&item.path, item.mode.unwrap_or(mode), bytes))
    };
    wanted.items.iter().filter_map(item).collect()
}

fn of_pod(
    volume: &str,
    items: &[DownwardItem],
    mode: u32,
    workload: &Workload,
    job: &PodJob,
    place: &Place,
) -> Vec<NewFile> {
    let file = |item: &DownwardItem| NewFile {
        path: format!("{volume}/{}", item.path),
        mode: item.mode.unwrap_or(mode),
        bytes: fields::downward(&item.what, workload, job, place).into_bytes(),
    };
    items.iter().map(file).collect()
}
