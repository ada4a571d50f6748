//! Ready, and not ready.

use super::super::device::Device;
use super::super::specs::{SOON, WAITS};
use super::servers::{Grpc, Https};
use super::*;

/// Serves on a port while `/out/ready` is there.
fn serves(port: u16) -> String {
    format!(
        "trap \"exit 0\" TERM; while :; do if test -e /out/ready; then pidof httpd >/dev/null || httpd -p {port} -h /out; else killall httpd 2>/dev/null; fi; sleep 0.1; done"
    )
}

#[test]
fn a_pod_is_ready_while_all_its_readiness_probes_succeed_whatever_their_kind() {
    for mut place in Place::each() {
        let out = out(&place);
        let exec = (
            place.container("exec", WAITS),
            "readinessProbe: { exec: { command: [ sh, -c, \"test -e /out/ready || { echo no ready file >&2; exit 4; }\" ] }, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 }",
        );
        let http = (
            place.container("http", &format!("httpd -p 8001 -h /out; {WAITS}")),
            "ports: [ { name: web, containerPort: 8001 } ], readinessProbe: { httpGet: { path: \"/ready?token=hush\", port: web }, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 }",
        );
        let tcp = (
            place.container("tcp", &serves(8002)),
            "readinessProbe: { tcpSocket: { port: 8002 }, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 }",
        );
        place.pod("w", SOON, &with_out(&place, "", &[exec, http, tcp]));
        place.start();
        let unready = |place: &Place| {
            let all = ["exec", "http", "tcp"].map(|name| format!("container {name}: its readiness probe failed once"));
            until_said(place, "w", &all.each_ref().map(String::as_str))
        };
        let first = unready(&place);
        assert_eq!(first["state"], "degraded", "{first}");
        for part in [
            "container exec: its readiness probe failed once since",
            "(exec sh: exit code 4: no ready file)",
            "(GET /ready on port 8001: answered 404)",
            "(port 8002: ",
            "Connection refused",
        ] {
            assert!(message(&first).contains(part), "{part} in {first}");
        }
        assert!(!first.to_string().contains("hush"), "{first}");
        touch(out.join("ready"));
        place.until_state("w", "running");
        std::fs::remove_file(out.join("ready")).expect("removed");
        unready(&place);
        touch(out.join("ready"));
        let again = place.until_state("w", "running");
        assert_eq!(again["restarts"], 0, "{again}");
    }
}

#[test]
fn on_the_devices_network_probes_ask_the_device_itself_also_by_grpc_and_tls() {
    let (grpc, https) = (Grpc::start(), Https::start());
    for mut place in Place::each() {
        grpc.serve(false);
        https.serve(false);
        out(&place);
        let by_grpc = format!(
            "readinessProbe: {{ grpc: {{ port: {}, service: shop }}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 }}",
            grpc.port
        );
        let by_https = format!(
            "readinessProbe: {{ httpGet: {{ scheme: HTTPS, path: /healthz, port: {}, httpHeaders: [ {{ name: X-Key, value: open-sesame }} ] }}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 }}",
            https.port
        );
        let both = [(place.container("a", WAITS), by_grpc.as_str()), (place.container("b", WAITS), by_https.as_str())];
        place.pod("w", "", &with_out(&place, "hostNetwork: true,", &both));
        place.start();
        let not_serving = format!("gRPC on port {}: its status is NOT_SERVING", grpc.port);
        until_said(&place, "w", &["container a:", &not_serving, "container b:", "answered 503"]);
        grpc.serve(true);
        https.serve(true);
        place.until_state("w", "running");
        let asked = https.last_head();
        for part in ["GET /healthz HTTP/1.1", "user-agent: kube-probe/", "x-key: open-sesame", "host: 127.0.0.1:"] {
            assert!(asked.to_lowercase().contains(&part.to_lowercase()), "{part} in {asked}");
        }
        assert_eq!(grpc.last_service(), "shop");
    }
}

#[test]
fn a_probe_that_is_not_answered_in_time_has_failed_and_leaves_no_process() {
    for mut place in Place::each() {
        let out = out(&place);
        let slow = (
            place.container("c", WAITS),
            "readinessProbe: { exec: { command: [ sh, -c, \"test -e /out/ready || sleep 77777; true\" ] }, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 4 }",
        );
        place.pod("w", "", &with_out(&place, "", &[slow]));
        place.start();
        let starting = until_said(&place, "w", &["has not succeeded yet, and fails since"]);
        assert_eq!(starting["state"], "deploying", "{starting}");
        let unready = place.until("w", "not ready", |w| w["reason"] == "NotReady");
        assert!(message(&unready).contains("exec sh: not done within 1 s"), "{unready}");
        touch(out.join("ready"));
        place.until_state("w", "running");
        let sleeps = || {
            let all = super::super::processes::with_env("FLOTTA_TEST", &place.tag());
            all.into_iter().filter(|(pid, _)| command_of(*pid).contains("77777")).count()
        };
        until_true("no probe is left over", || sleeps() == 0);
    }
}

fn command_of(pid: i32) -> String {
    let read = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&read).replace('\0', " ")
}

#[test]
fn a_pod_that_was_ready_stays_so_through_a_kill_of_the_agent_and_is_probed_on() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    touch(out.join("ready"));
    touch(out.join("started"));
    let fields = "startupProbe: { exec: { command: [ test, -e, /out/started ] }, periodSeconds: 1, failureThreshold: 100 }, readinessProbe: { exec: { command: [ test, -e, /out/ready ] }, periodSeconds: 1, failureThreshold: 1 }";
    place.pod("w", "", &with_out(&place, "", &[(place.container("c", WAITS), fields)]));
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    place.kill();
    place.start();
    let adopted = place.until("w", "anything", |_| true);
    assert_eq!((&adopted["state"], &adopted["reason"]), (&"running".into(), &"Adopted".into()), "{adopted}");
    std::fs::remove_file(out.join("ready")).expect("removed");
    let unready = place.until_state("w", "degraded");
    assert_eq!(unready["reason"], "NotReady", "{unready}");
    touch(out.join("ready"));
    place.until_state("w", "running");
    assert_eq!(place.one("w", "c")["Pid"], before["Pid"]);
    let never: Vec<String> = events(&place).into_iter().filter(|to| to == "deploying").collect();
    assert!(never.is_empty(), "an adopted pod was never said to start");
}

/// What its states were since this agent started, as far as it keeps them.
fn events(place: &Device) -> Vec<String> {
    let all = place.agent().get("/api/v1/events");
    let begin = all.as_array().map_or(0, |all| all.iter().rposition(|event| event["reason"] == "Adopted").unwrap_or(0));
    let to = |event: &serde_json::Value| event["to"].as_str().map(str::to_owned);
    all.as_array().into_iter().flatten().skip(begin).filter_map(to).collect()
}

#[test]
fn a_port_of_the_pod_that_the_device_uses_for_itself_is_asked_in_the_pod() {
    // The device's own server on that port is well; the pod has none.
    let https = Https::start();
    https.serve(true);
    for mut place in Place::each() {
        out(&place);
        let probe = format!(
            "readinessProbe: {{ tcpSocket: {{ port: {} }}, periodSeconds: 1, failureThreshold: 1 }}",
            https.port
        );
        place.pod("w", "", &with_out(&place, "", &[(place.container("c", WAITS), probe.as_str())]));
        place.start();
        let unready = place.until("w", "not ready", |w| w["reason"] == "NotReady");
        assert!(message(&unready).contains("Connection refused"), "{unready}");
    }
}
