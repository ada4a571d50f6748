//! What is wrong with a configuration is said in one clear line each, before anything starts.

use flotta_agent::config::{File, Host, Inputs, build};

fn inputs(text: &str) -> Inputs {
    Inputs {
        file: Some(File { path: "config.yaml".into(), text: text.into() }),
        host: Host { cwd: "/work-dir".into(), ..Host::default() },
        ..Inputs::default()
    }
}

fn errors(inputs: &Inputs) -> Vec<String> {
    match build(inputs) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn each_wrong_file_is_answered_with_place_and_remedy() {
    let table = [
        ("LOGLEVEL: debug", "config.yaml:1:1: unknown key \"LOGLEVEL\": did you mean LOG_LEVEL?"),
        ("log_level: debug", "config.yaml:1:1: unknown key \"log_level\": did you mean LOG_LEVEL?"),
        ("http:\n  lisen: x", "config.yaml:2:3: unknown key \"http.lisen\": did you mean http.listen?"),
        ("http.listen: \"127.0.0.1:1\"", "config.yaml:1:1: unknown key \"http.listen\": write http: { listen: … }"),
        ("HTTP_LISTEN: x", "config.yaml:1:1: unknown key \"HTTP_LISTEN\": did you mean http.listen?"),
        ("colour: red", "config.yaml:1:1: unknown key \"colour\": docs/configuration.md lists the keys"),
        ("http: 8080", "config.yaml:1:7: http is the number 8080: it is a section, write http: { listen: … }"),
        (
            "http: { listen: 8080 }",
            "config.yaml:1:17: http.listen is the number 8080: write an address and a port, like \"127.0.0.1:8080\"",
        ),
        (
            "mqtt: { listen: \"here:1883\" }",
            "config.yaml:1:17: mqtt.listen is \"here:1883\": write an address and a port, like \"127.0.0.1:1883\"",
        ),
        (
            "LOG_LEVEL: loud",
            "config.yaml:1:12: LOG_LEVEL is \"loud\": write one of trace, debug, info, warn, warning, error",
        ),
        (
            "LOG_LEVEL: 5",
            "config.yaml:1:12: LOG_LEVEL is the number 5: write one of trace, debug, info, warn, warning, error",
        ),
        ("DEVICE_ID: [a]", "config.yaml:1:12: DEVICE_ID is a list: write a name like camera-7"),
        ("DEVICE_ID: true", "config.yaml:1:12: DEVICE_ID is the boolean true: write a name like camera-7"),
        (
            "DEVICE_ID: Camera",
            "config.yaml:1:12: DEVICE_ID \"Camera\" is not a valid name: use lower-case letters, digits, '-' and '.', begin and end with a letter or digit, at most 253 characters",
        ),
        (
            "DEVICE_ID: register",
            "config.yaml:1:12: DEVICE_ID \"register\" is a word of the server's own: choose another",
        ),
        ("CERT: { a: b }", "config.yaml:1:7: CERT is a mapping: write a path"),
        ("CERT: 7", "config.yaml:1:7: CERT is the number 7: write a path"),
        ("KEY: ~/key.pem", "config.yaml:1:6: KEY is \"~/key.pem\": write the whole path, or begin it with $HOME"),
        (
            "KEY: $WHERE/key.pem",
            "config.yaml:1:6: KEY is \"$WHERE/key.pem\": only $XDG_RUNTIME_DIR and $HOME are known at the beginning of a path",
        ),
        ("remote: { privileged: yes }", "config.yaml:1:23: remote.privileged is \"yes\": write true or false"),
        (
            "remote: { privileged: \"true\" }",
            "config.yaml:1:23: remote.privileged is \"true\": write it without quotes",
        ),
        (
            "remote: { host_paths: maybe }",
            "config.yaml:1:23: remote.host_paths is \"maybe\": write allow, deny, or a list of absolute paths like [/srv]",
        ),
        (
            "remote: { host_paths: [srv] }",
            "config.yaml:1:23: remote.host_paths holds \"srv\": write allow, deny, or a list of absolute paths like [/srv]",
        ),
        (
            "mqtt: { alive: soon }",
            "config.yaml:1:16: mqtt.alive is \"soon\": write a duration like 30s or 5m, or whole seconds",
        ),
        (
            "mqtt: { alive: 1.5 }",
            "config.yaml:1:16: mqtt.alive is the number 1.5: write a duration like 30s or 5m, or whole seconds",
        ),
        ("mqtt: { alive: 0s }", "config.yaml:1:16: mqtt.alive is \"0s\": write at least 1s"),
        ("metrics: { ttl: 400d }", "config.yaml:1:17: metrics.ttl is \"400d\": write at most 365d"),
        (
            "mqtt: { root: \"flotta/+\" }",
            "config.yaml:1:15: mqtt.root is \"flotta/+\": the wildcards + and # cannot stand in it; write a topic like flotta",
        ),
        (
            "mqtt: { root: \"/flotta\" }",
            "config.yaml:1:15: mqtt.root is \"/flotta\": write a topic like flotta or site/flotta, without $ in front and without empty levels",
        ),
        (
            "mqtt: { broker: \"tcp://host\" }",
            "config.yaml:1:17: mqtt.broker is \"tcp://host\": write embedded, none, or a URL like mqtt://host:1883",
        ),
        (
            "mqtt: { broker: \"mqtt://me:secret@host\" }",
            "config.yaml:1:17: mqtt.broker holds a user: write it in mqtt.username, and its password into the file named by mqtt.password_file",
        ),
        (
            "mqtt: { broker: \"mqtts://host:8883\" }",
            "config.yaml:1:17: mqtts:// is not supported by this version yet; use mqtt:// or embedded",
        ),
        (
            "mqtt: { listen: \"0.0.0.0:1883\" }",
            "config.yaml:1:17: mqtt.listen is 0.0.0.0:1883: the embedded broker listens beyond loopback only with TLS or users configured, which this version does not have yet; write 127.0.0.1:1883",
        ),
        (
            "workloads: { max_operations: 0 }",
            "config.yaml:1:30: workloads.max_operations is the number 0: write a whole number from 1 to 1024",
        ),
        ("workloads: { on_exit: kill }", "config.yaml:1:23: workloads.on_exit is \"kill\": write one of leave, stop"),
        ("log: { format: xml }", "config.yaml:1:16: log.format is \"xml\": write one of auto, text, json"),
        ("SERVER: localhost", "config.yaml:1:9: SERVER is \"localhost\": write a URL like https://server.example:8043"),
        ("- a", "config.yaml:1:1: the file is a list: write keys and values, like LOG_LEVEL: info"),
    ];
    for (text, message) in table {
        assert_eq!(errors(&inputs(text)), [message], "{text}");
    }
}

#[test]
fn what_is_not_yaml_is_said_in_one_line_with_its_place() {
    for text in [
        "LOG_LEVEL: [",
        "A: 1\nA: 2",
        "http:\n\tlisten: x",
        "LOG_LEVEL: *nobody",
        "a: b: c",
        "---\na: 1\n---\nb: 2",
        "a: &a [*a]",
    ] {
        let errors = errors(&inputs(text));
        assert_eq!(errors.len(), 1, "{text:?}: {errors:?}");
        let line = &errors[0];
        eprintln!("{line}");
        assert!(line.starts_with("config.yaml:"), "{line}");
        assert!(line.contains("cannot be read as YAML: "), "{line}");
        assert!(!line.contains('\n') && !line.contains(" at line") && line.len() < 200, "{line}");
    }
}

#[test]
fn hostile_files_are_refused_and_nothing_worse() {
    let deep = "[".repeat(100_000);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]";
    let many = "k: 1\n".repeat(20_000);
    let wide = format!("{}: 1", "x".repeat(500_000));
    for text in [deep.as_str(), bomb, &many, &wide, "\u{feff}LOG_LEVEL: x", "\0", "LOG_LEVEL: .inf", "? [a]\n: b"] {
        let errors = errors(&inputs(text));
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|line| line.len() < 400), "{errors:?}");
    }
}

#[test]
fn all_errors_come_at_once_from_every_layer() {
    let mut inputs = inputs("LOG_LEVEL: loud\nhttp: { port: 1 }\n");
    inputs.env = vec![("EDGE_DEVICE_MQTT_ALIVE".into(), "soon".into())];
    inputs.flags = vec![("--http-listen", "8080".into())];
    let mut lines = errors(&inputs);
    lines.sort();
    let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(starts, ["--http-listen:", "EDGE_DEVICE_MQTT_ALIVE:", "config.yaml:1:12:", "config.yaml:2:9:"]);
    assert_eq!(build(&inputs).unwrap_err().to_string().lines().count(), 4);
}

#[test]
fn without_root_and_home_the_state_directory_must_be_said() {
    let mut inputs = Inputs { host: Host { uid: 1000, ..Host::default() }, ..Inputs::default() };
    assert_eq!(errors(&inputs), ["state.dir: neither XDG_STATE_HOME nor HOME is set: write state: { dir: … }"]);
    inputs.host.home = Some("/home/me".into());
    let dir = build(&inputs).unwrap().config.state.dir;
    assert_eq!(dir.to_str(), Some("/home/me/.local/state/flotta-agent"));
}

proptest::proptest! {
    #[test]
    fn no_text_anywhere_makes_it_panic(
        file in "(?s).{0,200}|([a-z{}\\[\\]&*:\\-\"' \t\n#!|>%@0-9]{0,80})",
        value in "(?s).{0,80}",
        nth in 0..flotta_agent::config::keys::KEYS.len(),
    ) {
        let key = &flotta_agent::config::keys::KEYS[nth];
        let leaf = key.path.rsplit('.').next().unwrap_or_default();
        let quoted = serde_json::to_string(&value).unwrap_or_default();
        let inside = match key.section() {
            Some(section) => format!("{section}: {{ {leaf}: {quoted} }}"),
            None => format!("{leaf}: {quoted}"),
        };
        for text in [&file, &inside] {
            let mut inputs = inputs(text);
            inputs.env = vec![(key.env().into(), value.clone().into())];
            for line in errors(&inputs) {
                proptest::prop_assert!(!line.contains('\n'), "{line:?}");
            }
        }
    }
}
