//! docs/workloads.md says of every field what the reader does with it, and which test holds that.

#[path = "common/sources.rs"]
mod sources;

use std::collections::BTreeSet;
use std::path::PathBuf;

use flotta_agent::model::workload::Payload;
use flotta_agent::source::manifests::{Directory, Settings};
use flotta_agent::spec_hash::DeviceKey;

use sources::sources;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where tests are.
const PLACES: [&str; 3] = ["tests", "src", "broker/tests"];

/// Kubernetes 1.31: where a field stands (the beginning of a heading), and its name.
const KUBERNETES: &[(&str, &str)] = &[
    (
        "Pod: `spec.pod.spec`",
        "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims restartPolicy runtimeClassName schedulerName schedulingGates securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes",
    ),
    (
        "Pod: its `securityContext`",
        "appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seLinuxOptions seccompProfile supplementalGroups supplementalGroupsPolicy sysctls windowsOptions",
    ),
    (
        "Pod: its volumes",
        "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume",
    ),
    (
        "Container: ",
        "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy resources restartPolicy startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir",
    ),
    (
        "Container: its `securityContext`",
        "allowPrivilegeEscalation appArmorProfile capabilities privileged procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser seLinuxOptions seccompProfile windowsOptions",
    ),
];

/// A row of a table of fields.
struct Row {
    heading: String,
    /// The fields that it is about; most have one.
    fields: Vec<String>,
    here: String,
    example: String,
    tests: Vec<String>,
    line: String,
}

fn doc() -> String {
    std::fs::read_to_string(PathBuf::from(ROOT).join("docs/workloads.md")).expect("docs/workloads.md")
}

/// The words between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let (mut rows, mut heading) = (Vec::new(), String::new());
    for line in doc().lines() {
        if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [field, here, _how, _refused, example, test] = cells.as_slice() else { continue };
        if field.starts_with('`') {
            rows.push(Row {
                heading: heading.clone(),
                fields: quoted(field),
                here: (*here).to_owned(),
                example: quoted(example).concat(),
                tests: quoted(test),
                line: line.to_owned(),
            });
        }
    }
    assert!(rows.len() > 100, "the tables are not where they were: {} rows", rows.len());
    rows
}

/// What becomes of a pod with this in it: what is wrong with it, and its warnings.
fn read(row: &Row) -> (Option<String>, String) {
    let example = &row.example;
    let spec = if row.heading.starts_with("Pod: ") && example.starts_with("containers:") {
        format!("{{ {example} }}")
    } else if row.heading.starts_with("Pod: ") {
        format!("{{ containers: [ {{ name: c, image: i }} ], {example} }}")
    } else {
        let volumes =
            "{ name: e, emptyDir: {} }, { name: m, configMap: { name: m } }, { name: h, hostPath: { path: /srv } }";
        format!("{{ volumes: [ {volumes} ], containers: [ {{ name: c, image: i, {example} }} ] }}")
    };
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: web }}\nspec: {{ pod: {{ spec: {spec} }} }}\n"
    );
    let beside = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata: { a: \"1\" }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { key: hush }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: pull }\nstringData: { .dockerconfigjson: '{\"auths\":{}}' }\n";
    let mut directory = Directory::default();
    directory.put("manifests", "a.yaml", Ok(&text));
    directory.put("manifests", "b.yaml", Ok(beside));
    let settings = Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) };
    let desired = directory.outcome(&settings).desired;
    let workload = desired.workloads.into_values().next();
    let workload = workload.unwrap_or_else(|| panic!("{}\n  {:?}", row.line, desired.problems));
    let wrong = match &workload.payload {
        Payload::Pod(_) => None,
        Payload::Invalid(why) => Some(why.clone()),
        other => panic!("{}: {other:?}", row.line),
    };
    (wrong, workload.warnings.join("\n"))
}

#[test]
fn what_the_tables_say_of_a_field_is_what_becomes_of_their_example() {
    let mut lies = Vec::new();
    for row in rows() {
        let (wrong, warnings) = read(&row);
        let name = row.fields.first().and_then(|field| field.rsplit('.').next()).unwrap_or_default();
        let true_ = match row.here.as_str() {
            "yes" | "quiet" => wrong.is_none() && warnings.is_empty(),
            "warning" => wrong.is_none() && warnings.contains(name),
            "no" => wrong.is_some(),
            _ => false,
        };
        if !true_ {
            lies.push(format!("{}\n  wrong: {wrong:?}\n  warnings: {warnings:?}", row.line));
        }
    }
    assert!(lies.is_empty(), "{}", lies.join("\n"));
}

#[test]
fn every_field_of_kubernetes_has_a_row() {
    let rows = rows();
    for (heading, fields) in KUBERNETES {
        for field in fields.split(' ') {
            let has = |row: &Row| {
                let first = |name: &String| name.split('.').next() == Some(field);
                row.heading.starts_with(heading) && row.fields.iter().any(first)
            };
            assert!(rows.iter().any(has), "no row for {field} under a heading that begins with {heading:?}");
        }
    }
}

#[test]
fn every_test_that_is_named_exists_and_what_is_carried_out_names_one() {
    let mut text = String::new();
    PLACES.iter().for_each(|place| sources(&PathBuf::from(ROOT).join(place), &mut text));
    let exists = |name: &str| text.contains(&format!("fn {name}("));
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for row in rows() {
        assert!(row.here != "yes" || !row.tests.is_empty(), "no test holds this: {}", row.line);
        missing.extend(row.tests.into_iter().filter(|name| !exists(name)));
    }
    // The tables without examples name their tests in the last column, too.
    let long = |word: &String| word.matches('_').count() > 3;
    missing.extend(quoted(&doc().replace('\n', " ")).into_iter().filter(long).filter(|name| !exists(name)));
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

/// The fields that the reader's source names: what it takes, ignores, or says is not carried out.
fn known_to_the_reader() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let directory = PathBuf::from(ROOT).join("src/source/reading/pod");
    let files = std::fs::read_dir(directory).expect("readable").flatten().map(|entry| entry.path());
    for file in files.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(file).expect("readable");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let pieces: Vec<&str> = text.split('"').collect();
        for two in pieces.windows(2).step_by(2) {
            let [before, word] = two else { continue };
            let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
            let taken = ["take(", "take_entry(", "number("].iter().any(|call| line.ends_with(call));
            // text(report, "x"), mode(report, fields, "x"), not_yet(report, &["x"
            let read = line.rsplit_once("(report, ").is_some_and(|(_, rest)| {
                rest.is_empty() || rest == "&[" || rest.ends_with(", ") && !rest.contains(['(', ')', '.'])
            });
            // A list, one a line.
            let listed = line.is_empty() && before.trim_end().ends_with([',', '[']);
            let is_field = word.len() > 1
                && word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
            if is_field && (taken || read || listed) {
                found.insert((*word).to_owned());
            }
        }
    }
    assert!(found.len() > 80, "the reader is not written as it was: {found:?}");
    found
}

#[test]
fn every_field_that_the_reader_knows_stands_in_a_table() {
    let doc = doc();
    let words: BTreeSet<&str> = doc
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|quoted| quoted.split(|one: char| !(one.is_ascii_alphabetic() || one == '-')))
        .collect();
    let unknown: Vec<String> =
        known_to_the_reader().into_iter().filter(|field| !words.contains(field.as_str())).collect();
    assert!(unknown.is_empty(), "docs/workloads.md has nothing of these fields: {unknown:?}");
}
