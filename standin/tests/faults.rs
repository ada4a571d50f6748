//! Faults on demand do what they say, and no more.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::time::Duration;

use common::{Connection, join, registration, standin};
use flotta_standin::{End, Fault, Gate, Operation, Options, Protocols};
use serde_json::json;

const ID: &str = "dev-1";

#[tokio::test]
async fn an_answer_is_cut_at_every_byte() {
    let server = standin(Options { protocols: Protocols::Http1, ..Options::default() }).await;
    let own = join(&server, ID).await;
    let whole = Connection::open(&server, Some(&own)).await.unwrap().get(ID).await.unwrap().bytes;
    assert!(whole > 300);
    for cut in 0..whole {
        server.fault(Operation::Get, Fault::cut_after(u64::try_from(cut).unwrap()));
        let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
        connection.write("GET", &format!("{}/data/{ID}/in", common::BASE), &[], None).await.unwrap();
        let (bytes, end) = connection.rest().await;
        assert_eq!(bytes.len(), cut);
        assert!(end.is_err(), "no TLS end after {cut} bytes");
    }
    server.fault(Operation::Get, Fault::cut_after(u64::try_from(whole).unwrap()));
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get(ID).await.unwrap().status, 200, "a cut behind the end cuts nothing");
    }
    let cuts = server.exchanges().iter().filter(|one| matches!(one.end, End::Cut(_))).count();
    assert_eq!(cuts, whole + 1);
}

#[tokio::test]
async fn a_status_comes_as_often_as_asked_for_this_device_and_operation() {
    let server = standin(Options::default()).await;
    let (one, other) = (join(&server, ID).await, join(&server, "dev-2").await);
    server.fault(Operation::Get, Fault::status(503).times(2).of(ID));
    server.fault(Operation::Get, Fault::status_with(502, "<html>"));
    let mut one = Connection::open(&server, Some(&one)).await.unwrap();
    let mut other = Connection::open(&server, Some(&other)).await.unwrap();
    assert_eq!(one.directive(ID, "heartbeat", json!({})).await.unwrap().status, 200);
    assert_eq!(one.get(ID).await.unwrap().status, 503);
    let proxy = other.get("dev-2").await.unwrap();
    assert_eq!((proxy.status, proxy.body.as_slice()), (502, &b"<html>"[..]));
    assert_eq!(other.get("dev-2").await.unwrap().status, 200);
    assert_eq!(one.get(ID).await.unwrap().status, 503);
    assert_eq!(one.get(ID).await.unwrap().status, 200);
    server.fault(Operation::Get, Fault::status(500).for_ever());
    for _ in 0..5 {
        assert_eq!(one.get(ID).await.unwrap().status, 500);
    }
    assert_eq!(server.pending_faults(), 1);
    server.clear_faults();
    assert_eq!(one.get(ID).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_registration_is_signed_and_its_answer_lost() {
    let server = standin(Options::default()).await;
    let mut connection = Connection::open(&server, Some(&registration(&server))).await.unwrap();
    let features = json!({"features": {"hardware": {}}});
    assert_eq!(connection.directive(ID, "enrolment", features).await.unwrap().status, 200);
    let content = || json!({"certificate_request": common::request()});
    server.fault(Operation::Registration, Fault::abort());
    connection.directive(ID, "registration", content()).await.unwrap_err();
    assert_eq!(server.device(ID).unwrap().registrations, 0, "without effect");
    server.fault(Operation::Registration, Fault::abort().after_effect());
    let mut connection = Connection::open(&server, Some(&registration(&server))).await.unwrap();
    connection.directive(ID, "registration", content()).await.unwrap_err();
    assert_eq!(server.device(ID).unwrap().registrations, 1);
    let mut connection = Connection::open(&server, Some(&registration(&server))).await.unwrap();
    assert_eq!(connection.directive(ID, "registration", content()).await.unwrap().status, 500);
}

#[tokio::test]
async fn an_abort_over_http_1_ends_the_connection_properly_and_before_any_byte() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    server.fault(Operation::Get, Fault::abort());
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    connection.write("GET", &format!("{}/data/{ID}/in", common::BASE), &[], None).await.unwrap();
    let (bytes, end) = connection.rest().await;
    end.unwrap();
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn bodies_are_empty_garbage_slow_or_enormous() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    server.fault(Operation::Get, Fault::empty());
    let reply = connection.get(ID).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    server.fault(Operation::Get, Fault::garbage("{\"content\": ["));
    let reply = connection.get(ID).await.unwrap();
    assert_eq!(reply.body, b"{\"content\": [");
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    server.fault(Operation::Get, Fault::slow(50, Duration::from_millis(1)));
    assert_eq!(connection.get(ID).await.unwrap().json()["content"]["device_id"], ID);
    const SIZE: u64 = 100 * 1024 * 1024;
    server.fault(Operation::Get, Fault::blanks(SIZE));
    let before = server.connections()[1].sent.1;
    let reply = connection.get(ID).await.unwrap();
    assert_eq!(u64::try_from(reply.body.len()).unwrap(), SIZE);
    assert!(server.connections()[1].sent.1 - before > SIZE);
    assert_eq!(connection.get(ID).await.unwrap().status, 200, "the connection is still good");
}

#[tokio::test]
async fn a_held_answer_comes_when_the_gate_opens() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let gate = Gate::new();
    server.fault(Operation::Heartbeat, Fault::held(&gate));
    let mut watch = server.watch();
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    let waiting = tokio::spawn(async move { connection.directive(ID, "heartbeat", json!({"status": "up"})).await });
    watch.next(|one| one.operation == Operation::Heartbeat).await.unwrap();
    assert_eq!(server.device(ID).unwrap().phase, "up", "it has taken effect");
    assert!(!waiting.is_finished());
    gate.open();
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}
