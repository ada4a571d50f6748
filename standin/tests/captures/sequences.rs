//! The captures that are more than one exchange, or none.

use flotta_standin::{Leaf, Operation, Options, Standin};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{compare, state};
use crate::common::{self, Connection};
use crate::read;

const CHUNKED: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];

/// [cap 33b]: expiry is seen per request, and only by a GET; a renewal does not help the connection it came on.
#[tokio::test]
async fn a_connection_stays_bound_to_its_certificate() {
    let capture = read("33b-");
    let captured: Vec<u64> =
        capture["exchanges"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    let options = Options { certificate_lifetime: std::time::Duration::from_secs(15), ..Options::default() };
    let server = Standin::start(options).await.unwrap();
    let identity = common::join(&server, "lab-short").await;
    let mut connection = Connection::open(&server, Some(&identity)).await.unwrap();
    let mut seen = Vec::new();
    let reply = connection.get("lab-short").await.unwrap();
    compare::body(&capture["exchanges"][0]["body"], &reply.json()).unwrap();
    seen.push(u64::from(reply.status));
    server.clock().advance(std::time::Duration::from_secs(16));
    seen.push(u64::from(connection.get("lab-short").await.unwrap().status));
    let beat = json!({"status": "up"});
    seen.push(u64::from(connection.directive("lab-short", "heartbeat", beat).await.unwrap().status));
    let (key, request) = common::key_and_request();
    let renewal = json!({"certificate_request": request});
    let renewed = connection.directive("lab-short", "registration", renewal).await.unwrap();
    seen.push(u64::from(renewed.status));
    seen.push(u64::from(connection.get("lab-short").await.unwrap().status));
    let certificate = renewed.json()["content"]["certificate"].as_str().unwrap().to_owned();
    let renewed = flotta_standin::Identity { certificate, key };
    let mut connection = Connection::open(&server, Some(&renewed)).await.unwrap();
    seen.push(u64::from(connection.get("lab-short").await.unwrap().status));
    assert_eq!(seen, captured);
}

/// [cap b3] is the EdgeDevice after [cap b2].
#[tokio::test]
async fn a_heartbeat_becomes_the_status_and_the_labels_of_the_edge_device() {
    let (beat, captured) = (read("b2-"), read("b3-"));
    let server = Standin::start(Options::default()).await.unwrap();
    server.set_device("lab-dev-1", |device| {
        device.labels.insert("app".to_owned(), "camera".to_owned());
        device.workloads = vec![json!({"name": "wl-pod"}), json!({"name": "wl-k8s"}), json!({"name": "wl-cron"})];
    });
    let before = server.device("lab-dev-1").unwrap();
    assert_eq!(before.phases.values().collect::<Vec<_>>(), ["Deploying"; 3]);
    let identity = common::device(&server, "lab-dev-1");
    let mut connection = Connection::open(&server, Some(&identity)).await.unwrap();
    assert_eq!(connection.post("lab-dev-1", &beat["request"]["body"]).await.unwrap().status, 200);
    let device = server.device("lab-dev-1").unwrap();
    assert_eq!(json!(device.labels), captured["metadata"]["labels"]);
    assert_eq!(device.phase, captured["status"]["phase"]);
    assert_eq!(device.last_synced, captured["status"]["lastSyncedResourceVersion"]);
    let phases: Value = captured["status"]["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap().to_owned(), one["phase"].clone()))
        .collect();
    assert_eq!(json!(device.phases), phases);
    assert_eq!(device.upgrade["current_commit_ID"], captured["status"]["upgradeInformation"]["currentCommitID"]);
    assert_eq!(json!(device.events), beat["request"]["body"]["content"]["events"]);
    assert_eq!(device.hardware, beat["request"]["body"]["content"]["hardware"]);
    assert!(device.version > before.version, "a heartbeat that changes the status moves the version");
}

/// [cap c0]: doubled slashes, chunked bodies, no `type`, `sent` in the year 1.
#[tokio::test]
async fn the_reference_agent_gets_the_answers_that_it_got() {
    let capture = read("c0-");
    let server = Standin::start(Options::default()).await.unwrap();
    let exchanges = capture["exchanges"].as_array().unwrap();
    let mut certificate = common::registration(&server);
    for (number, exchange) in exchanges.iter().enumerate() {
        let request = &exchange["request"];
        let last = number == exchanges.len() - 1;
        if last {
            let content = &exchange["response"]["body"]["content"];
            server.set_configuration("ref-agent-1", content["configuration"].clone());
            server.set_workloads("ref-agent-1", content["workloads"].clone());
        }
        if request["method"] == "GET" || request["body"]["directive"] == "heartbeat" {
            certificate = common::device(&server, "ref-agent-1");
        }
        let mut connection = Connection::open(&server, Some(&certificate)).await.unwrap();
        let body = if request["body"].is_null() { None } else { Some(request["body"].to_string()) };
        let headers = if body.is_some() { &CHUNKED[..] } else { &CHUNKED[..1] };
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let reply = connection.send(method, path, headers, body.as_ref().map(String::as_bytes)).await.unwrap();
        assert_eq!(exchange["response"]["status"], reply.status, "{number}");
        assert_eq!(reply.header("Content-Type"), Some("application/json"), "{number}");
        compare::body(&exchange["response"]["body"], &reply.json()).unwrap();
    }
    let operations: Vec<Operation> = server.exchanges().iter().map(|one| one.operation).collect();
    let (enrolment, get) = (Operation::Enrolment, Operation::Get);
    assert_eq!(operations, [enrolment, Operation::Registration, get, Operation::Heartbeat, get]);
}

/// [cap c1]. The 500 of its heartbeats is what the server logged after the agent had gone: nobody was answered that.
#[tokio::test]
async fn an_expired_reference_agent_is_refused_its_configuration_only() {
    let capture = read("c1-");
    let server = Standin::start(Options::default()).await.unwrap();
    server.set_device("ref-agent-2", |_| {});
    state::at(&server, Some("Fri, 20 Nov 2026 20:41:43 GMT"));
    let peer = &capture["exchanges"][0]["tls"]["peer_certs"][0];
    let time = |name: &str| chrono::DateTime::parse_from_rfc3339(peer[name].as_str().unwrap()).unwrap().timestamp();
    let leaf = Leaf {
        common_name: "ref-agent-2".to_owned(),
        namespace: Some("default".to_owned()),
        not_before: time("not_before"),
        not_after: time("not_after"),
    };
    let identity = server.identity(&leaf).unwrap();
    let mut gets = 0;
    for exchange in capture["exchanges"].as_array().unwrap() {
        let request = &exchange["request"];
        let mut connection = Connection::open(&server, Some(&identity)).await.unwrap();
        let path = request["path"].as_str().unwrap();
        if request["method"] == "GET" {
            gets += 1;
            let reply = connection.send("GET", path, &CHUNKED[..1], None).await.unwrap();
            assert_eq!(exchange["response"]["status"], reply.status);
            assert_eq!(reply.header("Content-Type"), None);
        } else {
            let body = request["body"].to_string();
            let reply = connection.send("POST", path, &CHUNKED, Some(body.as_bytes())).await.unwrap();
            assert_eq!(reply.status, 200);
        }
    }
    assert_eq!(gets, 2);
}

/// [cap 95], with a ClientHello that offers nothing newer than TLS 1.2.
#[tokio::test]
async fn a_client_with_tls_1_2_gets_the_alert_protocol_version() {
    let server = Standin::start(Options::default()).await.unwrap();
    let mut hello = vec![0x03, 0x03];
    hello.extend_from_slice(&[7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0]);
    // P-256 as group, uncompressed points, ECDSA with SHA-256.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    hello.extend_from_slice(&[0, u8::try_from(extensions.len()).unwrap()]);
    hello.extend_from_slice(&extensions);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend_from_slice(&hello);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.unwrap();
    const FATAL_PROTOCOL_VERSION: [u8; 2] = [2, 70];
    assert_eq!((alert[0], &alert[5..]), (21, &FATAL_PROTOCOL_VERSION[..]));
}
