//! Documents: what a file's trees say, typed and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::device::{self, DeviceDoc};
use super::workload::{self, WorkloadDoc};
use crate::model::id::rfc1123;
use crate::source::reading::fields::{Fields, Report};
use crate::source::reading::kube;
use crate::source::reading::tree::{self, At, Key, Node, SyntaxError, Value, short};
use crate::spec_hash::Content;

/// The apiVersion of the kinds of this project.
pub const API_VERSION: &str = "management.project-flotta.io/v1alpha1";

/// What a document is and whose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentKey {
    /// Which kind.
    pub kind: DocumentKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A device: its labels and profiles.
    EdgeDevice,
    /// A workload.
    EdgeWorkload,
    /// Plain settings for pods.
    ConfigMap,
    /// Secret settings for pods.
    Secret,
}

impl DocumentKind {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DocumentKind::EdgeDevice => "EdgeDevice",
            DocumentKind::EdgeWorkload => "EdgeWorkload",
            DocumentKind::ConfigMap => "ConfigMap",
            DocumentKind::Secret => "Secret",
        }
    }
}

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A device.
    Device(DeviceDoc),
    /// A workload.
    Workload(Box<WorkloadDoc>),
    /// The content of a ConfigMap.
    ConfigMap(Content),
    /// The content of a Secret.
    Secret(Content),
}

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Whose it is.
    pub key: DocumentKey,
    /// `manifests/a.yaml:12`.
    pub origin: String,
    /// What it says; where `report.errors` is not empty, only part of it.
    pub body: Body,
    /// What is wrong with it.
    pub report: Report,
}

impl Document {
    /// Whether something in it cannot be carried out.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.report.errors.is_empty()
    }
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Its documents, in order.
    pub documents: Vec<Arc<Document>>,
    /// What is wrong outside of the documents.
    pub report: Report,
    /// A document says neither what nor whose it is: nothing that the file held before may count as removed.
    pub unclear: bool,
}

/// The metadata that every document has.
pub(super) struct Metadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub at: At,
}

/// Reads a file's text. `file` is what people call the file.
///
/// # Errors
/// The text is not YAML, or says nothing at all.
pub fn parse(file: &str, text: &str) -> Result<Parsed, SyntaxError> {
    let trees = tree::parse(text)?;
    if trees.is_empty() {
        let message = "the file is empty: what it said before stays in force; delete the file to remove that".into();
        return Err(SyntaxError { at: At { line: 1, column: 1 }, message });
    }
    let mut parsed = Parsed { report: Report::new(file), ..Parsed::default() };
    for tree in &trees {
        parsed.document(tree, true);
    }
    Ok(parsed)
}

impl Parsed {
    fn document(&mut self, node: &Node, may_be_list: bool) {
        let mut report = Report::new(&self.report.file);
        let key = self.read(node, may_be_list, &mut report);
        if key.is_none() {
            self.unclear = self.unclear || !report.errors.is_empty();
            self.report.errors.append(&mut report.errors);
            self.report.warnings.append(&mut report.warnings);
        }
    }

    /// `None`: it is no document, or nobody can tell whose; then the report stands for the file.
    fn read(&mut self, node: &Node, may_be_list: bool, report: &mut Report) -> Option<()> {
        let Value::Map(_) = &node.value else {
            report.error(
                node.at,
                format!("a document must be a map that begins with apiVersion and kind, not {}", node.what()),
            );
            return None;
        };
        let mut fields = Fields::of(report, "", node)?;
        let at = node.at;
        let kind = fields.take("kind").and_then(text_of);
        let api = fields.take("apiVersion").and_then(text_of);
        let Some(kind) = kind else {
            report.error(at, format!("kind: is missing; {KNOWN}"));
            return None;
        };
        let (kind, wanted) = match kind {
            "EdgeDevice" => (DocumentKind::EdgeDevice, API_VERSION),
            "EdgeWorkload" => (DocumentKind::EdgeWorkload, API_VERSION),
            "ConfigMap" => (DocumentKind::ConfigMap, "v1"),
            "Secret" => (DocumentKind::Secret, "v1"),
            // People have them beside their pods. A claim is made when a pod first uses it, on the device's own disk: of what they
            // say of size and class nothing is used.
            "PersistentVolumeClaim" | "PersistentVolume" if api == Some("v1") => {
                fields.ignore(&["metadata", "spec", "status"]);
                fields.finish(report);
                return None;
            }
            "List" | "EdgeWorkloadList" | "EdgeDeviceList" if may_be_list => {
                fields.ignore(&["metadata"]);
                let items = fields.list(report, "items").unwrap_or_default();
                fields.finish(report);
                for item in items {
                    self.document(item, false);
                }
                return None;
            }
            "List" | "EdgeWorkloadList" | "EdgeDeviceList" => {
                report.error(at, "kind: a List inside a List is not read: move its items to the outer one");
                return None;
            }
            other => {
                report.error(at, format!("kind: {:?} is not known; {KNOWN}", short(other)));
                return None;
            }
        };
        if api != Some(wanted) {
            let found = api.map_or("missing".to_owned(), |api| format!("{:?}", short(api)));
            report.error(at, format!("apiVersion: is {found}; kind {} needs `apiVersion: {wanted}`", kind.as_str()));
            return None;
        }
        fields.ignore(&["status"]);
        let metadata = metadata(report, &mut fields, kind)?;
        let namespace = metadata.namespace.clone().unwrap_or_else(|| "default".into());
        let Some(name) = metadata.name.clone() else {
            report.error(metadata.at, "metadata.name: is missing: give the document a name");
            return None;
        };
        for (what, text) in [("metadata.name", &name), ("metadata.namespace", &namespace)] {
            if let Err(why) = rfc1123(what, text) {
                report.error(metadata.at, why);
                return None;
            }
        }
        let body = match kind {
            DocumentKind::EdgeDevice => Body::Device(device::read(report, &mut fields, metadata)),
            DocumentKind::EdgeWorkload => Body::Workload(Box::new(workload::read(report, &mut fields, metadata))),
            DocumentKind::ConfigMap => Body::ConfigMap(kube::config_map(report, &mut fields)),
            DocumentKind::Secret => Body::Secret(kube::secret(report, &mut fields)),
        };
        fields.finish(report);
        self.documents.push(Arc::new(Document {
            key: DocumentKey { kind, namespace, name },
            origin: format!("{}:{}", report.file, at.line),
            body,
            report: std::mem::take(report),
        }));
        Some(())
    }
}

const KNOWN: &str = "known are EdgeDevice and EdgeWorkload (management.project-flotta.io/v1alpha1), ConfigMap, Secret, PersistentVolumeClaim and List (v1)";

fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn metadata(report: &mut Report, fields: &mut Fields<'_>, kind: DocumentKind) -> Option<Metadata> {
    let at = fields.at;
    let Some((&Key { at: key_at, .. }, _)) = fields.entry("metadata") else {
        report.error(at, "metadata: is missing: write `metadata: { name: … }`");
        return None;
    };
    let mut map = fields.map(report, "metadata")?;
    let name_at = map.entry("name").map_or(key_at, |(_, node)| node.at);
    let errors = report.errors.len();
    let mut found = Metadata {
        name: map.text(report, "name"),
        namespace: map.text(report, "namespace"),
        labels: map.texts(report, "labels"),
        annotations: map.texts(report, "annotations"),
        at: name_at,
    };
    // What the API server adds; files from `kubectl get -o yaml` have it.
    map.ignore(&[
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "finalizers",
        "ownerReferences",
        "selfLink",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ]);
    map.finish(report);
    if found.name.is_none() && report.errors.len() == errors && kind == DocumentKind::EdgeDevice {
        device::name_under_labels(report, &mut found);
    }
    Some(found)
}
