//! Volumes of files whose content is known: `configMap`, `secret`, `downwardAPI`, `projected`.

use std::collections::BTreeSet;

use super::super::fields::{Fields, Report, integer};
use super::super::tree::{Node, Value, short};
use super::of_pod;
use super::volume::relative;
use crate::model::pod::{DownwardItem, FileItem, FileSource, Files, ObjectFiles, Referred};

/// As in Kubernetes.
const DEFAULT_MODE: u32 = 0o644;
/// What only a cluster gives.
const OF_CLUSTERS: [&str; 3] = ["serviceAccountToken", "clusterTrustBundle", "podCertificate"];

/// Those that a volume says, each; that they are one is the caller's to check.
pub(super) fn read(report: &mut Report, volume: &mut Fields<'_>) -> Vec<Files> {
    let mut found = Vec::new();
    for (field, of, name) in [("configMap", Referred::ConfigMap, "name"), ("secret", Referred::Secret, "secretName")] {
        let Some(mut fields) = volume.map(report, field) else { continue };
        let mode = default_mode(report, &mut fields);
        let source = object(report, &mut fields, of, name);
        fields.finish(report);
        found.extend(source.map(|source| Files { sources: vec![source], mode }));
    }
    if let Some(mut fields) = volume.map(report, "downwardAPI") {
        let mode = default_mode(report, &mut fields);
        let source = downward(report, &mut fields);
        fields.finish(report);
        found.push(Files { sources: vec![source], mode });
    }
    if let Some(mut fields) = volume.map(report, "projected") {
        let mode = default_mode(report, &mut fields);
        let sources = projected(report, &mut fields);
        fields.finish(report);
        found.push(Files { sources, mode });
    }
    for files in &found {
        distinct(report, volume, files);
    }
    found
}

fn projected(report: &mut Report, fields: &mut Fields<'_>) -> Vec<FileSource> {
    let path = fields.name("sources");
    let mut found = Vec::new();
    for (index, node) in fields.list(report, "sources").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut source) = Fields::of(report, &path, node) else { continue };
        let (before, errors) = (found.len(), report.errors.len());
        for (field, of) in [("configMap", Referred::ConfigMap), ("secret", Referred::Secret)] {
            let Some(mut fields) = source.map(report, field) else { continue };
            found.extend(object(report, &mut fields, of, "name"));
            fields.finish(report);
        }
        if let Some(mut fields) = source.map(report, "downwardAPI") {
            found.push(downward(report, &mut fields));
            fields.finish(report);
        }
        for field in OF_CLUSTERS {
            if let Some((key, _)) = source.take_entry(field) {
                report.error(
                    key.at,
                    format!("{path}.{field}: only a cluster can give it; put what the pod needs into a Secret"),
                );
            }
        }
        source.finish(report);
        let some = found.len() - before;
        if some != 1 && report.errors.len() == errors {
            let what = if some == 0 { "says nothing" } else { "says more than one thing" };
            report.error(node.at, format!("{path}: {what}: write one of configMap, secret and downwardAPI"));
        }
    }
    found
}

/// A ConfigMap or Secret, called so in `name`.
fn object(report: &mut Report, fields: &mut Fields<'_>, of: Referred, name: &'static str) -> Option<FileSource> {
    let found = fields.text(report, name);
    let optional = fields.boolean(report, "optional").unwrap_or(false);
    let path = fields.name("items");
    let mut items = Vec::new();
    for (index, node) in fields.list(report, "items").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut item) = Fields::of(report, &path, node) else { continue };
        let (key, file) = (item.text(report, "key"), file_path(report, &mut item));
        let mode = mode(report, &mut item, "mode");
        item.finish(report);
        match (key, file) {
            (Some(key), Some(path)) => items.push(FileItem { key, path, mode }),
            _ => report.error(node.at, wrong_item(&path, "key")),
        }
    }
    match found {
        Some(name) => Some(FileSource::Object(ObjectFiles { of, name, items, optional })),
        None => {
            report.error(fields.at, format!("{}.{name}: is missing: which {}?", fields.path, of.kind()));
            None
        }
    }
}

fn downward(report: &mut Report, fields: &mut Fields<'_>) -> FileSource {
    let path = fields.name("items");
    let mut items = Vec::new();
    for (index, node) in fields.list(report, "items").unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut item) = Fields::of(report, &path, node) else { continue };
        let file = file_path(report, &mut item);
        let mode = mode(report, &mut item, "mode");
        let errors = report.errors.len();
        let what = of_pod::content(report, &mut item);
        item.finish(report);
        match (file, what) {
            (Some(path), Some(what)) => items.push(DownwardItem { path, mode, what }),
            (None, _) => report.error(node.at, wrong_item(&path, "fieldRef or resourceFieldRef")),
            (_, None) if report.errors.len() == errors => {
                report.error(node.at, format!("{path}: says nothing: write fieldRef or resourceFieldRef"));
            }
            _ => {}
        }
    }
    FileSource::Downward(items)
}

fn wrong_item(path: &str, what: &str) -> String {
    format!("{path}: {what} and path are needed; the path is relative, without \"..\"")
}

fn file_path(report: &mut Report, item: &mut Fields<'_>) -> Option<String> {
    item.text(report, "path").as_deref().and_then(relative).filter(|path| !path.is_empty())
}

/// No two files have the same path, and none is where another one has a directory.
fn distinct(report: &mut Report, volume: &Fields<'_>, files: &Files) {
    let mut paths = BTreeSet::new();
    let all = files.sources.iter().flat_map(|source| -> Box<dyn Iterator<Item = &str>> {
        match source {
            FileSource::Object(object) => Box::new(object.items.iter().map(|item| item.path.as_str())),
            FileSource::Downward(items) => Box::new(items.iter().map(|item| item.path.as_str())),
        }
    });
    for path in all {
        if !paths.insert(path) {
            report.error(volume.at, format!("{}: two files are called {:?}: rename one", volume.path, short(path)));
        }
    }
    for path in &paths {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).find(|above| paths.contains(above));
        if let Some(above) = above {
            let (above, path) = (short(above), short(path));
            report.error(
                volume.at,
                format!("{}: {above:?} is a file, and a directory in {path:?}: rename one", volume.path),
            );
        }
    }
}

fn default_mode(report: &mut Report, fields: &mut Fields<'_>) -> u32 {
    mode(report, fields, "defaultMode").unwrap_or(DEFAULT_MODE)
}

/// YAML 1.2 has `0o644`; what people write is `0644` (octal to them and to Kubernetes' YAML) or decimal in JSON.
fn mode(report: &mut Report, fields: &mut Fields<'_>, field: &'static str) -> Option<u32> {
    const MAX: u32 = 0o777;
    let path = fields.name(field);
    let node: &Node = fields.take(field)?;
    if let Value::Number(_, text) = &node.value
        && text.starts_with('0')
        && text.len() > 1
        && let Ok(octal) = u32::from_str_radix(text.trim_start_matches("0o"), 8)
        && octal <= MAX
    {
        return Some(octal);
    }
    if let Value::Number(_, text) = &node.value
        && looks_octal(text)
    {
        let decimal = text.parse::<u32>().unwrap_or(MAX);
        let meant = format!("{path}: {text} is decimal: write 0{text}");
        if decimal > MAX {
            report.error(node.at, meant);
            return None;
        } else if matches!(text.as_str(), "400" | "440" | "444") {
            report.warn(node.at, format!("{meant}, if that is meant; it is read as 0{decimal:o}"));
        }
    }
    integer(report, &format!("{path} (a mode like 0644)"), node, 0, i64::from(MAX))
        .and_then(|mode| u32::try_from(mode).ok())
}

/// `644` and the like, written without the 0 in front.
fn looks_octal(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
}
