//! The server around the contract: protocols, restarts, authorities, the log, the control API.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Connection, config, device, join, registration, standin};
use flotta_standin::{Approval, Control, Fault, Identity, Operation, Options, Protocols, Standin};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const ID: &str = "dev-1";

async fn h2(server: &Standin, identity: &Identity) -> http2::SendRequest<Empty<Bytes>> {
    let tcp = TcpStream::connect(server.address()).await.unwrap();
    let connector = TlsConnector::from(config(&server.ca_pem(), Some(identity), &[b"h2", b"http/1.1"]));
    let tls = connector.connect(ServerName::try_from("project-flotta.io").unwrap(), tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get() -> Request<Empty<Bytes>> {
    let path = format!("https://127.0.0.1{}/data/{ID}/in", common::BASE);
    Request::get(path).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn over_http_2_an_abort_resets_the_stream_and_the_connection_stays() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let mut sender = h2(&server, &own).await;
    server.fault(Operation::Get, Fault::abort());
    let error = sender.send_request(get()).await.unwrap_err();
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
    let reply = sender.send_request(get()).await.unwrap();
    assert_eq!(reply.status(), 200);
    let content: Value = serde_json::from_slice(&reply.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(content["content"]["device_id"], ID);
    let last = server.exchanges().last().unwrap().clone();
    assert_eq!(last.protocol, "HTTP/2.0");
    assert_eq!(server.connections().last().unwrap().exchanges, 2);
}

#[tokio::test]
async fn http_1_is_all_that_is_offered_where_it_is_asked_for() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    server.set_protocols(Protocols::Http1).unwrap();
    let both = config(&server.ca_pem(), Some(&own), &[b"h2", b"http/1.1"]);
    let mut connection = Connection::with(&server, both).await.unwrap();
    assert_eq!(connection.get(ID).await.unwrap().status, 200);
    assert_eq!(server.connections().last().unwrap().protocol, "http/1.1");
}

#[tokio::test]
async fn a_server_that_stops_drops_everybody_and_comes_back_as_it_was() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    assert_eq!(connection.get(ID).await.unwrap().status, 200);
    server.stop().await;
    connection.get(ID).await.unwrap_err();
    let refused = TcpStream::connect(server.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.restart().await.unwrap();
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    assert_eq!(connection.get(ID).await.unwrap().status, 200);
    assert!(server.connections().iter().filter(|one| one.open).count() == 1);
}

#[tokio::test]
async fn a_second_authority_signs_and_both_are_believed_until_one_is_forgotten() {
    let server = standin(Options::default()).await;
    let (old_ca, old) = (server.ca_pem(), join(&server, ID).await);
    server.rotate_authority().unwrap();
    assert_eq!(server.ca_pem().matches("BEGIN CERTIFICATE").count(), 2);
    let refused = Connection::with(&server, config(&old_ca, Some(&old), &[])).await;
    assert!(refused.is_err(), "who knows only the old one does not believe the server's new certificate");
    let new = device(&server, ID);
    for identity in [&old, &new] {
        assert_eq!(Connection::open(&server, Some(identity)).await.unwrap().get(ID).await.unwrap().status, 200);
    }
    server.forget_old_authorities();
    let status =
        async |identity| Connection::open(&server, Some(identity)).await.unwrap().get(ID).await.unwrap().status;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
}

#[tokio::test]
async fn the_server_is_known_by_its_addresses_and_domain_and_not_as_localhost() {
    let server = standin(Options::default()).await;
    let own = device(&server, ID);
    for (name, known) in [("127.0.0.1", true), ("::1", true), ("project-flotta.io", true), ("localhost", false)] {
        let tcp = TcpStream::connect(server.address()).await.unwrap();
        let connector = TlsConnector::from(config(&server.ca_pem(), Some(&own), &[]));
        let tls = connector.connect(ServerName::try_from(name).unwrap(), tcp).await;
        assert_eq!(tls.is_ok(), known, "{name}");
    }
}

#[tokio::test]
async fn the_servers_certificate_is_of_the_time_that_it_was_made_in_until_somebody_renews_it() {
    const YEAR: i64 = 365 * 86_400;
    let server = standin(Options { clock_offset_ms: -3 * YEAR * 1000, ..Options::default() }).await;
    let own = device(&server, ID);
    let open = async || Connection::with(&server, config(&server.ca_pem(), Some(&own), &[])).await.map(|_| ());
    assert!(open().await.unwrap_err().to_string().contains("expired"));
    server.clock().set_offset_ms(0);
    server.restart().await.unwrap();
    assert!(open().await.unwrap_err().to_string().contains("expired"), "a restart renews nothing");
    server.renew_server_certificate().unwrap();
    open().await.unwrap();
}

#[tokio::test]
async fn bytes_and_handshakes_are_counted_and_resumption_is_seen() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let before = server.counts();
    let config = config(&server.ca_pem(), Some(&own), &[b"http/1.1"]);
    let mut reply = None;
    for _ in 0..2 {
        let mut connection = Connection::with(&server, Arc::clone(&config)).await.unwrap();
        reply = Some(connection.get(ID).await.unwrap());
    }
    let after = server.counts();
    assert_eq!((after.handshakes - before.handshakes, after.resumed - before.resumed), (2, 1));
    let connections = server.connections();
    let [.., first, second] = connections.as_slice() else { panic!("two connections") };
    assert_eq!((first.resumed, second.resumed), (false, true));
    assert_eq!(second.sent.1, u64::try_from(reply.unwrap().bytes).unwrap());
    assert!(second.sent.0 > second.sent.1 && second.received.0 > second.received.1 && second.received.1 > 0);
    assert_eq!(*second.client, *first.client);
}

#[tokio::test]
async fn what_does_not_come_is_missed_with_the_last_exchanges_in_words() {
    let server = standin(Options { deadline: Duration::from_millis(50), ..Options::default() }).await;
    join(&server, ID).await;
    let missed = server.wait_for(|_| true).await.unwrap_err().to_string();
    assert!(missed.contains("Registration dev-1 200"), "{missed}");
}

#[tokio::test]
async fn the_log_forgets_the_oldest_and_counts_all() {
    let server = standin(Options { log_limit: 2, keep_bodies: false, ..Options::default() }).await;
    let mut watch = server.watch();
    join(&server, ID).await;
    let own = device(&server, ID);
    Connection::open(&server, Some(&own)).await.unwrap().get(ID).await.unwrap();
    let kept: Vec<u64> = watch.drain().iter().map(|one| one.number).collect();
    assert_eq!((kept, server.exchange_count()), (vec![1, 2], 3));
    assert!(server.exchanges().iter().all(|one| one.request.is_null()));
}

async fn ask(control: std::net::SocketAddr, method: Method, path: &str, body: Value) -> (u16, Value) {
    let tcp = TcpStream::connect(control).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).body(body.to_string()).unwrap();
    let reply = sender.send_request(request).await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_slice(&reply.collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test]
async fn a_person_can_do_with_curl_what_a_test_does() {
    let server = standin(Options { approval: Approval::Manual, ..Options::default() }).await;
    let control = Control::bind(server.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let at = control.address();
    let serving = tokio::spawn(control.serve());
    let mut connection = Connection::open(&server, Some(&registration(&server))).await.unwrap();
    connection.directive(ID, "enrolment", json!({"features": {}})).await.unwrap();
    let done = (200, json!("done"));
    assert_eq!(ask(at, Method::POST, "/devices/nobody/approve", Value::Null).await.0, 404);
    assert_eq!(ask(at, Method::POST, "/devices/dev-1/approve", Value::Null).await, done);
    assert_eq!(ask(at, Method::GET, "/devices", Value::Null).await, (200, json!([ID])));
    let period = json!({"heartbeat": {"period_seconds": 5}});
    assert_eq!(ask(at, Method::PUT, "/devices/dev-1/configuration", period).await, done);
    let workloads = json!([{"name": "w", "specification": {"containers": []}}]);
    assert_eq!(ask(at, Method::PUT, "/devices/dev-1/workloads", workloads).await, done);
    let (_, content) = ask(at, Method::GET, "/devices/dev-1/content", Value::Null).await;
    assert_eq!(content["configuration"]["heartbeat"]["period_seconds"], 5);
    assert_eq!(content["workloads"][0]["specification"], "containers: []\n");
    let fault = json!({"operation": "get", "fault": {"status": 503}, "times": 2});
    assert_eq!(ask(at, Method::POST, "/faults", fault).await, done);
    let (status, why) = ask(at, Method::POST, "/faults", json!({"operation": "get", "fault": "nonsense"})).await;
    assert_eq!(status, 400);
    assert!(why["error"].as_str().unwrap().contains("cut_after"), "{why}");
    let own = device(&server, ID);
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    assert_eq!(connection.get(ID).await.unwrap().status, 503);
    assert_eq!(ask(at, Method::DELETE, "/faults", Value::Null).await, done);
    assert_eq!(connection.get(ID).await.unwrap().status, 200);
    let year = json!({"offset_seconds": 31_536_000});
    assert_eq!(ask(at, Method::PUT, "/clock", year).await.0, 200);
    assert_eq!(connection.get(ID).await.unwrap().status, 401, "the certificate has expired by the server's clock");
    connection.directive(ID, "heartbeat", json!({"status": "degraded"})).await.unwrap();
    let (_, beat) = ask(at, Method::GET, "/devices/dev-1/heartbeat", Value::Null).await;
    assert_eq!(beat, json!({"status": "degraded"}));
    assert_eq!(ask(at, Method::DELETE, "/devices/dev-1", Value::Null).await, done);
    assert_eq!(connection.directive(ID, "heartbeat", json!({})).await.unwrap().status, 404);
    serving.abort();
}
