//! Manifests as users write them: the old README's documents verbatim, the directory's rules, real files that change.

#[path = "common/old_readme.rs"]
mod old_readme;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::model::workload::{Kind, Payload, RestartPolicy};
use flotta_agent::source::manifests::{Directory, Settings, StoredManifests, Update, run};
use flotta_agent::spec_hash::DeviceKey;
use tokio::sync::{Notify, mpsc};

use old_readme::{OLD_CRON, OLD_DEVICE, OLD_GATED};

fn settings() -> Settings {
    Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) }
}

fn shell(name: &str, script: &str, more: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n{more}  shell: {{ script: \"{script}\" }}\n"
    )
}

fn device(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: {name}, labels: {labels} }}\n"
    )
}

fn directory(files: &[(&str, &str)]) -> Directory {
    let mut directory = Directory::default();
    for (name, text) in files {
        directory.put("manifests", name, Ok(text));
    }
    directory
}

#[test]
fn the_old_readmes_device_and_workload_work_and_each_misplaced_part_is_named() {
    let spaces = OLD_GATED.replace("    \t- name", "      - name");
    let outcome = directory(&[("device.yaml", OLD_DEVICE), ("w.yaml", &spaces)]).outcome(&settings());
    let desired = outcome.desired;
    assert_eq!(desired.device_id.as_deref(), Some("toto"));
    assert_eq!(desired.profiles[0].name, "test");
    assert_eq!(desired.profiles[0].conditions[0].expression, "x<3% || x == nil");
    let said: Vec<String> = desired.problems.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    for part in ["metadata.name", "metadata.namespace", "spec.heartbeat.profiles", "belong in spec.profiles"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let workload = desired.workloads.values().next().expect("it selects this device");
    assert_eq!((workload.kind, workload.gates[0].name.as_str()), (Kind::K8s, "test"));
    assert_eq!(workload.gates[0].conditions[0].name, "off");
    assert!(workload.warnings.iter().any(|w| w.contains("spec.deviceSelector.profiles")), "{:?}", workload.warnings);
}

#[test]
fn the_old_readmes_tab_and_its_cron_are_answered_with_line_and_column() {
    let outcome = directory(&[("w.yaml", OLD_GATED)]).outcome(&settings());
    let said: Vec<String> = outcome.desired.problems.iter().map(ToString::to_string).collect();
    let tab =
        said.iter().any(|line| line.starts_with("manifests/w.yaml:10:5") && line.contains("a tab in the indentation"));
    let works = outcome.desired.problems.is_empty();
    assert!(tab || works, "{said:?}");
    let outcome = directory(&[("c.yaml", OLD_CRON)]).outcome(&settings());
    let said = outcome.desired.problems[0].to_string();
    assert!(
        said.starts_with("manifests/c.yaml:10:9: ") && said.contains("write `cron: \"*/1 * * * *\"`, with quotes"),
        "{said}"
    );
}

#[test]
fn the_first_path_in_byte_order_wins_and_the_second_is_told_by_whom() {
    let outcome =
        directory(&[("b.yaml", &shell("x", "second", "")), ("a.yaml", &shell("x", "first", ""))]).outcome(&settings());
    let workload = outcome.desired.workloads.values().next().expect("one");
    assert!(matches!(&workload.payload, Payload::Shell(shell) if shell.argv[2] == "first"));
    let said = outcome.desired.problems[0].to_string();
    assert!(said.starts_with("manifests/b.yaml:1: ") && said.contains("manifests/a.yaml:1"), "{said}");
}

#[test]
fn moving_a_document_between_files_restarts_nothing() {
    let mut directory = directory(&[("a.yaml", &shell("x", "true", ""))]);
    let before = directory.outcome(&settings()).desired.workloads;
    directory.remove("a.yaml");
    directory.put("manifests", "z.yaml", Ok(&shell("x", "true", "")));
    let after = directory.outcome(&settings()).desired.workloads;
    let hash = |all: &std::collections::BTreeMap<_, Arc<flotta_agent::model::workload::Workload>>| {
        all.values().next().expect("one").hash.clone()
    };
    assert_eq!(hash(&before), hash(&after));
}

#[test]
fn only_what_selects_this_device_is_for_it() {
    let of = |selector: &str| {
        let text = shell("x", "true", &format!("  {selector}\n"));
        let mut directory = directory(&[("d.yaml", &device("toto", "{ app: camera, zone: a }")), ("w.yaml", &text)]);
        directory.outcome(&settings()).desired.workloads.len()
    };
    assert_eq!(of("deviceSelector: { matchLabels: { app: camera } }"), 1);
    assert_eq!(of("deviceSelector: { matchLabels: { app: radio } }"), 0);
    assert_eq!(of("deviceSelector: { matchLabels: { device: toto } }"), 1);
    assert_eq!(of("device: toto"), 1);
    assert_eq!(of("device: other"), 0);
    assert_eq!(of("deviceSelector: { matchExpressions: [ { key: zone, operator: In, values: [ a, b ] } ] }"), 1);
    assert_eq!(of("deviceSelector: { matchExpressions: [ { key: zone, operator: NotIn, values: [ a ] } ] }"), 0);
    assert_eq!(of("deviceSelector: { matchExpressions: [ { key: gpu, operator: DoesNotExist } ] }"), 1);
    assert_eq!(of("priority: 3"), 1);
}

#[test]
fn with_several_devices_and_no_id_nobody_guesses() {
    let mut directory = directory(&[("a.yaml", &device("one", "{}")), ("b.yaml", &device("two", "{}"))]);
    let outcome = directory.outcome(&settings());
    assert_eq!(outcome.desired.device_id, None);
    assert!(outcome.desired.problems[0].message.contains("set DEVICE_ID"), "{:?}", outcome.desired.problems);
    let outcome = directory.outcome(&Settings { device_id: Some("two".into()), ..settings() });
    assert!(outcome.desired.problems.is_empty());
    assert!(outcome.notes.iter().any(|note| note.message.contains("one is not this device")));
}

#[test]
fn booleans_are_strict_durations_are_read_and_defaults_are_the_specs() {
    let text = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: d }\nspec:\n  profiles:\n    - name: p\n      conditions:\n        - { name: off, expression: \"x < 1\", for: 1m30s, hold: 5 }\n";
    let outcome = directory(&[("d.yaml", text), ("w.yaml", &shell("x", "true", ""))]).outcome(&settings());
    let condition = &outcome.desired.profiles[0].conditions[0];
    assert_eq!(condition.name, "off");
    assert_eq!((condition.hold_off, condition.hold), (Duration::from_secs(90), Duration::from_secs(5)));
    let workload = outcome.desired.workloads.values().next().expect("one");
    assert_eq!(workload.restart, RestartPolicy::OnFailure);
    assert!(matches!(&workload.payload, Payload::Shell(shell) if shell.grace == Duration::from_secs(30)));
}

#[test]
fn an_unknown_field_is_a_warning_with_its_path_and_a_guess() {
    let outcome = directory(&[("w.yaml", &shell("x", "true", "  prioriti: 3\n"))]).outcome(&settings());
    let workload = outcome.desired.workloads.values().next().expect("one");
    let said = workload.warnings.join("\n");
    assert!(
        said.contains("manifests/w.yaml:6:3") && said.contains("spec.prioriti") && said.contains("\"priority\""),
        "{said}"
    );
}

#[test]
fn the_version_covers_what_is_run_and_nothing_else() {
    let hash = |text: &str| {
        let desired = directory(&[("w.yaml", text)]).outcome(&settings()).desired;
        desired.workloads.values().next().expect("one").hash.clone()
    };
    let base = shell("x", "true", "");
    // Held in place from the first release on: a change of this restarts every workload of every user.
    assert_eq!(hash(&base).0, "81169344c8eaeb4d4065d98cea5a031ace318def3cb3dc1111f184c093c8de3a");
    for same in [
        base.replace("name: x", "name: x, namespace: default"),
        shell("x", "true", "  priority: 7\n"),
        shell("x", "true", "  profiles: [ { name: p, conditions: [ { name: c, cpu: 20000 } ] } ]\n"),
        shell("x", "true", "  retry: { constantBackoff: { periodSeconds: 5 } }\n"),
        shell("x", "true", "  cron: \"* * * * *\"\n"),
        shell("x", "true", "  deviceSelector: { matchLabels: { device: d } }\n"),
    ] {
        assert_eq!(hash(&same), hash(&base), "{same}");
    }
    for other in [
        shell("y", "true", ""),
        shell("x", "false", ""),
        base.replace("name: x", "name: x, namespace: other"),
        base.replace("name: x", "name: x, labels: { a: b }"),
        base.replace("name: x", "name: x, annotations: { a: b }"),
        shell("x", "true", "  rootless: true\n"),
    ] {
        assert_ne!(hash(&other), hash(&base), "{other}");
    }
}

#[test]
fn a_changed_secret_changes_the_version_of_who_refers_to_it_and_only_with_the_devices_key() {
    let pod = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: p }\nspec: { pod: { spec: { containers: [ { name: c, image: i, envFrom: [ { secretRef: { name: s } }, { configMapRef: { name: m } } ] } ] } } }\n";
    let of = |secret: &str, map: &str, key: u8| {
        let secret =
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: s }}\nstringData: {{ password: {secret} }}\n");
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: m }}\ndata: {{ a: {map} }}\n");
        let settings = Settings { key: DeviceKey::new([key; 32]), ..settings() };
        let desired = directory(&[("p.yaml", pod), ("s.yaml", &secret), ("m.yaml", &map)]).outcome(&settings).desired;
        desired.workloads.values().next().expect("one").hash.clone()
    };
    assert_eq!(of("one", "x", 1), of("one", "x", 1));
    assert_ne!(of("one", "x", 1), of("two", "x", 1));
    assert_ne!(of("one", "x", 1), of("one", "y", 1));
    assert_ne!(of("one", "x", 1), of("one", "x", 2), "without the key nobody can try passwords on the public hash");
}

/// The next update that is as wanted, within a deadline.
async fn until(updates: &mut mpsc::Receiver<Update>, what: &str, wanted: impl Fn(&Update) -> bool) -> Update {
    let found = async {
        loop {
            let update = updates.recv().await.expect("the watcher lives");
            if wanted(&update) {
                return update;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("{what} was not noticed"))
}

fn watch(dir: &Path, stored: StoredManifests) -> (mpsc::Receiver<Update>, tokio::task::JoinHandle<()>) {
    let (out, updates) = mpsc::channel(8);
    (updates, tokio::spawn(run(dir.to_path_buf(), settings(), stored, Arc::new(Notify::new()), out)))
}

fn names(update: &Update) -> Vec<String> {
    update.desired.workloads.keys().map(|id| id.name().to_owned()).collect()
}

#[tokio::test]
async fn files_that_come_change_and_go_are_followed() {
    let temporary = tempfile::tempdir().expect("a directory");
    let dir = temporary.path().join("manifests");
    let (mut updates, task) = watch(&dir, StoredManifests::default());
    let first = until(&mut updates, "the start", |_| true).await;
    assert!(first.desired.problems[0].message.contains("is not there"), "{:?}", first.desired.problems);
    std::fs::create_dir(&dir).expect("made");
    std::fs::write(dir.join("a.yaml"), shell("a", "true", "")).expect("written");
    let first = until(&mut updates, "the directory that appeared", |u| names(u) == ["a"]).await;
    let hash = first.desired.workloads.values().next().expect("a").hash.clone();
    std::fs::write(dir.join("a.yaml"), shell("a", "false", "")).expect("edited in place");
    until(&mut updates, "the edit", |u| u.desired.workloads.values().any(|w| w.hash != hash)).await;
    std::fs::write(dir.join(".b.tmp"), shell("b", "true", "")).expect("written");
    std::fs::rename(dir.join(".b.tmp"), dir.join("b.yaml")).expect("renamed");
    until(&mut updates, "the rename", |u| names(u) == ["a", "b"]).await;
    std::fs::write(dir.join("b.yaml"), "").expect("emptied");
    let emptied = until(&mut updates, "the empty file", |u| !u.desired.problems.is_empty()).await;
    assert_eq!(names(&emptied), ["a", "b"], "empty is broken, not removed");
    std::fs::remove_file(dir.join("b.yaml")).expect("removed");
    until(&mut updates, "the deletion", |u| names(u) == ["a"] && u.desired.problems.is_empty()).await;
    std::fs::create_dir(dir.join("c.yaml")).expect("a directory of that name");
    until(&mut updates, "what is no file", |u| u.desired.problems.iter().any(|p| p.place.ends_with("c.yaml"))).await;
    std::fs::remove_dir(dir.join("c.yaml")).expect("removed");
    std::fs::rename(&dir, temporary.path().join("away")).expect("moved away");
    let gone = until(&mut updates, "the missing directory", |u| {
        u.desired.problems.iter().any(|p| p.message.contains("is not there"))
    })
    .await;
    assert_eq!(names(&gone), ["a"], "a directory that disappears changes nothing");
    std::fs::rename(temporary.path().join("away"), &dir).expect("moved back");
    until(&mut updates, "the directory that came back", |u| u.desired.problems.is_empty() && names(u) == ["a"]).await;
    task.abort();
}

#[tokio::test]
async fn after_a_restart_a_broken_file_has_the_stored_version_in_force() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("a.yaml"), shell("a", "true", "")).expect("written");
    let (mut updates, task) = watch(dir.path(), StoredManifests::default());
    let stored = until(&mut updates, "the start", |u| names(u) == ["a"]).await.stored;
    task.abort();
    std::fs::write(dir.path().join("a.yaml"), "apiVersion: [").expect("broken");
    let (mut updates, task) = watch(dir.path(), stored.clone());
    let update = until(&mut updates, "the start", |u| !u.desired.problems.is_empty()).await;
    assert_eq!(names(&update), ["a"]);
    assert_eq!(update.stored, stored, "and it stays stored");
    task.abort();
}

#[tokio::test]
async fn links_that_are_swapped_as_a_whole_are_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, word) in [("..one", "one"), ("..two", "two")] {
        std::fs::create_dir(dir.path().join(name)).expect("made");
        std::fs::write(dir.path().join(name).join("a.yaml"), shell("a", word, "")).expect("written");
    }
    std::os::unix::fs::symlink("..one", dir.path().join("..data")).expect("linked");
    std::os::unix::fs::symlink("..data/a.yaml", dir.path().join("a.yaml")).expect("linked");
    let (mut updates, task) = watch(dir.path(), StoredManifests::default());
    let script = |u: &Update, word: &str| {
        u.desired.workloads.values().any(|w| matches!(&w.payload, Payload::Shell(shell) if shell.argv[2] == word))
    };
    until(&mut updates, "the start", |u| script(u, "one")).await;
    std::os::unix::fs::symlink("..two", dir.path().join("..data_tmp")).expect("linked");
    std::fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).expect("swapped");
    until(&mut updates, "the swap", |u| script(u, "two")).await;
    task.abort();
}
