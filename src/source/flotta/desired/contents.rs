//! The ConfigMaps of a workload and the Secrets of all of them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::model::pod::Content;
use crate::model::problem::Problem;
use crate::source::flotta::wire::configuration::Secret;
use crate::source::reading::fields::{Fields, Report};
use crate::source::reading::kube;
use crate::source::reading::limits::MAX_TEXT;
use crate::source::reading::tree;

/// The Secrets of a configuration by name: what they hold, or why nobody can tell.
#[derive(Default)]
pub(super) struct Secrets<'a> {
    by_name: BTreeMap<&'a str, Result<Content, Problem>>,
}

impl<'a> Secrets<'a> {
    pub fn read(wire: &'a [Secret]) -> Secrets<'a> {
        let mut secrets = Secrets::default();
        for secret in wire {
            let found = content(secret).map_err(|why| {
                Problem::new(
                    format!("server: {}.data", secret.at),
                    format!("Secret {}: {why}", tree::short(&secret.name)),
                )
            });
            match secrets.by_name.entry(secret.name.as_str()) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(found);
                }
                // The order says nothing, so neither can be right.
                std::collections::btree_map::Entry::Occupied(mut taken) if *taken.get() != found => {
                    let why = format!("there are two Secrets {} that differ", tree::short(&secret.name));
                    let _ = taken.insert(Err(Problem::new(format!("server: {}", secret.at), why)));
                }
                std::collections::btree_map::Entry::Occupied(_) => {}
            }
        }
        secrets
    }

    pub fn get(&self, name: &str) -> Option<&Content> {
        self.by_name.get(name)?.as_ref().ok()
    }

    /// Why a Secret that is there cannot be read.
    pub fn wrong(&self, name: &str) -> Option<&Problem> {
        self.by_name.get(name)?.as_ref().err()
    }
}

/// The values are secret: no sentence shows one.
fn content(secret: &Secret) -> Result<Content, String> {
    let text = secret.data.as_ref().ok_or("must be text: a JSON object of keys and base64")?;
    if text.reveal().is_empty() {
        return Ok(Content::new());
    }
    if text.reveal().len() > MAX_TEXT {
        return Err("is larger than 1 MiB".into());
    }
    let object = match serde_json::from_str(text.reveal()) {
        Ok(Json::Object(object)) => object,
        Ok(Json::Null) => return Ok(Content::new()),
        Ok(_) | Err(_) => return Err("is not a JSON object of keys and base64".into()),
    };
    let mut content = Content::new();
    for (key, value) in object {
        let bytes = match &value {
            Json::String(text) => kube::base64(text),
            Json::Null => Some(Vec::new()),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| format!("the value of {:?} is not base64", tree::short(&key)))?;
        content.insert(key, bytes);
    }
    Ok(content)
}

/// The ConfigMaps of a workload by name. `prefix` is what people call the workload.
pub(super) fn config_maps(
    texts: &[String],
    prefix: &str,
    errors: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> BTreeMap<String, Content> {
    let mut found: BTreeMap<String, Content> = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        let mut report = Report::new(&format!("{prefix}, configmaps[{index}]"));
        if let Some((name, content)) = config_map(&mut report, text) {
            if found.get(&name).is_some_and(|known| *known != content) {
                let message = format!("there are two ConfigMaps {:?} that differ", tree::short(&name));
                report.errors.push(Problem::new(report.file.clone(), message));
            }
            found.insert(name, content);
        }
        errors.append(&mut report.errors);
        warnings.append(&mut report.warnings);
    }
    found
}

fn config_map(report: &mut Report, text: &str) -> Option<(String, Content)> {
    let node = super::workload::one_document(report, text, "a ConfigMap")?;
    let mut fields = Fields::of(report, "", &node)?;
    fields.ignore(&["apiVersion", "kind", "status"]);
    let mut metadata = fields.map(report, "metadata");
    let name = metadata.as_mut().and_then(|metadata| metadata.text(report, "name"));
    let content = kube::config_map(report, &mut fields);
    fields.finish(report);
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Some((name, content)),
        None => {
            report.error(node.at, "metadata.name: is missing: the ConfigMap needs a name");
            None
        }
    }
}
