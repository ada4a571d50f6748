//! Files and variables of a pod, from YAML to what is written and asked for: ConfigMaps, Secrets, and the pod's own fields.

use std::sync::Arc;

use flotta_agent::executor::podman::translate::{Blueprint, Place, translate};
use flotta_agent::model::workload::{Payload, Workload};
use flotta_agent::source::manifests::{Directory, Settings};
use flotta_agent::spec_hash::DeviceKey;
use serde_json::{Value as Json, json};

const MAPS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: m }
data: { a: \"1\", b: two }
binaryData: { raw: //79 }
---
apiVersion: v1
kind: Secret
metadata: { name: s }
data: { user: cm9vdA== }
stringData: { pass: hush }
";

fn read(maps: &str, spec: &str) -> Arc<Workload> {
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: web, labels: {{ app: shop, tier: \"a\\\"b\" }}, annotations: {{ note: hi }} }}\nspec: {{ pod: {{ spec: {spec} }} }}\n"
    );
    let mut directory = Directory::default();
    directory.put("manifests", "a.yaml", Ok(&text));
    directory.put("manifests", "maps.yaml", Ok(maps));
    let settings = Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) };
    let desired = directory.outcome(&settings).desired;
    let one = desired.workloads.into_values().next();
    one.unwrap_or_else(|| panic!("{spec}: no workload: {:?}", desired.problems))
}

fn blueprint(spec: &str) -> Blueprint {
    let workload = read(MAPS, spec);
    let Payload::Pod(job) = &workload.payload else { panic!("{spec}: {:?}", workload.payload) };
    let place = Place {
        owner: "us".into(),
        device: "d".into(),
        cpu: true,
        memory: true,
        cores: 4,
        memory_total: 1 << 30,
        no_limits: "",
        files: "/run/x".into(),
    };
    translate(&workload, job, &place, None)
}

const CONTAINER: &str = "containers: [ { name: c, image: i, resources: { limits: { cpu: 1500m, memory: 64Mi } } } ]";

/// The files of a pod with this volume: path, mode, content.
fn files(volume: &str) -> Vec<(String, u32, String)> {
    let made = blueprint(&format!("{{ volumes: [ {{ name: v, {volume} }} ], {CONTAINER} }}"));
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    made.files.iter().map(|file| (file.path.clone(), file.mode, text(&file.bytes))).collect()
}

#[test]
fn a_volume_of_files_has_the_files_that_kubernetes_would_write() {
    type Expected = &'static [(&'static str, u32, &'static str)];
    let cases: &[(&str, Expected)] = &[
        (
            "configMap: { name: m }",
            &[("v/a", 0o644, "1"), ("v/b", 0o644, "two"), ("v/raw", 0o644, "\u{ff}\u{fe}\u{fd}")],
        ),
        ("secret: { secretName: s, defaultMode: 0400 }", &[("v/pass", 0o400, "hush"), ("v/user", 0o400, "root")]),
        ("secret: { secretName: s, defaultMode: 256 }", &[("v/pass", 0o400, "hush"), ("v/user", 0o400, "root")]),
        (
            "secret: { secretName: s, defaultMode: 0o440, items: [ { key: user, path: d/e/u } ] }",
            &[("v/d/e/u", 0o440, "root")],
        ),
        (
            "configMap: { name: m, items: [ { key: a, path: x, mode: 0600 }, { key: b, path: y } ] }",
            &[("v/x", 0o600, "1"), ("v/y", 0o644, "two")],
        ),
        ("configMap: { name: absent, optional: true }", &[]),
        (
            "configMap: { name: m, optional: true, items: [ { key: a, path: x }, { key: no, path: y } ] }",
            &[("v/x", 0o644, "1")],
        ),
        (
            "projected: { defaultMode: 0440, sources: [ { configMap: { name: m, items: [ { key: a, path: conf/a } ] } }, { secret: { name: s, items: [ { key: pass, path: conf/pass, mode: 0400 } ] } }, { downwardAPI: { items: [ { path: name, fieldRef: { fieldPath: metadata.name } } ] } } ] }",
            &[("v/conf/a", 0o440, "1"), ("v/conf/pass", 0o400, "hush"), ("v/name", 0o440, "web")],
        ),
        // Of two sources with the same key the later one stands.
        (
            "projected: { sources: [ { configMap: { name: m, items: [ { key: b, path: a } ] } }, { configMap: { name: m } } ] }",
            &[("v/a", 0o644, "1"), ("v/b", 0o644, "two"), ("v/raw", 0o644, "\u{ff}\u{fe}\u{fd}")],
        ),
        (
            "downwardAPI: { items: [ { path: labels, fieldRef: { fieldPath: metadata.labels } }, { path: notes, fieldRef: { fieldPath: metadata.annotations }, mode: 0600 } ] }",
            &[("v/labels", 0o644, "app=\"shop\"\ntier=\"a\\\"b\""), ("v/notes", 0o600, "note=\"hi\"")],
        ),
        (
            "downwardAPI: { items: [ { path: ns, fieldRef: { fieldPath: metadata.namespace } }, { path: node, fieldRef: { apiVersion: v1, fieldPath: spec.nodeName } }, { path: app, fieldRef: { fieldPath: \"metadata.labels['app']\" } }, { path: note, fieldRef: { fieldPath: \"metadata.annotations['note']\" } } ] }",
            &[("v/app", 0o644, "shop"), ("v/node", 0o644, "d"), ("v/note", 0o644, "hi"), ("v/ns", 0o644, "default")],
        ),
        (
            "downwardAPI: { items: [ { path: cpu, resourceFieldRef: { containerName: c, resource: limits.cpu } }, { path: milli, resourceFieldRef: { containerName: c, resource: limits.cpu, divisor: 1m } }, { path: memory, resourceFieldRef: { containerName: c, resource: limits.memory, divisor: 1Mi } }, { path: asked, resourceFieldRef: { containerName: c, resource: requests.memory } } ] }",
            &[
                ("v/asked", 0o644, "67108864"),
                ("v/cpu", 0o644, "2"),
                ("v/memory", 0o644, "64"),
                ("v/milli", 0o644, "1500"),
            ],
        ),
    ];
    for (volume, expected) in cases {
        let expected: Vec<_> =
            expected.iter().map(|(path, mode, text)| ((*path).into(), *mode, (*text).into())).collect();
        assert_eq!(files(volume), expected, "{volume}");
    }
}

#[test]
fn a_container_learns_what_it_may_use_and_without_a_limit_that_is_the_whole_machine() {
    let env = |resources: &str, resource: &str| -> Json {
        let made = blueprint(&format!(
            "{{ containers: [ {{ name: c, image: i, resources: {resources}, env: [ {{ name: A, valueFrom: {{ resourceFieldRef: {resource} }} }} ] }} ] }}"
        ));
        made.containers[0].body["env"]["A"].clone()
    };
    let some = "{ limits: { cpu: 1500m, memory: 64Mi }, requests: { cpu: 100m } }";
    for (resources, resource, expected) in [
        (some, "{ resource: limits.cpu }", "2"),
        (some, "{ resource: limits.cpu, divisor: 1m }", "1500"),
        (some, "{ resource: limits.memory }", "67108864"),
        (some, "{ resource: limits.memory, divisor: \"0\" }", "67108864"),
        (some, "{ resource: requests.cpu, divisor: 1m }", "100"),
        (some, "{ resource: requests.memory, divisor: 1Mi, containerName: c }", "64"),
        ("{}", "{ resource: limits.cpu }", "4"),
        ("{}", "{ resource: limits.memory, divisor: 1Gi }", "1"),
        ("{}", "{ resource: requests.cpu }", "0"),
    ] {
        assert_eq!(env(resources, resource), json!(expected), "{resources} {resource}");
    }
}

#[test]
fn a_variable_with_anything_of_a_secret_in_it_is_not_in_what_podman_shows() {
    let env = "envFrom: [ { prefix: ALL_, secretRef: { name: s } }, { configMapRef: { name: m } } ], env: [ { name: PASS, valueFrom: { secretKeyRef: { name: s, key: pass } } }, { name: URL, value: \"db://u:$(PASS)@h\" }, { name: AGAIN, value: \"<$(URL)>\" }, { name: PLAIN, value: \"$$(PASS) $(a)\" }, { name: ALL_user, value: mine } ]";
    let made = blueprint(&format!(
        "{{ initContainers: [ {{ name: i, image: i, {env} }} ], containers: [ {{ name: c, image: i, {env} }} ] }}"
    ));
    for container in &made.containers {
        let body = container.body.to_string();
        assert!(!body.contains("hush") && !body.contains("root"), "{body}");
        let open = &container.body["env"];
        assert_eq!((&open["PLAIN"], &open["a"], &open["ALL_user"]), (&json!("$(PASS) 1"), &json!("1"), &json!("mine")));
        assert_eq!(container.body["labels"]["project-flotta.io/secret-env"], "4");
    }
    assert!(!made.pod.to_string().contains("hush"));
    assert_eq!(made.secrets.len(), 8, "each container has its own");
    let value = |container: usize, variable: &str| -> String {
        let name = made.containers[container].body["secret_env"][variable].as_str().expect("a secret").to_owned();
        assert!(name.starts_with("flotta-us-"), "{name}");
        let secret = made.secrets.iter().find(|secret| secret.name == name).expect("it is made");
        let file = made.files.iter().find(|file| format!("/run/x/{}", file.path) == secret.file).expect("its file");
        assert_eq!(file.mode, 0o600);
        String::from_utf8_lossy(&file.bytes).into_owned()
    };
    for container in [0, 1] {
        let found = ["PASS", "URL", "AGAIN", "ALL_pass"].map(|variable| value(container, variable));
        assert_eq!(found, ["hush", "db://u:hush@h", "<db://u:hush@h>", "hush"]);
    }
    assert!(!format!("{made:?}").contains("hush"), "a secret is not shown");
}

#[test]
fn a_secret_in_a_command_line_is_replaced_as_kubernetes_does_it_and_warned_about_with_its_place() {
    let pod = |command: &str| {
        read(
            MAPS,
            &format!(
                "{{ containers: [ {{ name: c, image: i, envFrom: [ {{ prefix: P_, secretRef: {{ name: s }} }} ], env: [ {{ name: A, valueFrom: {{ secretKeyRef: {{ name: s, key: pass }} }} }}, {{ name: B, value: \"x$(A)\" }}, {{ name: C, value: y }} ], {command} }} ] }}"
            ),
        )
    };
    for (command, field) in [
        ("command: [ x, \"-p$(A)\" ]", "containers[0].command[1]: $(A)"),
        ("args: [ \"$(B)\" ]", "containers[0].args[0]: $(B)"),
    ] {
        let workload = pod(command);
        let said = workload.warnings.join("\n");
        assert!(
            said.contains(field) && said.contains("a.yaml:4:") && said.contains("list of processes"),
            "{command}: {said}"
        );
    }
    let harmless = "command: [ \"$$(A)\", \"$(C)\", \"$A\", \"$(NONE)\", \"$(cat /x)\" ]";
    assert_eq!(pod(harmless).warnings, [""; 0], "{harmless}");
    // What a whole Secret has is known when the pod is made.
    let made = blueprint(
        "{ containers: [ { name: c, image: i, envFrom: [ { prefix: P_, secretRef: { name: s } } ], env: [ { name: U, value: \"<$(P_pass)>\" } ], args: [ \"$(P_pass)\", \"$(date)\", \"$(U)\" ] } ] }",
    );
    assert_eq!(made.containers[0].body["command"], json!(["hush", "$(date)", "<hush>"]));
    let warned: Vec<&str> = made.warnings.iter().filter_map(|said| said.split(" has a part").next()).collect();
    assert_eq!(warned, ["container c: args[0]", "container c: args[2]"]);
    let workload = pod("command: [ \"-p$(A)\" ]");
    assert!(!workload.warnings.join("\n").contains("hush"));
}

#[test]
fn what_is_wrong_with_files_and_fields_is_refused_with_its_place() {
    let volume = |volume: &str| format!("volumes: [ {{ name: v, {volume} }} ], {CONTAINER}");
    let env =
        |from: &str| format!("containers: [ {{ name: c, image: i, env: [ {{ name: A, valueFrom: {from} }} ] }} ]");
    let cases = [
        (
            volume("projected: { sources: [ { serviceAccountToken: { path: t } } ] }"),
            "sources[0].serviceAccountToken: only a cluster",
        ),
        (
            volume("projected: { sources: [ { clusterTrustBundle: { path: t } } ] }"),
            "sources[0].clusterTrustBundle: only a cluster",
        ),
        (volume("projected: { sources: [ {} ] }"), "sources[0]: says nothing"),
        (volume("projected: { sources: [ { configMap: { name: m }, secret: { name: s } } ] }"), "more than one thing"),
        (volume("projected: { sources: [ { secret: {} } ] }"), "secret.name: is missing"),
        (volume("projected: { sources: [ { secret: { name: absent } } ] }"), "Secret default/absent"),
        (volume("secret: { secretName: s, items: [ { key: no, path: x } ] }"), "has no key \"no\""),
        (volume("secret: { secretName: s, items: [ { key: user, path: /x } ] }"), "the path is relative"),
        (
            volume("secret: { secretName: s, items: [ { key: user, path: x }, { key: pass, path: x } ] }"),
            "two files are called \"x\"",
        ),
        (
            volume("secret: { secretName: s, items: [ { key: user, path: x }, { key: pass, path: x/y } ] }"),
            "\"x\" is a file, and a directory in \"x/y\"",
        ),
        (volume("secret: { secretName: s, defaultMode: 644 }"), "defaultMode: 644 is decimal: write 0644"),
        (
            volume("configMap: { name: m, items: [ { key: a, path: x, mode: 9 } ] }, secret: { secretName: s }"),
            "more than one thing",
        ),
        (volume("downwardAPI: { items: [ { path: x } ] }"), "items[0]: says nothing"),
        (volume("downwardAPI: { items: [ { fieldRef: { fieldPath: metadata.name } } ] }"), "path are needed"),
        (
            volume("downwardAPI: { items: [ { path: x, fieldRef: { fieldPath: metadata.uid } } ] }"),
            "\"metadata.uid\" cannot be had",
        ),
        (
            volume("downwardAPI: { items: [ { path: x, resourceFieldRef: { resource: limits.cpu } } ] }"),
            "containerName: is missing",
        ),
        (
            volume(
                "downwardAPI: { items: [ { path: x, resourceFieldRef: { containerName: no, resource: limits.cpu } } ] }",
            ),
            "container \"no\", which is not there; there are c",
        ),
        (env("{ fieldRef: { fieldPath: metadata.labels } }"), "all of them at once are a file"),
        (env("{ fieldRef: { fieldPath: status.podIP } }"), "only known when the pod runs"),
        (env("{ resourceFieldRef: { resource: limits.disk } }"), "limits.cpu, limits.memory"),
        (env("{ resourceFieldRef: { resource: limits.cpu, divisor: x } }"), "divisor"),
        (env("{}"), "is empty"),
        (
            "volumes: [ { name: v, configMap: { name: m } } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /v, subPathExpr: $(A) } ] } ]".to_owned(),
            "subPathExpr: variables",
        ),
    ];
    for (spec, expected) in cases {
        let workload = read(MAPS, &format!("{{ {spec} }}"));
        let Payload::Invalid(why) = &workload.payload else { panic!("{spec}: taken: {:?}", workload.payload) };
        assert!(why.contains(expected), "{spec}\n  answers: {why}\n  lacks:   {expected}");
    }
}

#[test]
fn a_mode_that_may_have_been_meant_otherwise_is_said() {
    let spec = |mode: &str| {
        format!("{{ volumes: [ {{ name: v, secret: {{ secretName: s, defaultMode: {mode} }} }} ], {CONTAINER} }}")
    };
    let said = |mode| read(MAPS, &spec(mode)).warnings.join("\n");
    assert!(
        said("400").contains("400 is decimal: write 0400, if that is meant; it is read as 0620"),
        "{}",
        said("400")
    );
    for right in ["0400", "0o400", "256", "420", "292"] {
        assert_eq!(said(right), "", "{right}");
    }
}

#[test]
fn a_version_changes_with_any_key_of_what_the_pod_refers_to_and_with_nothing_else() {
    const OTHER: &str = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: other }\ndata: { x: \"1\" }\n";
    let users = [
        "volumes: [ { name: v, projected: { sources: [ { secret: { name: s } } ] } } ], containers: [ { name: c, image: i } ]",
        "volumes: [ { name: v, secret: { secretName: s, items: [ { key: user, path: u } ] } } ], containers: [ { name: c, image: i } ]",
        "containers: [ { name: c, image: i, envFrom: [ { secretRef: { name: s } } ] } ]",
        "containers: [ { name: c, image: i, env: [ { name: A, valueFrom: { secretKeyRef: { name: s, key: user } } } ] } ]",
        "initContainers: [ { name: i, image: i, envFrom: [ { secretRef: { name: s, optional: true } } ] } ], containers: [ { name: c, image: i } ]",
    ];
    let none = "volumes: [ { name: v, configMap: { name: m } } ], containers: [ { name: c, image: i } ]";
    let changed = MAPS.replace("hush", "louder");
    let hash = |maps: &str, spec: &str| read(maps, &format!("{{ {spec} }}")).hash.clone();
    for spec in users {
        // As with a generator of ConfigMaps whose name has a hash of all that is in it: the key need not be one in use.
        assert_ne!(hash(MAPS, spec), hash(&changed, spec), "{spec}");
        assert_eq!(hash(MAPS, spec), hash(&format!("{MAPS}{OTHER}"), spec), "{spec}");
    }
    assert_eq!(hash(MAPS, none), hash(&changed, none));
}
