//! Ports of the device that a pod asks for and somebody else has: who that is.

use std::net::{TcpListener, UdpSocket};

use serde_json::{Value as Json, json};

use super::device::until_true;
use super::place::Place;
use super::service::image;
use super::specs::{GATED, SOON, WAITS, free_port};

/// A pod that publishes this port, tried again after a second.
fn publisher(place: &Place, name: &str, head: &str, port: &str) {
    let container = place.container("c", WAITS);
    let container = container.trim_end_matches('}');
    let spec = format!(
        "{{ terminationGracePeriodSeconds: 5, containers: [ {container}, ports: [ {{ containerPort: 80, {port} }} ] }} ] }}"
    );
    place.pod(name, &format!("{SOON}{head}"), &spec);
}

fn message(workload: &Json) -> &str {
    workload["message"].as_str().expect("a sentence")
}

/// It fails, and its message has these words.
fn fails_with(place: &Place, name: &str, words: &[&str]) {
    let failed = place.until(name, "it fails", |w| w["state"] == "error");
    for word in words {
        assert!(message(&failed).contains(word), "{word}: {failed}");
    }
    assert_eq!(failed["reason"], "StartFailed");
}

#[test]
fn a_port_that_another_workload_has_is_said_with_its_name_before_anything_is_made_and_taken_when_it_is_free() {
    let Some(mut place) = Place::new() else { return };
    let port = free_port();
    publisher(&place, "first", "", &format!("hostPort: {port}, hostIP: 127.0.0.1"));
    publisher(&place, "second", GATED, &format!("hostPort: {port}, hostIP: 0.0.0.0"));
    place.start();
    place.until_state("first", "running");
    place.agent().set("x", 1.0);
    let taken = format!("port {port}/tcp (on every address) is taken by workload default/{}", place.name("first"));
    fails_with(&place, "second", &[&taken, "another hostPort"]);
    assert_eq!(place.containers("second"), [Json::Null; 0], "nothing is made");
    place.delete("first.yaml");
    place.until_state("second", "running");
}

#[test]
fn a_port_that_a_pod_of_somebody_else_or_a_process_or_the_agent_has_is_said_with_its_name() {
    Place::each().for_each(held_by_others);
}

fn held_by_others(mut place: Place) {
    let (foreign_port, udp) = (free_port(), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let foreign = format!("foreign-{}", place.tag());
    let body = json!({ "name": foreign, "labels": { "flotta-test": "1", "project-flotta.io/device": place.id() },
        "portmappings": [{ "container_port": 80, "host_port": foreign_port, "host_ip": "127.0.0.1", "protocol": "tcp" }] });
    let (code, made) = place.podman.call("POST", "pods/create", Some(&body));
    assert_eq!(code, 201, "{made}");
    let body = json!({ "name": format!("{foreign}-c"), "pod": made["Id"], "image": image(), "stop_timeout": 0,
        "command": ["sleep", "100000"], "log_configuration": { "size": 1_048_576 } });
    let (code, container) = place.podman.call("POST", "containers/create", Some(&body));
    assert_eq!(code, 201, "{container}");
    let (code, answer) =
        place.podman.call("POST", &format!("containers/{}/start", container["Id"].as_str().expect("an id")), None);
    assert_eq!(code, 204, "{answer}");

    let port = |socket: std::net::SocketAddr| socket.port();
    let of_tcp = port(tcp.local_addr().expect("an address"));
    let of_udp = port(udp.local_addr().expect("an address"));
    place.start();
    let of_agent: u16 = place.agent().http.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    publisher(&place, "pod", "", &format!("hostPort: {foreign_port}, hostIP: 127.0.0.1"));
    publisher(&place, "tcp", "", &format!("hostPort: {of_tcp}, hostIP: 127.0.0.1"));
    publisher(&place, "udp", "", &format!("hostPort: {of_udp}, hostIP: 127.0.0.1, protocol: UDP"));
    publisher(&place, "own", "", &format!("hostPort: {of_agent}, hostIP: 127.0.0.1"));
    let me = format!("(pid {})", std::process::id());
    fails_with(
        &place,
        "pod",
        &[&format!("127.0.0.1:{foreign_port}/tcp is taken by podman's pod {foreign}"), "not this agent's"],
    );
    fails_with(&place, "tcp", &[&format!("127.0.0.1:{of_tcp}/tcp is taken by the process"), &me]);
    fails_with(&place, "udp", &[&format!("127.0.0.1:{of_udp}/udp is taken by the process"), &me]);
    fails_with(&place, "own", &[&format!("127.0.0.1:{of_agent}/tcp is taken by this agent itself"), "http.listen"]);
    drop((tcp, udp));
    place.until_state("tcp", "running");
    place.until_state("udp", "running");
}

#[test]
fn a_port_that_a_workload_with_the_devices_own_network_listens_on_is_said_with_that_workloads_name() {
    let Some(mut place) = Place::new() else { return };
    let port = free_port();
    let serve = format!("httpd -p 127.0.0.1:{port} -h /bin; {WAITS}");
    let gateway = place.container("c", &serve);
    place.pod(
        "gateway",
        "",
        &format!("{{ hostNetwork: true, terminationGracePeriodSeconds: 5, containers: [ {gateway} ] }}"),
    );
    place.start();
    place.until_state("gateway", "running");
    until_true("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    publisher(&place, "web", "", &format!("hostPort: {port}, hostIP: 127.0.0.1"));
    let name = place.name("gateway");
    fails_with(&place, "web", &[&format!("127.0.0.1:{port}/tcp is taken by workload default/{name}")]);
}
