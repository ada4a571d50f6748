//! A pod's volumes, and where its containers have them.

use std::collections::BTreeMap;

use super::super::fields::{Fields, Report};
use super::super::tree::{At, Node, short};
use super::{files, quantity};
use crate::model::pod::{Container, HostPathType, Mount, Volume};

pub(super) fn read_all(report: &mut Report, pod: &mut Fields<'_>) -> BTreeMap<String, Volume> {
    let path = pod.name("volumes");
    let mut volumes = BTreeMap::new();
    for (index, node) in pod.list(report, "volumes").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut fields) = Fields::of(report, &path, node) else { continue };
        let name = fields.text(report, "name").unwrap_or_default();
        if let Err(why) = crate::model::id::rfc1123("name", &name) {
            report.error(node.at, format!("{path}.name: {why}"));
            continue;
        }
        let Some(volume) = read(report, &mut fields, node.at) else { continue };
        fields.finish(report);
        if volumes.insert(name.clone(), volume).is_some() {
            report.error(node.at, format!("{path}.name: {name:?} is used twice in this pod"));
        }
    }
    volumes
}

fn read(report: &mut Report, fields: &mut Fields<'_>, at: At) -> Option<Volume> {
    const LATER: [&str; 7] = ["persistentVolumeClaim", "ephemeral", "image", "nfs", "iscsi", "csi", "hostDevice"];
    let path = fields.path.clone();
    let mut found = Vec::new();
    if let Some(mut empty) = fields.map(report, "emptyDir") {
        let memory = empty.text(report, "medium").is_some_and(|medium| medium == "Memory");
        let size_limit = bytes(report, &mut empty, "sizeLimit");
        if size_limit.is_some() && !memory {
            report.warn(at, format!("LimitNotEnforced: {path}.emptyDir.sizeLimit is only kept with medium: Memory"));
        }
        empty.finish(report);
        found.push(Volume::Empty { memory, size_limit });
    }
    if let Some(mut host) = fields.map(report, "hostPath") {
        let wanted = host.text(report, "path").unwrap_or_default();
        let kind = host_path_type(report, &mut host, at);
        host.finish(report);
        match normal(&wanted) {
            Some(normal) => found.push(Volume::HostPath { path: normal, kind }),
            None => report.error(
                at,
                format!("{path}.hostPath.path: {:?} must be absolute, without \"..\" and without ':'", short(&wanted)),
            ),
        }
    }
    found.extend(files::read(report, fields).into_iter().map(Volume::Files));
    for field in LATER {
        if let Some((key, _)) = fields.take_entry(field) {
            report.error(
                key.at,
                format!("{path}.{field}: is not carried out yet; use emptyDir, hostPath, configMap, secret, projected or downwardAPI"),
            );
            return None;
        }
    }
    match found.len() {
        1 => found.pop(),
        0 if !report.errors.is_empty() => None,
        0 => {
            report.error(
                at,
                format!("{path}: says nothing: write emptyDir, hostPath, configMap, secret, projected or downwardAPI"),
            );
            None
        }
        _ => {
            report.error(at, format!("{path}: says more than one thing: keep one"));
            None
        }
    }
}

fn bytes(report: &mut Report, fields: &mut Fields<'_>, field: &'static str) -> Option<u64> {
    let path = fields.name(field);
    let node = fields.take(field)?;
    let text = super::super::fields::as_written(report, &path, node)?;
    match quantity::milli(&text) {
        Ok(milli) => Some(milli.div_ceil(1000)),
        Err(why) => {
            report.error(node.at, format!("{path}: {why}"));
            None
        }
    }
}

fn host_path_type(report: &mut Report, host: &mut Fields<'_>, at: At) -> HostPathType {
    let text = host.text(report, "type").unwrap_or_default();
    match text.as_str() {
        "" => HostPathType::Any,
        "DirectoryOrCreate" => HostPathType::DirectoryOrCreate,
        "Directory" => HostPathType::Directory,
        "FileOrCreate" => HostPathType::FileOrCreate,
        "File" => HostPathType::File,
        "Socket" => HostPathType::Socket,
        "CharDevice" => HostPathType::CharDevice,
        "BlockDevice" => HostPathType::BlockDevice,
        _ => {
            report.error(
                at,
                format!("{}.type: {:?} is none of DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice", host.path, short(&text)),
            );
            HostPathType::Any
        }
    }
}

/// An absolute path without doubled slashes; `None` if it is relative or goes up.
fn normal(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains(['\0', ':']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// A relative path that stays where it is; empty stays empty.
pub(super) fn relative(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\0', ':']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

pub(super) fn mounts(
    report: &mut Report,
    fields: &mut Fields<'_>,
    container: &mut Container,
    volumes: &BTreeMap<String, Volume>,
) {
    let path = fields.name("volumeMounts");
    for (index, node) in fields.list(report, "volumeMounts").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mount) = mount(report, &path, node) else { continue };
        if !mount.sub_path.is_empty() && !matches!(volumes.get(&mount.volume), Some(Volume::Files(_)) | None) {
            // What a container can write to it can also turn into a link to anywhere, before its next start.
            report.error(
                node.at,
                format!(
                    "{path}.subPath: is only carried out yet for configMap and secret, projected and downwardAPI; give the part a volume of its own"
                ),
            );
        }
        if !volumes.contains_key(&mount.volume) {
            let known: Vec<&str> = volumes.keys().map(String::as_str).collect();
            report.error(
                node.at,
                format!(
                    "{path}.name: the pod has no volume {:?}{}",
                    short(&mount.volume),
                    if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) }
                ),
            );
        }
        if container.mounts.iter().any(|other| other.path == mount.path) {
            report.error(node.at, format!("{path}.mountPath: {:?} is used twice in this container", mount.path));
        }
        container.mounts.push(mount);
    }
}

fn mount(report: &mut Report, path: &str, node: &Node) -> Option<Mount> {
    let mut fields = Fields::of(report, path, node)?;
    let volume = fields.text(report, "name").unwrap_or_default();
    let wanted = fields.text(report, "mountPath").unwrap_or_default();
    let mut sub = fields.text(report, "subPath").unwrap_or_default();
    if let Some(expression) = fields.text(report, "subPathExpr").filter(|text| !text.is_empty()) {
        if !sub.is_empty() {
            report.error(node.at, format!("{path}: subPath and subPathExpr are both there: keep one"));
        } else if expression.contains("$(") {
            report.error(
                node.at,
                format!("{path}.subPathExpr: variables are not carried out in it yet; write subPath with the value"),
            );
        }
        sub = expression;
    }
    let read_only = fields.boolean(report, "readOnly").unwrap_or(false);
    let propagation = match fields.text(report, "mountPropagation").as_deref() {
        None | Some("None") => "rprivate",
        Some("HostToContainer") => "rslave",
        Some("Bidirectional") => "rshared",
        Some(other) => {
            report.error(
                node.at,
                format!("{path}.mountPropagation: {:?} is none of None, HostToContainer, Bidirectional", short(other)),
            );
            "rprivate"
        }
    };
    fields.not_yet(report, &["recursiveReadOnly"]);
    fields.finish(report);
    let (Some(target), Some(sub_path)) = (normal(&wanted).filter(|path| path != "/"), relative(&sub)) else {
        report.error(
            node.at,
            format!("{path}: mountPath must be absolute (and not /), subPath relative, both without \"..\" and ':'"),
        );
        return None;
    };
    Some(Mount { volume, path: target, sub_path, read_only, propagation })
}
