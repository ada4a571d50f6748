use rustls::HandshakeKind;

use super::server::{Setup, at_1970};
use crate::model::time::Wall;
use crate::source::flotta::testing::{Ca, at};
use crate::source::flotta::trusted_time::{Origin, TrustedTime};

#[tokio::test]
async fn a_server_is_met_by_tls_1_3_and_http_2_with_the_devices_certificate() {
    let ca = Ca::new();
    // It looks at who signed the device's certificate.
    let clients = Some(ca.pem.clone());
    let meeting = Setup { ca, clients, ..Setup::new() }.start().await;
    let met = meeting.connect("127.0.0.1").await.expect("met");
    assert_eq!(met.version, Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(met.alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(met.said, "1 certificates\n");
}

#[tokio::test]
async fn nothing_is_resumed_so_that_no_connection_lives_on_with_an_old_certificate() {
    let meeting = Setup::new().start().await;
    for _ in 0..3 {
        let met = meeting.connect("project-flotta.io").await.expect("met");
        assert_eq!(met.handshake, Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_bundle_of_two_roots_meets_the_server_of_either() {
    let (old, new) = (Ca::new(), Ca::new());
    let bundle = format!("{}{}", old.pem, new.pem);
    for ca in [old, new] {
        let meeting = Setup { ca, roots: Some(bundle.clone()), ..Setup::new() }.start().await;
        meeting.connect("127.0.0.1").await.expect("met");
    }
}

#[tokio::test]
async fn a_clock_at_1970_does_not_keep_a_device_from_a_server_whose_certificate_began_last_year() {
    let server = (at("2026-01-01T00:00:00Z"), at("2027-06-01T00:00:00Z"));
    let meeting = Setup { server, clock: at_1970, ..Setup::new() }.start().await;
    meeting.connect("127.0.0.1").await.expect("the build date is later than its begin");
    let server = (at("2027-01-01T00:00:00Z"), at("2027-06-01T00:00:00Z"));
    let stored = TrustedTime::new(Some(at("2027-01-02T00:00:00Z")));
    let meeting = Setup { server, clock: at_1970, time: stored, ..Setup::new() }.start().await;
    meeting.connect("127.0.0.1").await.expect("so is the newest Date stored of the server");
    assert_eq!(meeting.time.lock().told(at_1970()).1, Origin::Stored);
}

#[tokio::test]
async fn a_clock_that_jumps_by_twenty_years_does_not_matter_once_the_server_was_heard() {
    let server = (at("2026-06-01T00:00:00Z"), at("2027-06-01T00:00:00Z"));
    let ahead = || crate::model::time::Now { wall: at("2047-02-01T00:00:00Z"), ..at_1970() };
    let mut time = TrustedTime::new(None);
    assert!(time.heard(at("2027-02-01T00:00:00Z"), at_1970()));
    let meeting = Setup { server, clock: ahead, time, ..Setup::new() }.start().await;
    meeting.connect("127.0.0.1").await.expect("met");
}

#[tokio::test]
async fn a_date_after_the_end_of_the_certificate_that_the_server_showed_is_not_believed() {
    let server = (at("2026-06-01T00:00:00Z"), at("2027-06-01T00:00:00Z"));
    let meeting = Setup { server, ..Setup::new() }.start().await;
    meeting.connect("127.0.0.1").await.expect("met");
    let now = meeting.time.clocks();
    assert!(!meeting.time.lock().heard(at("2099-01-01T00:00:00Z"), now));
    assert!(!meeting.time.lock().heard(Wall(0), now));
    meeting.connect("127.0.0.1").await.expect("still met");
    assert_eq!(meeting.time.heard("Thu, 01 Jan 2099 00:00:00 GMT"), None);
    assert_eq!(meeting.time.heard("Mon, 01 Feb 2027 00:00:05 GMT"), Some(at("2027-02-01T00:00:05Z")));
    assert_eq!(meeting.time.lock().told(now), (at("2027-02-01T00:00:05Z"), Origin::Server));
}
