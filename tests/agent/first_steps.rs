//! What the README's first minutes promise.

use serde_json::Value;

use super::clients::{publish, subscribe};
use super::device::{Device, lines};

const DEVICE: &str = r#"
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: { name: toto, labels: { app: camera } }
spec:
  profiles:
    - name: load
      conditions: [ { name: low, expression: "cpu < 50%" } ]
"#;

fn shell(name: &str, spec: &str, more: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  type: shell\n{more}  shell: {spec}\n"
    )
}

const GATED: &str = "  profiles: [ { name: load, conditions: [ low ] } ]\n";

#[test]
fn a_published_metric_starts_a_workload_and_a_posted_one_stops_it_and_the_status_says_why() {
    let mut device = Device::new();
    device.manifest("device.yaml", DEVICE);
    device.manifest("hello.yaml", &shell("hello", "{ script: 'exec sleep 1000' }", GATED));
    let agent = device.start();
    let idle = agent.until_state("hello", "inactive");
    assert_eq!(idle["reason"], "ConditionFalse");
    publish(&agent.mqtt, "flotta/metrics/cpu", "20");
    let runs = agent.until_state("hello", "running");
    let message = runs["message"].as_str().expect("a sentence");
    assert!(message.contains("low (cpu < 50%) is true: cpu is 20"), "{message}");
    agent.set("cpu", 90.0);
    let stopped = agent.until_state("hello", "inactive");
    let message = stopped["message"].as_str().expect("a sentence");
    assert!(message.contains("profile load: low (cpu < 50%) is false: cpu is 90 (arrived "), "{message}");
}

#[test]
fn everything_is_retained_and_comes_at_once_and_is_cleared_when_it_is_gone() {
    let mut device = Device::new();
    device.manifest("device.yaml", DEVICE);
    for n in 0..20 {
        device.manifest(&format!("w{n}.yaml"), &shell(&format!("w{n}"), "{ script: 'exec sleep 1000' }", GATED));
    }
    let agent = device.start();
    agent.until_state("w19", "inactive");
    let mut topics = std::collections::BTreeSet::new();
    subscribe(&agent.mqtt, "flotta/#", |topic, _| {
        topics.insert(topic.to_owned());
        topics.len() == 22
    });
    assert!(topics.contains("flotta/devices/toto/status"));
    assert!(topics.contains("flotta/devices/toto/profiles/load"));
    assert!(topics.contains("flotta/devices/toto/workloads/default/w7/status"));
    device.delete("w7.yaml");
    let agent = device.agent();
    agent.follow("w7 goes", |event| (event["name"] == "w7" && event["to"].is_null()).then_some(()));
    let seen = subscribe(&agent.mqtt, "flotta/devices/toto/workloads/#", |topic, _| topic.ends_with("/w9/status"));
    assert!(!seen.iter().any(|(topic, _)| topic.ends_with("/w7/status")), "{seen:?}");
}

#[test]
fn only_the_agent_speaks_for_its_device() {
    let mut device = Device::new();
    device.manifest("device.yaml", DEVICE);
    device.manifest("hello.yaml", &shell("hello", "{ script: 'exec sleep 1000' }", GATED));
    let agent = device.start();
    agent.until_state("hello", "inactive");
    publish(&agent.mqtt, "flotta/devices/toto/workloads/default/hello/status", "lies");
    publish(&agent.mqtt, "flotta/devices/toto/metrics/cpu", "{\"value\":20}");
    agent.until_state("hello", "running");
    let seen = subscribe(&agent.mqtt, "flotta/devices/toto/workloads/#", |topic, _| topic.ends_with("/hello/status"));
    let status: Value = serde_json::from_str(&seen.last().expect("one").1).expect("the agent's own object");
    assert_eq!(status["name"], "hello");
    let (_, text) = agent.request("GET", "/metrics", &[], b"");
    let refused = text.lines().find(|line| line.starts_with("flotta_broker_refused_total{what=\"publish_rights\"}"));
    assert!(text.contains("flotta_broker_refused_total"), "{text}");
    assert!(refused.is_none_or(|line| !line.ends_with(" 0.0")), "{refused:?}");
}

#[test]
fn an_edited_an_added_and_a_deleted_manifest_are_followed_within_a_second() {
    let mut device = Device::new();
    let out = device.path("out");
    let script = |word: &str| format!("{{ script: 'echo {word} >> {}; exec sleep 1000' }}", out.display());
    device.manifest("a.yaml", &shell("a", &script("one"), ""));
    device.start();
    let first = device.agent().until_state("a", "running");
    device.manifest("a.yaml", &shell("a", &script("two"), ""));
    device.agent().until("a", "the new version", |w| w["state"] == "running" && w["hash"] != first["hash"]);
    device.manifest("b.yaml", &shell("b", &script("three"), ""));
    device.agent().until_state("b", "running");
    device.delete("a.yaml");
    device.agent().follow("a goes", |event| (event["name"] == "a" && event["to"].is_null()).then_some(()));
    assert_eq!(lines(&out), ["one", "two", "three"]);
}

#[test]
fn a_broken_manifest_changes_nothing_that_runs_even_through_a_restart() {
    let mut device = Device::new();
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    device.start();
    let before = device.agent().until_state("a", "running");
    device.manifest("a.yaml", "apiVersion: [");
    let has_problem = |device: &Device| {
        let problems = device.agent().get("/api/v1/device")["problems"].clone();
        let found = problems
            .as_array()
            .expect("an array")
            .iter()
            .find(|p| p["where"].as_str().is_some_and(|place| place.starts_with("manifests/a.yaml:")));
        found.cloned()
    };
    device.manifest("b.yaml", &shell("b", "{ script: 'exec sleep 1000' }", ""));
    device.agent().until_state("b", "running");
    let problem = has_problem(&device).expect("said");
    assert!(problem["message"].as_str().expect("text").contains("last good version stays in force"), "{problem}");
    device.kill();
    device.start();
    let after = device.agent().until_state("a", "running");
    assert_eq!((&after["hash"], &after["reason"]), (&before["hash"], &Value::from("Adopted")));
    assert!(has_problem(&device).is_some());
}

#[test]
fn exit_codes_decide_what_happens_next() {
    let mut device = Device::new();
    device.manifest("ok.yaml", &shell("ok", "{ script: 'exit 0' }", ""));
    device.manifest("bad.yaml", &shell("bad", "{ script: 'echo broken; exit 3' }", ""));
    device.manifest("never.yaml", &shell("never", "{ script: 'exit 4', restartPolicy: Never }", ""));
    device.manifest("none.yaml", &shell("none", "{ command: [ /no/such/program ] }", ""));
    device.manifest("user.yaml", &shell("user", "{ script: 'true', user: nobody-of-that-name }", ""));
    let agent = device.start();
    let ok = agent.until_state("ok", "stopped");
    assert_eq!((&ok["reason"], &ok["last_exit_code"]), (&"Completed".into(), &0.into()));
    let bad = agent.until("bad", "BackOff", |w| w["reason"] == "BackOff");
    assert_eq!((&bad["state"], &bad["last_exit_code"]), (&"ready".into(), &3.into()));
    assert!(bad["message"].as_str().is_some_and(|m| m.contains("exit code 3") && m.contains("broken")), "{bad}");
    assert!(bad["next_run"].is_string());
    let never = agent.until_state("never", "exited");
    assert_eq!((&never["reason"], &never["last_exit_code"]), (&"Failed".into(), &4.into()));
    let none = agent.until_state("none", "error");
    assert_eq!(none["reason"], "StartFailed");
    assert!(none["message"].as_str().is_some_and(|m| m.contains("not found")), "{none}");
    let user = agent.until_state("user", "error");
    assert!(user["message"].as_str().is_some_and(|m| m.contains("nobody-of-that-name")), "{user}");
}

#[test]
fn a_pod_without_podman_says_what_to_type_and_disturbs_nobody() {
    let mut device = Device::new();
    let pod = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: web }\nspec:\n  pod: { spec: { containers: [ { name: c, image: x } ] } }\n";
    device.manifest("web.yaml", pod);
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    let agent = device.start();
    let web = agent.until_state("web", "error");
    assert_eq!(web["reason"], "ExecutorUnreachable");
    assert!(web["message"].as_str().is_some_and(|m| m.contains("systemctl enable --now podman.socket")), "{web}");
    agent.until_state("a", "running");
}

#[test]
fn the_clients_show_it_and_say_so_when_no_agent_runs() {
    let mut device = Device::new();
    device.manifest("device.yaml", DEVICE);
    device.manifest("hello.yaml", &shell("hello", "{ script: 'exec sleep 1000' }", GATED));
    device.start();
    device.agent().until_state("hello", "inactive");
    let url = format!("http://{}", device.agent().http);
    let (code, text) = device.client(&["status", "--url", &url]);
    assert!(code == 0 && text.contains("default/hello") && text.contains("inactive"), "{text}");
    let (code, text) = device.client(&["metric", "set", "cpu", "20", "--url", &url]);
    assert_eq!(code, 0, "{text}");
    device.agent().until_state("hello", "running");
    let (code, text) = device.client(&["why", "hello", "--url", &url]);
    assert!(code == 0 && text.contains("cpu = 20") && text.contains("low: true"), "{text}");
    let (code, text) = device.client(&["check"]);
    assert!(code == 0 && text.contains("understood as: cpu < 50"), "{text}");
    device.kill();
    let (code, text) = device.client(&["status", "--url", &url]);
    assert!(code == 3 && text.contains("is it running?"), "{code} {text}");
}

#[test]
fn no_web_page_may_steer_a_device() {
    let mut device = Device::new();
    let agent = device.start();
    let body = br#"{"name":"cpu","value":1}"#;
    for headers in [
        &[("Origin", "https://evil.example")][..],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Host", "evil.example:8080")],
    ] {
        let (code, answer) = agent.request("POST", "/metrics", headers, body);
        assert_eq!(code, 403, "{headers:?}: {answer}");
    }
    assert_eq!(agent.get("/api/v1/metrics"), Value::Array(Vec::new()), "nothing was taken");
}

#[test]
fn sigterm_leaves_workloads_running_and_the_next_agent_adopts_them() {
    let mut device = Device::new();
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    device.start();
    let before = device.agent().until_state("a", "running");
    assert_eq!(device.terminate(), Some(0));
    device.start();
    let after = device.agent().until_state("a", "running");
    assert_eq!((&after["reason"], &after["last_run"]), (&"Adopted".into(), &before["last_run"]));
}

#[test]
fn a_second_agent_on_the_same_state_says_whose_it_is() {
    let mut device = Device::new();
    let pid = device.start().pid();
    let (code, text) = device.client(&["run"]);
    assert!(code == 1 && text.contains(&format!("pid {pid}")), "{code} {text}");
}

#[test]
fn a_taken_port_is_said_and_everything_else_goes_on() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut device = Device::new();
    device.manifest("a.yaml", &shell("a", "{ script: 'exec sleep 1000' }", ""));
    let agent = device.start_with(&[("EDGE_DEVICE_MQTT_LISTEN", &address)]);
    agent.until_state("a", "running");
    let problems = agent.get("/api/v1/device")["problems"].to_string();
    assert!(problems.contains("mqtt.listen") && problems.contains(&address), "{problems}");
    drop(taken);
}
