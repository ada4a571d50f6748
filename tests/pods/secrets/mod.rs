//! Secrets, ConfigMaps and the pod's own fields, as files and as variables: that they are right, and where they are seen.

mod inside;
mod search;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use self::search::Needle;
use super::device::{lines, seconds, until_true, until_true_or};
use super::place::{Place, kill9};
use super::service::image;
use super::specs::{SOON, WAITS};

/// A value that nothing else has.
fn value(place: &Place) -> String {
    format!("Q{}{:x}", place.tag().chars().rev().collect::<String>(), std::process::id())
}

fn secret(place: &Place, name: &str, value: &str) {
    place.manifest(
        &format!("{name}-secret.yaml"),
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\nstringData: {{ pass: \"{value}\" }}\n"),
    );
}

/// Uses the Secret `keys` in every way, and writes what it saw, without showing it.
fn user_of_secrets(place: &Place, more: &str) -> String {
    let (image, tag, host) = (image(), place.tag(), place.path("host").display().to_string());
    let right = r#"[ "$URL" = "db://u:$PASS@h" ] && [ "$(cat /keys/pass)" = "$PASS" ] && [ "$ALL_pass" = "$PASS" ] && [ "$(cat /one)" = "$PASS" ] && [ ${#PASS} -gt 9 ] && echo "right $(stat -c %a /keys/pass) $(stat -c %a /all/pass) $(stat -c %a /all)" >> /host/said"#;
    let env = format!(
        "envFrom: [ {{ prefix: ALL_, secretRef: {{ name: keys }} }} ], env: [ {{ name: FLOTTA_TEST, value: {tag} }}, {{ name: PASS, valueFrom: {{ secretKeyRef: {{ name: keys, key: pass }} }} }}, {{ name: URL, value: \"db://u:$(PASS)@h\" }} ]"
    );
    let mounts = "volumeMounts: [ { name: keys, mountPath: /keys }, { name: all, mountPath: /all }, { name: keys, mountPath: /one, subPath: pass }, { name: host, mountPath: /host } ]";
    let container = |name: &str, script: &str| {
        format!("{{ name: {name}, image: \"{image}\", command: [ /bin/sh, -c, '{script}' ], {env}, {mounts} }}")
    };
    format!(
        "{{ terminationGracePeriodSeconds: 5, {more} volumes: [ {{ name: keys, secret: {{ secretName: keys, defaultMode: 0400 }} }}, {{ name: all, projected: {{ defaultMode: 0444, sources: [ {{ secret: {{ name: keys }} }} ] }} }}, {{ name: host, hostPath: {{ path: \"{host}\" }} }} ], initContainers: [ {} ], containers: [ {} ] }}",
        container("first", right),
        container("main", &format!("{right}; {WAITS}"))
    )
}

const RIGHT: &str = "right 400 444 755";

#[test]
fn a_secret_of_a_pod_that_runs_is_found_only_where_it_has_to_be_and_nowhere_when_the_pod_is_gone() {
    for mut place in Place::each() {
        let since = seconds();
        let value = value(&place);
        place.shared("host");
        secret(&place, "keys", &value);
        place.pod("web", "", &user_of_secrets(&place, ""));
        // Whatever the umask of whoever starts the agent.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\""]).arg(env!("CARGO_BIN_EXE_flotta-agent")).env_clear();
        command.envs(place.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("EDGE_DEVICE_LOG_LEVEL", "trace");
        place.launch(command);
        let running = place.until_state("web", "running");
        assert!(place.warns_of_disks(&running), "{running}");
        until_true("both containers have looked", || lines(&place.path("host/said")).len() == 2);
        assert_eq!(lines(&place.path("host/said")), [RIGHT, RIGHT]);

        let needle = Needle::new(&value);
        let (lines_with, environments) = search::processes(&needle);
        assert_eq!(lines_with, [0; 0], "no command line has it");
        let inside = search::containers(&place);
        assert!(!environments.is_empty() && environments.is_subset(&inside), "{environments:?} {inside:?}");
        let podman = place.podman.clone();
        let said = [search::said_by_podman(&place, &podman, "web"), search::said_by_agent(&place, "web")].concat();
        for (what, text) in said {
            assert!(!needle.is_in(text.as_bytes()), "{what} has it: {text}");
        }

        let files = place.files_of(&podman);
        let state = place.path("state");
        let uid = if podman.rootless { super::service::user().uid } else { rustix::process::geteuid().as_raw() };
        let (mut in_files, mut in_variables) = (0, 0);
        for found in search::files(&needle, &search::roots(&place), since) {
            println!("{:o} {} {}", found.mode, found.uid, found.path.display());
            assert!(found.private, "others can read {found:?}");
            if found.path.starts_with(&files) {
                let below = found.path.components().rev().nth(1).expect("a directory").as_os_str().to_owned();
                let mode = if below == "all" {
                    0o444
                } else if below == "keys" {
                    0o400
                } else {
                    0o600
                };
                assert_eq!((found.mode, found.uid), (mode, uid), "{found:?}");
                *(if below == ".env" { &mut in_variables } else { &mut in_files }) += 1;
            } else if found.path.starts_with(&state) {
                assert_eq!(found.mode, 0o600, "the stored desired state: {found:?}");
            } else {
                // What crun keeps of a container is in memory.
                let crun = found.path.components().any(|part| part.as_os_str() == "crun");
                assert!(crun && found.path.starts_with("/run"), "it is in {found:?}");
            }
        }
        assert_eq!((in_files, in_variables), (2, 6), "two volumes; three variables of two containers");

        place.delete("web.yaml");
        place.is_empty();
        until_true("it is in the agent's own stored state alone", || {
            let found = search::files(&needle, &search::roots(&place), since);
            found.iter().all(|found| found.path.starts_with(&state) && found.mode == 0o600)
        });
        assert_eq!(search::processes(&needle).1.len(), 0);
        place.delete("keys-secret.yaml");
        // The state keeps one version more of what is stored, against damage, until the next one is.
        until_true_or("the agent's state is without it", || {
            let found = search::files(&needle, &[state.join("desired-manifests.json")], since);
            (!found.is_empty()).then(|| format!("{found:?}"))
        });
        place.manifest("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: more }\ndata: { a: b }\n");
        until_true_or("it is nowhere any more when the Secret is gone", || {
            let found = search::files(&needle, &search::roots(&place), since);
            (!found.is_empty()).then(|| format!("{found:?}"))
        });
        place.terminate();
    }
}

#[test]
fn what_a_boot_took_away_is_written_again_before_a_pod_starts_in_place() {
    for mut place in Place::each() {
        place.shared("host");
        secret(&place, "keys", &value(&place));
        place.pod("web", SOON, &user_of_secrets(&place, ""));
        place.start();
        place.until_state("web", "running");
        until_true("both containers have looked", || lines(&place.path("host/said")).len() == 2);
        let before = place.one("web", "main");
        place.kill();
        kill9(&before);
        std::fs::remove_dir_all(place.files_of(&place.podman)).expect("what was in memory is gone");
        for name in place.secrets_of(&place.podman) {
            // Not the boot's doing, but nothing of podman's is taken for granted.
            place.podman.call("DELETE", &format!("secrets/{name}"), None);
        }
        place.start();
        until_true("the container has looked again", || lines(&place.path("host/said")).len() == 3);
        assert_eq!(lines(&place.path("host/said")).last().map(String::as_str), Some(RIGHT));
        assert_eq!(place.one("web", "main")["Id"], before["Id"], "it is the same container");
        place.until_state("web", "running");
        place.delete("web.yaml");
        place.is_empty();
        place.terminate();
    }
}

#[test]
fn a_changed_secret_replaces_the_pods_that_use_it_and_no_others() {
    let Some(mut place) = Place::new() else { return };
    let tag = place.tag();
    secret(&place, "one", "first");
    secret(&place, "two", "first");
    let pod = |name: &str, fields: &str, volumes: &str| {
        let container = format!("{{ name: c, image: \"{}\", command: [ /bin/sh, -c, '{WAITS}' ], {fields} }}", image());
        place.pod(name, "", &format!("{{ {volumes} containers: [ {container} ] }}"));
    };
    let env = format!("env: [ {{ name: FLOTTA_TEST, value: {tag} }} ]");
    let projected = "volumes: [ { name: v, projected: { sources: [ { secret: { name: one } } ] } } ],";
    pod("projected", &env, projected);
    pod("whole", &format!("{env}, envFrom: [ {{ secretRef: {{ name: one }} }} ]"), "");
    pod("other", &format!("{env}, envFrom: [ {{ secretRef: {{ name: two }} }} ]"), "");
    pod("none", &env, "");
    place.start();
    let ids = |place: &Place| -> Vec<Json> {
        ["projected", "whole", "other", "none"].iter().map(|name| place.one(name, "c")["Id"].clone()).collect()
    };
    for name in ["projected", "whole", "other", "none"] {
        place.until_state(name, "running");
    }
    let (before, hashes) =
        (ids(&place), ["projected", "whole"].map(|name| place.until_state(name, "running")["hash"].clone()));
    secret(&place, "one", "second");
    for (name, hash) in ["projected", "whole"].iter().zip(&hashes) {
        place.until(name, "runs in another version", |said| said["reason"] == "Running" && said["hash"] != *hash);
    }
    let after = ids(&place);
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
    assert_eq!(before[2..], after[2..], "those that do not use it run on");
    let files = place.files_of(&place.podman);
    until_true("what the old versions had is gone", || std::fs::read_dir(&files).is_ok_and(|all| all.count() == 3));
    assert_eq!(place.secrets_of(&place.podman).len(), 2);
    for name in ["projected", "whole", "other", "none"] {
        place.delete(&format!("{name}.yaml"));
    }
    place.is_empty();
}

#[test]
fn a_start_that_fails_leaves_no_secret_and_what_a_killed_agent_left_is_swept() {
    for mut place in Place::each() {
        let value = value(&place);
        secret(&place, "keys", &value);
        let container = format!(
            "{{ name: c, image: \"{}\", command: [ /no/such/program ], env: [ {{ name: P, valueFrom: {{ secretKeyRef: {{ name: keys, key: pass }} }} }} ], volumeMounts: [ {{ name: v, mountPath: /v }} ] }}",
            image()
        );
        place.pod(
            "bad",
            "",
            &format!("{{ volumes: [ {{ name: v, secret: {{ secretName: keys }} }} ], containers: [ {container} ] }}"),
        );
        place.start();
        let said = place.until_state("bad", "error");
        assert!(!said.to_string().contains(&value), "{said}");
        place.is_empty();
        place.delete("bad.yaml");
        place.kill();

        // As if killed while it made one.
        let files = place.files_of(&place.podman);
        for left in ["web-0123456789ab/.env", ".new-web-ba9876543210/v"] {
            std::fs::create_dir_all(files.join(left)).expect("made");
            std::fs::write(files.join(left).join("x"), &value).expect("written");
        }
        if place.podman.rootless {
            chown_all(&files);
        }
        let name = |owner: &str| format!("flotta-{owner}-0123456789ab-0");
        let other = format!("not-{}", place.tag());
        for owner in [&place.owner(), &other] {
            let path = format!("secrets/create?name={}", name(owner));
            assert_eq!(place.podman.call("POST", &path, Some(&json!("x"))).0, 200);
        }
        place.start();
        place.is_empty();
        let (code, _) = place.podman.call("DELETE", &format!("secrets/{}", name(&other)), None);
        assert_eq!(code, 204, "that of another agent is still there");
        place.terminate();
    }
}

fn chown_all(path: &Path) {
    super::service::user().own(path);
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("read").flatten() {
            chown_all(&entry.path());
        }
    }
}

#[test]
fn a_pod_learns_of_itself_and_files_of_all_kinds_are_where_they_should_be() {
    for mut place in Place::each() {
        let host = place.shared("host").display().to_string();
        place.manifest(
            "maps.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata: { a: \"1\" }\nbinaryData: { raw: AAECAw== }\n",
        );
        let script = r#"echo "$(cat /p/conf/a)|$(wc -c < /p/raw)|$(cat /p/me/name)|$(cat /p/me/labels)|$(stat -c %a /p/me/name)|$(cat /d/cpu)|$MEMORY|$NODE|$(id -u)" >> /host/said"#;
        let (image, tag) = (image(), place.tag());
        let spec = format!(
            r#"{{ volumes: [ {{ name: host, hostPath: {{ path: "{host}" }} }}, {{ name: p, projected: {{ sources: [ {{ configMap: {{ name: m, items: [ {{ key: a, path: conf/a }}, {{ key: raw, path: raw }} ] }} }}, {{ downwardAPI: {{ items: [ {{ path: me/name, fieldRef: {{ fieldPath: metadata.name }}, mode: 0440 }}, {{ path: me/labels, fieldRef: {{ fieldPath: metadata.labels }} }} ] }} }} ] }} }}, {{ name: d, downwardAPI: {{ items: [ {{ path: cpu, resourceFieldRef: {{ containerName: c, resource: limits.cpu }} }} ] }} }} ], containers: [ {{ name: c, image: "{image}", command: [ /bin/sh, -c, '{script}; {WAITS}' ], env: [ {{ name: FLOTTA_TEST, value: {tag} }}, {{ name: NODE, valueFrom: {{ fieldRef: {{ fieldPath: spec.nodeName }} }} }}, {{ name: MEMORY, valueFrom: {{ resourceFieldRef: {{ resource: limits.memory, divisor: 1Mi }} }} }} ], volumeMounts: [ {{ name: host, mountPath: /host }}, {{ name: p, mountPath: /p }}, {{ name: d, mountPath: /d }} ] }} ] }}"#
        );
        place.pod("web", "", &spec);
        place.start();
        place.until_state("web", "running");
        until_true("it has looked", || lines(&place.path("host/said")).len() == 1);
        let (_, info) = place.podman.call("GET", "info", None);
        let (cores, memory) =
            (&info["host"]["cpus"], info["host"]["memTotal"].as_u64().expect("bytes").div_ceil(1 << 20));
        let expected = format!("1|4|{}||440|{cores}|{memory}|{}|0", place.name("web"), place.id());
        assert_eq!(lines(&place.path("host/said")), [expected]);
        let found = std::fs::metadata(place.files_of(&place.podman)).expect("there");
        assert_eq!(found.mode() & 0o7777, 0o700);
        place.delete("web.yaml");
        place.is_empty();
        place.terminate();
    }
}

#[test]
fn a_command_of_a_probe_or_a_hook_has_the_secrets_of_its_container() {
    for mut place in Place::each() {
        let since = seconds();
        let value = value(&place);
        place.shared("host");
        secret(&place, "keys", &value);
        let (image, tag, host) = (image(), place.tag(), place.path("host").display().to_string());
        place.pod(
            "web",
            "",
            &format!(
                "{{ terminationGracePeriodSeconds: 5, volumes: [ {{ name: host, hostPath: {{ path: \"{host}\" }} }} ], containers: [ {{ name: main, image: \"{image}\", command: [ /bin/sh, -c, 'printf %s \"$PASS\" > /dev/shm/pass; {WAITS}' ], env: [ {{ name: FLOTTA_TEST, value: {tag} }}, {{ name: PASS, valueFrom: {{ secretKeyRef: {{ name: keys, key: pass }} }} }} ], volumeMounts: [ {{ name: host, mountPath: /host }} ], readinessProbe: {{ periodSeconds: 1, exec: {{ command: [ /bin/sh, -c, '[ \"$PASS\" = \"$(cat /dev/shm/pass)\" ] && [ -n \"$PASS\" ] && echo ready >> /host/said' ] }} }}, lifecycle: {{ postStart: {{ exec: {{ command: [ /bin/sh, -c, '[ -n \"$PASS\" ] && echo started >> /host/said' ] }} }} }} }} ] }}"
            ),
        );
        place.start();
        let running = place.until_state("web", "running");
        println!("{running}");
        until_true("it was asked", || lines(&place.path("host/said")).len() > 2);
        let needle = Needle::new(&value);
        for found in search::files(&needle, &search::roots(&place), since) {
            println!("{:o} {} {}", found.mode, found.uid, found.path.display());
            assert!(found.private, "others can read {found:?}");
        }
        place.delete("web.yaml");
        place.is_empty();
        for found in search::files(&needle, &search::roots(&place), since) {
            println!("after: {:o} {} {}", found.mode, found.uid, found.path.display());
        }
        place.terminate();
    }
}
