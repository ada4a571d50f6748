//! `ConfigMap` and `Secret` as Kubernetes knows them, and where a PodSpec refers to them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::fields::{Fields, Report};
use super::tree::{Value, short};
use crate::spec_hash::Content;

/// What a PodSpec refers to, and whether it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps by name; `true`: optional.
    pub config_maps: BTreeMap<String, bool>,
    /// Secrets by name; `true`: optional.
    pub secrets: BTreeMap<String, bool>,
}

pub(crate) fn config_map(report: &mut Report, document: &mut Fields<'_>) -> Content {
    document.ignore(&["immutable"]);
    let mut content: Content =
        document.texts(report, "data").into_iter().map(|(key, text)| (key, text.into_bytes())).collect();
    decoded(report, document, "binaryData", &mut content);
    content
}

pub(crate) fn secret(report: &mut Report, document: &mut Fields<'_>) -> Content {
    document.ignore(&["immutable", "type"]);
    let mut content = Content::new();
    decoded(report, document, "data", &mut content);
    // As in Kubernetes, stringData wins.
    content.extend(document.texts(report, "stringData").into_iter().map(|(key, text)| (key, text.into_bytes())));
    content
}

fn decoded(report: &mut Report, document: &mut Fields<'_>, field: &'static str, into: &mut Content) {
    let Some(node) = document.take(field) else { return };
    let Value::Map(entries) = &node.value else {
        report.error(node.at, format!("{field}: must be a map (`key: value`), not {}", node.what()));
        return;
    };
    for (key, node) in entries {
        let bytes = match &node.value {
            Value::Text(text) | Value::Number(_, text) => base64(text),
            Value::Null => Some(Vec::new()),
            _ => None,
        };
        // The value may be a secret: it is not shown.
        match bytes {
            Some(bytes) => drop(into.insert(key.name.clone(), bytes)),
            None => report.error(
                node.at,
                format!(
                    "{field}.{}: is not base64; plain text belongs in stringData (Secret) or data (ConfigMap)",
                    short(&key.name)
                ),
            ),
        }
    }
}

pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let padding = digits.iter().rev().take_while(|c| **c == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u8);
    for digit in &digits[..digits.len() - padding] {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Everything of a PodSpec that names a ConfigMap or a Secret.
#[must_use]
pub fn references(pod: &Json) -> References {
    let mut found = References::default();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(&pod[list]) {
            for env in items(&container["env"]) {
                add(&mut found.config_maps, &env["valueFrom"]["configMapKeyRef"], "name");
                add(&mut found.secrets, &env["valueFrom"]["secretKeyRef"], "name");
            }
            for from in items(&container["envFrom"]) {
                add(&mut found.config_maps, &from["configMapRef"], "name");
                add(&mut found.secrets, &from["secretRef"], "name");
            }
        }
    }
    for volume in items(&pod["volumes"]) {
        add(&mut found.config_maps, &volume["configMap"], "name");
        add(&mut found.secrets, &volume["secret"], "secretName");
        for source in items(&volume["projected"]["sources"]) {
            add(&mut found.config_maps, &source["configMap"], "name");
            add(&mut found.secrets, &source["secret"], "name");
        }
    }
    for secret in items(&pod["imagePullSecrets"]) {
        add(&mut found.secrets, secret, "name");
    }
    found
}

fn items(list: &Json) -> impl Iterator<Item = &Json> {
    list.as_array().into_iter().flatten()
}

fn add(to: &mut BTreeMap<String, bool>, reference: &Json, key: &str) {
    if let Some(name) = reference[key].as_str() {
        let optional = reference["optional"].as_bool().unwrap_or(false);
        let known = to.entry(name.to_owned()).or_insert(optional);
        *known = *known && optional;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_and_plain_text_refused() {
        assert_eq!(base64("aGVsbG8=").as_deref(), Some(b"hello".as_slice()));
        assert_eq!(base64("").as_deref(), Some(b"".as_slice()));
        assert_eq!(base64("/+8=").as_deref(), Some([0xff, 0xef].as_slice()));
        for wrong in ["hello", "aGVsbG8", "a===", "=aaa", "pass word!"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }
}
