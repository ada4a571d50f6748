//! What comes next fits in: any stream, a handshake of its own, users.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::io;
use std::sync::Arc;

use common::{connect, connect_with, publish, soon};
use flotta_broker::{Broker, Client, Denied, Login, Message, Peer, Refusal, Rights, Settings, Tap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Knows ada by her password, and whoever a stream has proved already; each may speak below her own name.
struct Users;

impl Rights for Users {
    fn may_connect(&self, login: &Login<'_>) -> Result<(), Denied> {
        match (&login.client.peer.identity, login.client.name.as_deref(), login.password) {
            (Some(_), ..) => Ok(()),
            (None, Some("ada"), Some(b"right")) => Ok(()),
            (None, Some("ada"), _) => Err(Denied::BadCredentials),
            _ => Err(Denied::NotAuthorized),
        }
    }

    fn may_publish(&self, client: &Client, topic: &str) -> bool {
        let name = client.peer.identity.as_deref().or(client.name.as_deref());
        name.is_some_and(|name| topic.split('/').next() == Some(name))
    }

    fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
        true
    }
}

struct Ignore;

impl Tap for Ignore {
    fn wants(&self, _topic: &str) -> bool {
        false
    }
    fn take(&self, _message: &Message<'_>) {}
}

fn broker() -> Broker {
    Broker::start(Settings::default(), Arc::new(Users), Arc::new(Ignore))
}

async fn answer(broker: &Broker, hello: &[u8]) -> Vec<u8> {
    let (mut ours, theirs) = tokio::io::duplex(1000);
    broker.serve_stream(theirs, Peer::default());
    ours.write_all(hello).await.unwrap();
    let mut answer = [0; 4];
    soon(ours.read_exact(&mut answer)).await.unwrap();
    answer.to_vec()
}

#[tokio::test]
async fn users_are_let_in_by_their_password_and_told_why_not() {
    let broker = broker();
    let user = |name: &[u8], password: &[u8]| connect_with(0xc2, &[b"id", name, password]);
    assert_eq!(answer(&broker, &user(b"ada", b"right")).await, [0x20, 2, 0, 0]);
    assert_eq!(answer(&broker, &user(b"ada", b"wrong")).await, [0x20, 2, 0, 4]);
    assert_eq!(answer(&broker, &user(b"eve", b"right")).await, [0x20, 2, 0, 5]);
    assert_eq!(answer(&broker, &connect("id", true, 0, None)).await, [0x20, 2, 0, 5]);
    assert_eq!(broker.counters().refused(Refusal::Login), 3);
    soon(broker.shutdown()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_stream_may_prove_who_it_is_before_mqtt_begins() {
    let broker = broker();
    let (mut ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    broker.serve_handshake(async move {
        // As TLS would: something else first, in the connection's own task.
        let mut who = [0; 3];
        theirs.read_exact(&mut who).await?;
        let identity = String::from_utf8_lossy(&who).into_owned();
        Ok((theirs, Peer { address: None, identity: Some(identity.into()) }))
    });
    ours.write_all(b"eve").await.unwrap();
    ours.write_all(&connect("id", true, 0, None)).await.unwrap();
    ours.write_all(&publish("eve/x", b"1", 1, 1, false)).await.unwrap();
    ours.write_all(&publish("ada/x", b"1", 1, 2, false)).await.unwrap();
    let mut answers = [0; 12];
    soon(ours.read_exact(&mut answers)).await.unwrap();
    assert_eq!(answers, [0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    assert_eq!((broker.counters().messages_in, broker.counters().refused(Refusal::PublishRights)), (1, 1));
    soon(broker.shutdown()).await;
}

#[tokio::test]
async fn a_handshake_that_fails_or_never_ends_hurts_nobody() {
    let mut settings = Settings::default();
    settings.limits.connect_deadline = std::time::Duration::from_millis(50);
    settings.limits.connections = 1;
    let broker = Broker::start(settings, Arc::new(Users), Arc::new(Ignore));
    broker.serve_handshake(std::future::pending::<io::Result<(tokio::io::DuplexStream, Peer)>>());
    soon(async {
        while broker.counters().refused(Refusal::ConnectDeadline) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    broker.serve_handshake(std::future::ready(Err::<(tokio::io::DuplexStream, Peer), _>(io::Error::other("no"))));
    assert_eq!(answer(&broker, &connect_with(0xc2, &[b"id", b"ada", b"right"])).await, [0x20, 2, 0, 0]);
    soon(broker.shutdown()).await;
}

#[tokio::test]
async fn after_a_shutdown_nothing_listens() {
    let broker = broker();
    soon(broker.shutdown()).await;
    assert!(broker.listen("127.0.0.1:0".parse().unwrap()).await.is_err());
}
