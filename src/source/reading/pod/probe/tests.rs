use super::*;
use crate::source::reading::tree;

/// A container with these fields, and what is wrong with it.
fn read_container(fields: &str, init: bool) -> (Container, Report) {
    let text = format!("{{ {fields} }}");
    let nodes = tree::parse(&text).unwrap_or_else(|why| panic!("{fields}: {}", why.message));
    let mut report = Report::new("a.yaml");
    let mut fields = Fields::of(&mut report, "c", &nodes[0]).expect("a map");
    let port = |name: &str, container| Port {
        name: Some(name.to_owned()),
        container,
        host: None,
        host_ip: None,
        protocol: "tcp",
    };
    let mut container = Container { ports: vec![port("web", 8080), port("80", 81)], ..Container::default() };
    read(&mut report, &mut fields, &mut container, init);
    fields.finish(&mut report);
    (container, report)
}

fn readiness(fields: &str) -> Probe {
    let (container, report) = read_container(&format!("readinessProbe: {{ {fields} }}"), false);
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{fields}: {report:?}");
    container.probes.readiness.unwrap_or_else(|| panic!("{fields}: no probe"))
}

#[test]
fn what_is_not_said_is_as_in_kubernetes() {
    let seconds = Duration::from_secs;
    let usual = Probe {
        action: ProbeAction::Tcp { host: None, port: 80 },
        initial_delay: seconds(0),
        period: seconds(10),
        timeout: seconds(1),
        success_threshold: 1,
        failure_threshold: 3,
        grace: None,
    };
    assert_eq!(readiness("tcpSocket: { port: 80 }"), usual);
    let zeros = "initialDelaySeconds: 0, periodSeconds: 0, timeoutSeconds: 0, successThreshold: 0, failureThreshold: 0";
    assert_eq!(readiness(&format!("tcpSocket: {{ port: 80 }}, {zeros}")), usual);
    let all = "initialDelaySeconds: 1, periodSeconds: 2, timeoutSeconds: 3, successThreshold: 4, failureThreshold: 5";
    let said = readiness(&format!("tcpSocket: {{ port: 80 }}, {all}"));
    let times = (said.initial_delay, said.period, said.timeout, said.success_threshold, said.failure_threshold);
    assert_eq!(times, (seconds(1), seconds(2), seconds(3), 4, 5));
    let (container, report) = read_container(
        "livenessProbe: { exec: { command: [ a ] }, terminationGracePeriodSeconds: 7 }, startupProbe: { exec: { command: [ b ] } }",
        false,
    );
    assert!(report.errors.is_empty(), "{report:?}");
    assert_eq!(container.probes.liveness.expect("one").grace, Some(seconds(7)));
    assert!(container.probes.startup.is_some() && container.probes.readiness.is_none());
}

#[test]
fn each_action_is_read_with_ports_by_number_and_by_name() {
    let http = |tls, host: Option<&str>, port, path: &str| {
        ProbeAction::Http(HttpAction { tls, host: host.map(Into::into), port, path: path.into(), headers: Vec::new() })
    };
    for (fields, expected) in [
        ("exec: { command: [ test, -e, 1 ] }", ProbeAction::Exec(vec!["test".into(), "-e".into(), "1".into()])),
        ("httpGet: { port: 80 }", http(false, None, 80, "/")),
        ("httpGet: { port: web, path: healthz, scheme: HTTPS }", http(true, None, 8080, "/healthz")),
        (
            "httpGet: { port: \"8081\", path: \"/a?b=c\", host: h.example }",
            http(false, Some("h.example"), 8081, "/a?b=c"),
        ),
        ("tcpSocket: { port: web, host: 10.0.0.1 }", ProbeAction::Tcp { host: Some("10.0.0.1".into()), port: 8080 }),
        ("tcpSocket: { port: \"80\" }", ProbeAction::Tcp { host: None, port: 81 }),
        ("grpc: { port: 50051 }", ProbeAction::Grpc { port: 50051, service: String::new() }),
        ("grpc: { port: 50051, service: shop }", ProbeAction::Grpc { port: 50051, service: "shop".into() }),
    ] {
        assert_eq!(readiness(fields).action, expected, "{fields}");
    }
    let with_header = readiness("httpGet: { port: 80, httpHeaders: [ { name: X-Key, value: hush } ] }").action;
    assert!(!format!("{with_header:?}").contains("hush"), "{with_header:?}");
    let ProbeAction::Http(ask) = with_header else { panic!("{with_header:?}") };
    assert_eq!(ask.headers, [Header { name: "X-Key".into(), value: "hush".into() }]);
}

#[test]
fn hooks_are_read() {
    let (container, report) = read_container(
        "lifecycle: { postStart: { httpGet: { port: web } }, preStop: { sleep: { seconds: 3 } } }",
        false,
    );
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report:?}");
    assert!(matches!(container.lifecycle.post_start, Some(Hook::Http(HttpAction { port: 8080, .. }))));
    assert_eq!(container.lifecycle.pre_stop, Some(Hook::Sleep(Duration::from_secs(3))));
    let (container, _) = read_container("lifecycle: { preStop: { exec: { command: [ a, b ] } } }", false);
    assert_eq!(container.lifecycle.pre_stop, Some(Hook::Exec(vec!["a".into(), "b".into()])));
}

#[test]
fn what_is_wrong_is_said_with_its_field_and_what_would_be_right() {
    for (fields, path, part) in [
        ("livenessProbe: {}", "c.livenessProbe:", "write one of exec, httpGet, tcpSocket, grpc"),
        ("livenessProbe: { exec: { command: [ a ] }, tcpSocket: { port: 1 } }", "c.livenessProbe:", "keep one"),
        (
            "livenessProbe: { exec: { command: [ a ] }, successThreshold: 2 }",
            "livenessProbe.successThreshold:",
            "must be 1",
        ),
        (
            "startupProbe: { exec: { command: [ a ] }, successThreshold: 2 }",
            "startupProbe.successThreshold:",
            "must be 1",
        ),
        (
            "readinessProbe: { exec: { command: [ a ] }, terminationGracePeriodSeconds: 2 }",
            "readinessProbe.terminationGracePeriodSeconds:",
            "ends nothing",
        ),
        ("readinessProbe: { exec: {} }", "readinessProbe.exec.command:", "write the command as a list"),
        ("readinessProbe: { exec: { command: [ a ] }, periodSeconds: -1 }", "periodSeconds", "-1"),
        ("readinessProbe: { httpGet: {} }", "httpGet.port:", "is missing"),
        (
            "readinessProbe: { httpGet: { port: admin } }",
            "httpGet.port:",
            "(web, 80): write a number, or a name under ports",
        ),
        ("readinessProbe: { httpGet: { port: 70000 } }", "httpGet.port", "65535"),
        ("readinessProbe: { httpGet: { port: 80, scheme: https } }", "httpGet.scheme:", "none of HTTP, HTTPS"),
        ("readinessProbe: { httpGet: { port: 80, path: \"/a b\" } }", "httpGet.path:", "no path"),
        ("readinessProbe: { httpGet: { port: 80, host: \"h:80\" } }", "httpGet.host:", "without a port"),
        (
            "readinessProbe: { httpGet: { port: 80, httpHeaders: [ { name: \"a b\", value: c } ] } }",
            "httpHeaders[0].name:",
            "no name of a header",
        ),
        (
            "readinessProbe: { httpGet: { port: 80, httpHeaders: [ { name: a, value: \"hush\\n\" } ] } }",
            "httpHeaders[0].value:",
            "no value of a header",
        ),
        ("readinessProbe: { grpc: { port: web } }", "grpc.port:", "write a number"),
        ("lifecycle: { postStart: {} }", "c.lifecycle.postStart:", "write one of exec, httpGet, sleep"),
        ("lifecycle: { preStop: { tcpSocket: { port: 1 } } }", "preStop.tcpSocket:", "write exec, httpGet or sleep"),
        ("lifecycle: { preStop: { sleep: {} } }", "preStop.sleep.seconds:", "is missing"),
    ] {
        let (_, report) = read_container(fields, false);
        let said: Vec<String> = report.errors.iter().map(|one| format!("{} {}", one.place, one.message)).collect();
        let right = said.iter().any(|one| one.starts_with("a.yaml:1:") && one.contains(path) && one.contains(part));
        assert!(right, "{fields}: {said:?}");
        assert!(!said.join(" ").contains("hush"), "{said:?}");
    }
}

#[test]
fn an_init_container_has_no_probes_and_no_hooks() {
    for field in ["startupProbe", "readinessProbe", "livenessProbe", "lifecycle"] {
        let (container, report) = read_container(&format!("{field}: {{ exec: {{ command: [ a ] }} }}"), true);
        assert!(report.errors.iter().any(|one| one.message.contains(field)), "{field}: {report:?}");
        assert!(container.probes.is_empty());
    }
}
