//! Nobody can keep others out, and a refusal says why.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::*;

/// The first outage of rumqttd's own listener: an id its router refuses, twice.
#[tokio::test]
async fn an_odd_client_id_sent_twice_keeps_nobody_out() {
    let home = home().await;
    for _ in 0..3 {
        for id in ["a+b", "a#", "x/y", "ü"] {
            let mut client = home.client(id).await;
            assert_eq!(&client.subscribe(&[("a/b", 1)]).await[..], [1]);
        }
    }
    for id in ["$x", "a\u{7}", &"x".repeat(200)] {
        let mut client = home.raw().await;
        client.send(&connect(id, true, 0, None)).await;
        assert_eq!(client.packet().await, Some((0x20, Bytes::from_static(&[0, 2]))), "{id}");
        assert!(client.is_closed().await);
    }
    home.client("good").await.ping().await;
    assert_eq!(home.broker.counters().refused(Refusal::ClientId), 3);
}

/// The second: the limit is reached, and a refused client comes again with the same id.
#[tokio::test]
async fn clients_refused_at_the_limit_keep_nobody_out() {
    let home = home_with(|limits| limits.connections = 2).await;
    let (mut one, two) = (home.client("one").await, home.client("two").await);
    for _ in 0..4 {
        let mut refused = home.raw().await;
        refused.stream.try_write(&connect("three", true, 0, None)).ok();
        assert!(refused.is_closed().await);
    }
    one.ping().await;
    drop(two);
    assert_eq!(home.broker.counters().refused(Refusal::Connections), 4);
    // The place is free a moment after its client has left.
    soon(async { while home.answer(&connect("three", true, 0, None)).await != [CONNACK, 2, 0, 0] {} }).await;
}

/// The third: something that is not CONNECT, then a reconnect.
#[tokio::test]
async fn a_first_packet_that_is_not_connect_keeps_nobody_out() {
    let home = home().await;
    for bytes in
        [&b"\x20\x02\x00\x00"[..], b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\x10\xff\xff\xff\xff\xff"]
    {
        for _ in 0..3 {
            let mut client = home.raw().await;
            client.send(bytes).await;
            assert!(client.is_closed().await);
        }
    }
    home.client("good").await.ping().await;
    assert_eq!(home.broker.counters().refused(Refusal::Protocol), 15);
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_closed() {
    let home = home_with(|limits| limits.connect_deadline = Duration::from_millis(50)).await;
    let mut silent = home.raw().await;
    let mut half = home.raw().await;
    half.send(&connect("half", true, 0, None)[..9]).await;
    assert!(silent.is_closed().await && half.is_closed().await);
    assert_eq!(home.broker.counters().refused(Refusal::ConnectDeadline), 2);
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_listen() {
    let home = home().await;
    let error = home.broker.listen(home.addr).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn after_a_shutdown_everything_is_closed() {
    let home = home().await;
    let mut client = home.client("c").await;
    client.subscribe(&[("#", 0)]).await;
    let mut silent = home.raw().await;
    silent.stream.writable().await.unwrap();
    soon(home.broker.shutdown()).await;
    assert!(client.is_closed().await && silent.is_closed().await);
    assert!(tokio::net::TcpStream::connect(home.addr).await.is_err());
    home.broker.publish("a", Bytes::from_static(b"late"), 0, false);
    soon(home.broker.shutdown()).await;
}
