use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Meeting, Setup, at_1970, today};
use crate::source::flotta::testing::{Ca, at};
use crate::source::flotta::tls::{Explained, Fault};
use crate::source::flotta::trusted_time::TrustedTime;

fn says(explained: &Explained, fault: Fault, all: &[&str]) {
    assert_eq!(explained.fault, fault, "{}", explained.sentence);
    for part in all {
        assert!(explained.sentence.contains(part), "{part}: {}", explained.sentence);
    }
}

#[tokio::test]
async fn a_server_certificate_that_has_ended_is_said_with_the_time_that_was_used_and_where_it_came_from() {
    let server = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let why = Setup { server, ..Setup::new() }.start().await.fault("127.0.0.1").await;
    let ended = "ended at 2027-01-01T00:00:00.000Z, and it is 2027-02-01T00:00:00.000Z";
    says(&why, Fault::Expired, &["https://127.0.0.1:", ended, "by the device's clock", "is the device's clock right?"]);
    let mut time = TrustedTime::new(None);
    assert!(time.heard(at("2027-03-01T00:00:00Z"), today()));
    let why = Setup { server, time, ..Setup::new() }.start().await.fault("127.0.0.1").await;
    says(&why, Fault::Expired, &["it is 2027-03-01T00:00:00.000Z by the server's own Date", "needs a new certificate"]);
}

#[tokio::test]
async fn a_server_certificate_that_has_not_begun_is_said_with_the_build_date_where_the_clock_is_at_1970() {
    let server = (at("2050-01-01T00:00:00Z"), at("2051-01-01T00:00:00Z"));
    let why = Setup { server, clock: at_1970, ..Setup::new() }.start().await.fault("127.0.0.1").await;
    let begins = "not valid before 2050-01-01T00:00:00.000Z";
    says(&why, Fault::NotYetValid, &[begins, "by the build date of the agent", "is the device's clock right?"]);
}

#[tokio::test]
async fn a_ca_that_is_not_the_servers_is_said_even_if_it_has_the_same_name() {
    for (other, name) in [(Ca::new(), "O=flotta-operator"), (Ca::named("somebody"), "O=somebody")] {
        let why = Setup { roots: Some(other.pem), ..Setup::new() }.start().await.fault("127.0.0.1").await;
        says(&why, Fault::UnknownIssuer, &["CA_ROOT ", "ca.pem is not the CA of https://127.0.0.1:", name]);
    }
}

#[tokio::test]
async fn a_name_that_is_not_in_the_servers_certificate_is_said_with_those_that_are() {
    let meeting = Setup::new().start().await;
    let names = "is for project-flotta.io, 127.0.0.1; SERVER (https://";
    let why = meeting.fault("localhost").await;
    says(&why, Fault::WrongName, &[names, "says localhost", "localhost is never in it: write 127.0.0.1"]);
    let why = meeting.fault("edge.example").await;
    says(&why, Fault::WrongName, &[names, "says edge.example", "write one of these names in SERVER"]);
    let why = meeting.fault("127.0.0.2").await;
    says(&why, Fault::WrongName, &[names, "says 127.0.0.2"]);
}

#[tokio::test]
async fn a_server_that_refuses_our_certificate_is_said_so() {
    let clients = Some(Ca::named("somebody").pem);
    let why = Setup { clients, ..Setup::new() }.start().await.fault("127.0.0.1").await;
    says(&why, Fault::Refused, &["refused this device's certificate (TLS alert", "are CERT and KEY from this server?"]);
}

#[tokio::test]
async fn a_server_that_speaks_only_tls_1_2_is_said_so() {
    let why = Setup { version: &rustls::version::TLS12, ..Setup::new() }.start().await.fault("127.0.0.1").await;
    says(&why, Fault::TooOld, &["does not speak TLS 1.3", "is SERVER the right one"]);
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_said_so() {
    let meeting = Setup::new().start().await;
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = plain.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = plain.accept().await {
            let _ = tcp.read(&mut [0; 1024]).await;
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let why = Meeting { address, ..meeting }.fault("127.0.0.1").await;
    says(&why, Fault::NotTls, &["does not speak TLS: SERVER must be https://", "8043"]);
}

/// Sends as the agent does, through reqwest, whose errors wrap those of TLS several times.
async fn through_reqwest(meeting: &Meeting, host: &str) -> Option<Explained> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(meeting.config.clone())
        .resolve(host, meeting.address)
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client");
    let server = format!("https://{host}:{}", meeting.address.port());
    let error = client.get(&server).send().await.expect_err("no HTTP server");
    meeting.explain(&error, &server)
}

#[tokio::test]
async fn faults_are_found_inside_the_errors_of_the_http_client() {
    let meeting = Setup::new().start().await;
    let why = through_reqwest(&meeting, "localhost").await.expect("a TLS fault");
    says(&why, Fault::WrongName, &["says localhost"]);
    let meeting = Setup { roots: Some(Ca::new().pem), ..Setup::new() }.start().await;
    let why = through_reqwest(&meeting, "127.0.0.1").await.expect("a TLS fault");
    says(&why, Fault::UnknownIssuer, &["is not the CA of"]);
    // The alert comes after the handshake, on the first read.
    let meeting = Setup { clients: Some(Ca::named("somebody").pem), ..Setup::new() }.start().await;
    let why = through_reqwest(&meeting, "127.0.0.1").await.expect("a TLS fault");
    says(&why, Fault::Refused, &["refused this device's certificate"]);
    let meeting = Setup { version: &rustls::version::TLS12, ..Setup::new() }.start().await;
    let why = through_reqwest(&meeting, "127.0.0.1").await.expect("a TLS fault");
    says(&why, Fault::TooOld, &["TLS 1.3"]);
}

#[tokio::test]
async fn a_refused_connection_is_no_fault_of_tls() {
    let meeting = Setup::new().start().await;
    // Bound, so that nobody else gets it, and not listening.
    let free = tokio::net::TcpSocket::new_v4().expect("a socket");
    free.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let gone = Meeting { address: free.local_addr().expect("bound"), ..meeting };
    assert_eq!(through_reqwest(&gone, "127.0.0.1").await, None);
}
