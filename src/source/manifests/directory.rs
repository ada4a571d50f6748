//! The directory's files put together (SPEC "Sources", directory rules). Pure: texts in, desired state out.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::device::DeviceDoc;
use super::document::{self, Body, Document, DocumentKey, DocumentKind};
use super::workload::WorkloadDoc;
use super::{Settings, StoredManifests};
use crate::cron::Zone;
use crate::model::desired::Desired;
use crate::model::id::WorkloadId;
use crate::model::pod::{Content, Referred};
use crate::model::problem::Problem;
use crate::model::workload::{Kind, Payload, SharedWorkload, SourceKind, Workload};
use crate::source::reading::carried::{missing, with_contents};
use crate::source::reading::profiles::wrong_expressions;
use crate::source::reading::version::Versioned;

/// What is known of the files.
#[derive(Debug, Default)]
pub struct Directory {
    files: BTreeMap<String, File>,
    /// Of the last desired state: what did not change stays the same object.
    last: BTreeMap<WorkloadId, SharedWorkload>,
}

#[derive(Debug, Default)]
struct File {
    /// What is in force: of the newest text, or of the one before where the newest is broken.
    documents: Vec<Arc<Document>>,
    /// The newest text without an error.
    good: Option<String>,
    /// What is wrong with the newest text.
    problems: Vec<Problem>,
}

/// What came of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Desired state with its problems.
    pub desired: Desired,
    /// What is no fault but deserves a word: other devices, workloads for other devices.
    pub notes: Vec<Problem>,
    /// What was read differently from how it is written; also in the workloads' own warnings.
    pub warnings: Vec<Problem>,
}

impl Directory {
    /// With the last good texts of before a restart.
    #[must_use]
    pub fn restored(prefix: &str, stored: &StoredManifests) -> Directory {
        let mut directory = Directory::default();
        for (name, text) in &stored.files {
            directory.put(prefix, name, Ok(text));
        }
        directory
    }

    /// The last good text of each file.
    #[must_use]
    pub fn stored(&self) -> StoredManifests {
        let good = |(name, file): (&String, &File)| Some((name.clone(), file.good.clone()?));
        StoredManifests { files: self.files.iter().filter_map(good).collect() }
    }

    /// The files that are known.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// A file was deleted.
    pub fn remove(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// A file's text, or why it cannot be read. `prefix` is what people call the directory.
    pub fn put(&mut self, prefix: &str, name: &str, text: Result<&str, String>) {
        let shown = format!("{prefix}/{name}");
        let file = self.files.entry(name.to_owned()).or_default();
        let kept = |what: String, file: &File| match file.documents.is_empty() {
            true => what,
            false => format!("{what} (its last good version stays in force)"),
        };
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                file.problems = vec![Problem::new(shown, kept(why, file))];
                return;
            }
        };
        match document::parse(&shown, text) {
            Err(why) => file.problems = vec![Problem::new(format!("{shown}:{}", why.at), kept(why.message, file))],
            Ok(parsed) => {
                let before = std::mem::take(&mut file.documents);
                file.problems = parsed.report.errors;
                for document in parsed.documents {
                    file.problems.extend(document.report.errors.iter().cloned());
                    let good = before.iter().find(|old| old.key == document.key && !old.is_broken());
                    match good.filter(|_| document.is_broken()) {
                        Some(good) => file.documents.push(good.clone()),
                        None => file.documents.push(document),
                    }
                }
                if parsed.unclear {
                    // Nobody can tell what the unreadable document was, so nothing counts as removed.
                    let keys: BTreeSet<DocumentKey> = file.documents.iter().map(|d| d.key.clone()).collect();
                    file.documents.extend(before.into_iter().filter(|old| !keys.contains(&old.key)));
                }
                if file.problems.is_empty() {
                    file.good = Some(text.to_owned());
                }
            }
        }
    }

    /// Everything put together.
    pub fn outcome(&mut self, settings: &Settings) -> Outcome {
        let mut outcome = Outcome::default();
        let mut first: BTreeMap<&DocumentKey, &Document> = BTreeMap::new();
        for file in self.files.values() {
            outcome.desired.problems.extend(file.problems.iter().cloned());
            for document in &file.documents {
                outcome.warnings.extend(document.report.warnings.iter().cloned());
                match first.get(&document.key) {
                    None => {
                        first.insert(&document.key, document);
                    }
                    Some(winner) => outcome.desired.problems.push(Problem::new(
                        document.origin.clone(),
                        format!(
                            "{} {}/{} is in {} already, which wins; delete one of the two",
                            document.key.kind.as_str(),
                            document.key.namespace,
                            document.key.name,
                            winner.origin
                        ),
                    )),
                }
            }
        }
        let (id, device) = our_device(&first, settings, &mut outcome);
        let mut labels = device.map(|device| device.labels.clone()).unwrap_or_default();
        labels.insert("device".into(), id);
        let contents = contents(&first);
        let local = LazyCell::new(Zone::local as fn() -> Zone);
        let mut workloads = BTreeMap::new();
        for document in first.values() {
            let Body::Workload(doc) = &document.body else { continue };
            if !doc.selector.matches(&labels) {
                let what = format!("{}/{} is not for this device", document.key.namespace, document.key.name);
                outcome.notes.push(Problem::new(document.origin.clone(), what));
                continue;
            }
            let made = workload(document, doc, &contents, settings, &local).map(|made| match self.last.get(&made.id) {
                Some(last) if **last == made => last.clone(),
                _ => Arc::new(made),
            });
            if let Some(made) = made {
                workloads.insert(made.id.clone(), made);
            }
        }
        self.last.clone_from(&workloads);
        outcome.desired.labels = labels;
        outcome.desired.workloads = workloads;
        outcome
    }
}

/// SPEC "Which EdgeDevice is ours": the id, and the device if there is one.
fn our_device<'a>(
    first: &BTreeMap<&DocumentKey, &'a Document>,
    settings: &Settings,
    outcome: &mut Outcome,
) -> (String, Option<&'a DeviceDoc>) {
    let devices: Vec<(&Document, &DeviceDoc)> = first
        .values()
        .filter_map(|document| match &document.body {
            Body::Device(device) => Some((*document, device)),
            _ => None,
        })
        .collect();
    let ours = match &settings.device_id {
        Some(id) => devices.iter().find(|(document, _)| document.key.name == *id),
        None if devices.len() == 1 => devices.first(),
        None => None,
    };
    if settings.device_id.is_none() && devices.len() > 1 {
        let names: Vec<&str> = devices.iter().map(|(document, _)| document.key.name.as_str()).collect();
        let message = format!(
            "several EdgeDevices ({}) and no DEVICE_ID: set DEVICE_ID to the one that is this device",
            names.join(", ")
        );
        outcome.desired.problems.push(Problem::new("DEVICE_ID", message));
    }
    for (document, _) in devices.iter().filter(|(d, _)| ours.is_none_or(|(ours, _)| ours.key != d.key)) {
        let what = format!("EdgeDevice {} is not this device", document.key.name);
        outcome.notes.push(Problem::new(document.origin.clone(), what));
    }
    let Some((document, device)) = ours else {
        return (settings.device_id.clone().unwrap_or_else(|| settings.fallback_id.clone()), None);
    };
    if settings.device_id.is_none() {
        match crate::model::id::device_id(&document.key.name) {
            Ok(()) => outcome.desired.device_id = Some(document.key.name.clone()),
            Err(why) => outcome.desired.problems.push(Problem::new(document.origin.clone(), why)),
        }
    }
    outcome.desired.profiles.clone_from(&device.profiles);
    outcome.desired.mounts.clone_from(&device.mounts);
    outcome.desired.profiles_origin = Some(document.origin.clone());
    // What its own warnings say has no workload to say it.
    outcome.desired.problems.extend(document.report.warnings.iter().cloned());
    outcome.desired.problems.extend(wrong_expressions(&device.profiles, &document.origin));
    (document.key.name.clone(), Some(device))
}

type ByKey<'a> = BTreeMap<(DocumentKind, &'a str, &'a str), &'a Content>;

fn contents<'a>(first: &BTreeMap<&'a DocumentKey, &'a Document>) -> ByKey<'a> {
    let of = |document: &&'a Document| match &document.body {
        Body::ConfigMap(content) | Body::Secret(content) => {
            let key = &document.key;
            Some(((key.kind, key.namespace.as_str(), key.name.as_str()), content))
        }
        Body::Device(_) | Body::Workload(_) => None,
    };
    first.values().filter_map(of).collect()
}

fn workload(
    document: &Document,
    doc: &WorkloadDoc,
    contents: &ByKey<'_>,
    settings: &Settings,
    local: &LazyCell<Zone>,
) -> Option<Workload> {
    // The names were checked when the document was read.
    let id = WorkloadId::try_new(&document.key.namespace, &document.key.name).ok()?;
    let mut warnings: Vec<String> = document.report.warnings.iter().map(ToString::to_string).collect();
    let find = |of: Referred, name: &str| {
        let kind = match of {
            Referred::ConfigMap => DocumentKind::ConfigMap,
            Referred::Secret => DocumentKind::Secret,
        };
        contents.get(&(kind, id.namespace(), name)).copied()
    };
    let payload = match (&doc.payload, document.report.errors.first()) {
        (_, Some(error)) => Payload::Invalid(error.message.clone()),
        (Payload::Pod(job), None) => with_contents(job, &doc.references, &id, &doc.annotations, find, &mut warnings),
        (payload, None) => payload.clone(),
    };
    // Of a pod it is an error, said already.
    if doc.kind != Kind::Pod {
        warnings.extend(missing(&doc.references, &id, find));
    }
    let versioned = Versioned {
        id: &id,
        kind: doc.kind,
        rootless: doc.rootless,
        input: &doc.input,
        labels: &doc.labels,
        annotations: &doc.annotations,
        references: &doc.references,
    };
    let hash = versioned.hash(find, &settings.key);
    Some(Workload {
        id,
        hash,
        kind: doc.kind,
        rootless: doc.rootless,
        payload,
        labels: doc.labels.clone(),
        annotations: doc.annotations.clone(),
        gates: doc.gates.clone(),
        cron: doc.cron.as_ref().map(|cron| cron.by(|| Zone::clone(local))),
        retry: doc.retry,
        restart: doc.restart,
        priority: doc.priority,
        source: SourceKind::Manifests,
        origin: document.origin.clone(),
        warnings,
    })
}
