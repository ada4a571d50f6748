//! Bad input, from every side: each case is answered with a sentence that says what, where and what would be right, and
//! what was in force stays in force. None can crash the agent.

use std::ffi::OsString;
use std::path::PathBuf;

use flotta_agent::condition::{compile, payload};
use flotta_agent::config::{File, Host, Inputs, build};
use flotta_agent::model::workload::Payload;
use flotta_agent::source::manifests::{Directory, Settings};
use flotta_agent::spec_hash::DeviceKey;

/// What was sent, and what the answer must contain.
type Case = (&'static str, &'static [&'static str]);

const MANIFESTS: &[Case] = &[
    ("", &["manifests/a.yaml:1:1", "the file is empty"]),
    ("# only a comment\n", &["manifests/a.yaml:1:1", "the file is empty"]),
    ("apiVersion: [", &["manifests/a.yaml:", "not valid YAML"]),
    ("just text", &["manifests/a.yaml:1:1", "must be a map that begins with apiVersion and kind"]),
    ("- 1\n- 2\n", &["a document must be a map", "not a list"]),
    ("apiVersion: v1\n", &["kind: is missing", "EdgeWorkload"]),
    (
        "apiVersion: v1\nkind: Deployment\nmetadata: { name: x }\n",
        &["kind: \"Deployment\" is not known", "EdgeWorkload"],
    ),
    (
        "apiVersion: v2\nkind: EdgeWorkload\nmetadata: { name: x }\n",
        &["apiVersion: is \"v2\"", "management.project-flotta.io/v1alpha1"],
    ),
    ("kind: EdgeWorkload\nmetadata: { name: x }\n", &["apiVersion: is missing"]),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nspec: {}\n",
        &["metadata: is missing", "name"],
    ),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {}\n",
        &["metadata.name: is missing"],
    ),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: Big_Name }\n",
        &["metadata.name", "\"Big_Name\"", "lower-case"],
    ),
    ("a: 1\na: 2\n", &["manifests/a.yaml:2:1", "a"]),
    ("a:\n\t- b\n", &["manifests/a.yaml:2:", "a tab in the indentation"]),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: x }\nspec:\n  cron: */1 * * * *\n",
        &["manifests/a.yaml:5:9", "write `cron: \"*/1 * * * *\"`, with quotes"],
    ),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: x }\nspec:\n  cron: *\\1 * * * *\n",
        &["manifests/a.yaml:5:9", "with quotes"],
    ),
    (
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: x }\nspec:\n  cron: @daily\n",
        &["manifests/a.yaml:5:9", "with quotes"],
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ndata: { key: \"not base64!\" }\n",
        &["manifests/a.yaml:4:", "data.key: is not base64", "stringData"],
    ),
    ("apiVersion: v1\nkind: List\nitems: 3\n", &["items: must be a list", "the number 3"]),
];

/// What stands under `spec:` of a workload named `x`.
const SPECS: &[Case] = &[
    ("{ type: nonsense }", &["spec.type: must be pod, k8s, microshift, ansible or shell", "nonsense"]),
    ("{ type: shell }", &["spec.shell: is missing"]),
    ("{ type: shell, shell: {} }", &["command or script is missing"]),
    ("{ type: shell, shell: { script: a, command: [b] } }", &["command and script are both there"]),
    ("{ type: shell, shell: { command: ls -l } }", &["must be a list", "script: \"ls -l\""]),
    ("{ type: shell, shell: { command: [] } }", &["is empty", "the first item is the program"]),
    ("{ type: shell, shell: { script: [a] } }", &["spec.shell.script: must be text"]),
    ("{ type: shell, shell: { script: a, workingDir: tmp } }", &["workingDir: \"tmp\" is not absolute"]),
    ("{ type: shell, shell: { script: a, env: [A] } }", &["spec.shell.env: must be a map"]),
    ("{ type: shell, shell: { script: a, env: { \"A=B\": c } } }", &["\"A=B\" cannot be the name of a variable"]),
    (
        "{ type: shell, shell: { script: a, restartPolicy: Sometimes } }",
        &["must be Always, OnFailure or Never", "Sometimes"],
    ),
    (
        "{ type: shell, shell: { script: a, terminationGracePeriodSeconds: soon } }",
        &["terminationGracePeriodSeconds", "soon"],
    ),
    ("{ type: shell, priority: high, shell: { script: a } }", &["spec.priority: must be a whole number", "high"]),
    ("{ type: shell, rootless: \"yes\", shell: { script: a } }", &["spec.rootless: must be true or false", "yes"]),
    (
        "{ type: shell, retry: { constantBackoff: { periodSeconds: 0 } }, shell: { script: a } }",
        &["periodSeconds: must be a whole number from 1"],
    ),
    ("{ type: shell, profiles: low, shell: { script: a } }", &["spec.profiles: must be a list"]),
    ("{ type: shell, profiles: [ {} ], shell: { script: a } }", &["spec.profiles[0].name: is missing"]),
    (
        "{ type: shell, profiles: [ { name: p, conditions: [ { name: c, cpu: 1 } ] } ], shell: { script: a } }",
        &["cpu (µs per 100 ms)", "1000"],
    ),
    ("{ pod: {} }", &["spec.pod.spec: is missing"]),
    ("{ pod: { spec: { containers: [] } } }", &["a pod needs at least one container"]),
    ("{ pod: { spec: { containers: [ { name: c } ] } } }", &["containers[0].image: is missing"]),
    ("{ type: ansible, ansible: {} }", &["spec.ansible.playbook: is missing"]),
    (
        "{ deviceSelector: { matchExpressions: [ { key: a, operator: Near } ] }, type: shell, shell: { script: a } }",
        &["operator: must be In, NotIn, Exists or DoesNotExist"],
    ),
];

const CONFIGS: &[Case] = &[
    ("http: { listen: somewhere }", &["c.yaml:1:", "http.listen", "somewhere"]),
    ("http: { lisen: \"127.0.0.1:1\" }", &["c.yaml:1:9", "lisen", "listen"]),
    ("mqtt: { alive: soon }", &["mqtt.alive", "soon"]),
    ("mqtt: { broker: \"mqtts://host\" }", &["mqtts://", "not supported"]),
    ("mqtt: { broker: \"ftp://host\" }", &["mqtt.broker", "embedded"]),
    ("mqtt: { root: \"a/#\" }", &["mqtt.root"]),
    ("mqtt: { listen: \"0.0.0.0:1883\" }", &["mqtt.listen", "loopback"]),
    ("DEVICE_ID: register", &["DEVICE_ID", "register"]),
    ("DEVICE_ID: Not_A_Name", &["DEVICE_ID", "lower-case"]),
    ("LOG_LEVEL: loud", &["LOG_LEVEL", "loud"]),
    ("remote: { host_paths: maybe }", &["remote.host_paths", "allow"]),
    ("workloads: { on_exit: run }", &["workloads.on_exit", "leave"]),
    ("http: [", &["c.yaml:"]),
    ("http: 3", &["c.yaml:1:", "http"]),
    ("a:\n\tb: 1", &["c.yaml:2:"]),
];

const PAYLOADS: &[Case] = &[
    ("twenty", &["found 't'", "20%"]),
    ("20 30", &["stands behind the number"]),
    ("500m", &["write 0.5"]),
    ("1e999", &["too large"]),
    ("NaN", &["found 'N'"]),
    ("inf", &["found 'i'"]),
    ("{\"value\":", &["not valid JSON"]),
    ("{}", &["value is missing"]),
    ("{\"value\":[1]}", &["value: expected a number, found an array"]),
    ("{\"value\":1,\"unit\":3}", &["unit: expected a string"]),
    ("{\"value\":1,\"timestamp\":\"yesterday\"}", &["timestamp:", "2026-11-21T08:00:00Z"]),
    ("{\"value\":1,\"ttl_seconds\":-1}", &["ttl_seconds: expected seconds above 0"]),
    ("{\"value\":1,\"colour\":\"red\"}", &["\"colour\" is not known"]),
    ("\u{0}", &["found"]),
];

const BODIES: &[Case] = &[
    ("", &["not valid JSON", "send {\"name\":\"cpu\",\"value\":20}"]),
    ("value=20", &["not valid JSON"]),
    ("20", &["expected an object"]),
    ("{\"value\":20}", &["name is missing"]),
    ("{\"name\":3,\"value\":20}", &["name: expected a string, found a number"]),
    ("{\"name\":\"a b\",\"value\":20}", &["\"a b\" is not a metric's name"]),
    ("{\"name\":\"nil\",\"value\":20}", &["a word of the condition language"]),
    ("{\"name\":\"node.cpu\",\"value\":20}", &["the agent's own"]),
    ("{\"name\":\"cpu\"}", &["value is missing; null clears"]),
    ("{\"name\":\"cpu\",\"value\":1e999}", &["JSON"]),
    ("[{\"name\":\"cpu\",\"value\":1},{\"name\":\"cpu\"}]", &["entry 1: value is missing"]),
    ("[[]]", &["entry 0: expected an object"]),
];

fn settings() -> Settings {
    Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) }
}

fn good(spec: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: x }}\nspec: {spec}\n"
    )
}

fn all_in(what: &str, answer: &str, expected: &[&str]) {
    for part in expected {
        assert!(answer.contains(part), "{what:?}\n  answers: {answer}\n  lacks:   {part}");
    }
}

fn config(text: &str) -> String {
    let file = File { path: PathBuf::from("c.yaml"), text: text.into() };
    let host = Host { cwd: "/".into(), ..Host::default() };
    match build(&Inputs { file: Some(file), env: Vec::new(), flags: Vec::new(), host }) {
        Ok(_) => panic!("{text:?} was taken"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_bad_file_says_where_and_what_would_be_right_and_its_last_good_version_stays() {
    let bad_specs: Vec<(String, &[&str])> = SPECS.iter().map(|(spec, expected)| (good(spec), *expected)).collect();
    let all = MANIFESTS.iter().map(|(text, expected)| ((*text).to_owned(), *expected)).chain(bad_specs);
    for (text, expected) in all {
        let mut directory = Directory::default();
        directory.put("manifests", "a.yaml", Ok(&good("{ type: shell, shell: { script: 'true' } }")));
        directory.put(
            "manifests",
            "b.yaml",
            Ok(&good("{ type: shell, shell: { script: 'true' } }").replace("name: x", "name: y")),
        );
        let before = directory.outcome(&settings()).desired;
        assert_eq!((before.workloads.len(), before.problems.len()), (2, 0));
        directory.put("manifests", "a.yaml", Ok(&text));
        let after = directory.outcome(&settings()).desired;
        let said: Vec<String> = after.problems.iter().map(ToString::to_string).collect();
        all_in(&text, &said.join("\n"), expected);
        assert!(said.iter().all(|line| line.starts_with("manifests/a.yaml:")), "{said:?}");
        let named_x = text.contains("name: x") || !text.contains("name:");
        if named_x {
            assert_eq!(after.workloads, before.workloads, "the last good version stays: {text}");
        }
        assert!(after.workloads.keys().any(|id| id.name() == "y"), "the other file is not disturbed: {text}");
    }
}

#[test]
fn a_bad_spec_that_was_never_good_is_a_status_of_its_own() {
    for (spec, expected) in SPECS {
        let mut directory = Directory::default();
        directory.put("manifests", "a.yaml", Ok(&good(spec)));
        let desired = directory.outcome(&settings()).desired;
        let workload = desired.workloads.values().next().unwrap_or_else(|| panic!("{spec}: no workload"));
        match &workload.payload {
            Payload::Invalid(why) => all_in(spec, why, expected.get(..1).unwrap_or_default()),
            other => panic!("{spec}: taken as {other:?}"),
        }
    }
}

#[test]
fn a_bad_configuration_is_answered_before_anything_starts() {
    for (text, expected) in CONFIGS {
        all_in(text, &config(text), expected);
    }
    let env = vec![(OsString::from("EDGE_DEVICE_MQTT_ALIVE"), OsString::from("soon"))];
    let host = Host { cwd: "/".into(), ..Host::default() };
    let errors = build(&Inputs { file: None, env, flags: Vec::new(), host }).expect_err("not a duration").to_string();
    all_in("EDGE_DEVICE_MQTT_ALIVE=soon", &errors, &["EDGE_DEVICE_MQTT_ALIVE", "soon"]);
}

#[test]
fn a_bad_payload_or_body_says_what_would_be_right() {
    for (text, expected) in PAYLOADS {
        all_in(text, &payload::read(text.as_bytes()).expect_err(text), expected);
    }
    all_in("bytes", &payload::read(b"\xff\xfe").expect_err("not text"), &["not UTF-8"]);
    all_in("large", &payload::read(&[b'1'; 5_000]).expect_err("too long"), &["5000 bytes", "at most 4096"]);
    for (text, expected) in BODIES {
        all_in(text, &payload::read_request(text.as_bytes()).expect_err(text), expected);
    }
    for name in ["", "9lives", "a b", "a%2", "nil", "node/x", "a//b%00"] {
        assert!(payload::metric_name(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_wrong_expression_is_a_problem_with_its_column_and_the_others_stand() {
    let text = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: toto }\nspec:\n  profiles:\n    - name: p\n      conditions:\n        - { name: bad, expression: \"x <\" }\n        - { name: fine, expression: \"x < 3\" }\n";
    let mut directory = Directory::default();
    directory.put("manifests", "a.yaml", Ok(text));
    let desired = directory.outcome(&settings()).desired;
    assert_eq!(desired.profiles[0].conditions.len(), 2);
    let said: Vec<String> = desired.problems.iter().map(ToString::to_string).collect();
    all_in(text, &said.join("\n"), &["manifests/a.yaml:1", "condition bad (x <)", "column 4", "counts as false"]);
    assert!(compile("x < 3").is_ok());
}

#[test]
fn there_are_at_least_sixty_of_them() {
    let cases = MANIFESTS.len() + SPECS.len() + CONFIGS.len() + PAYLOADS.len() + BODIES.len();
    println!("{cases} cases of bad input");
    assert!(cases >= 60, "{cases}");
}
