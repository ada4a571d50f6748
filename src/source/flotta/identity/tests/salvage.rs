use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::source::flotta::identity::{Certificate, salvage};
use crate::source::flotta::testing::at;

/// What a real server answered to a registration.
const ANSWER: &str = include_str!("../fixtures/answer.json");

#[test]
fn the_certificate_of_a_first_registration_is_found_in_an_answer_cut_anywhere_behind_it() {
    let answer: serde_json::Value = serde_json::from_str(ANSWER).expect("JSON");
    let whole = answer["content"]["certificate"].as_str().expect("a certificate");
    let end = ANSWER.find("-----END CERTIFICATE-----").expect("in it") + "-----END CERTIFICATE-----".len();
    assert!(end < ANSWER.len());
    for cut in 0..=ANSWER.len() {
        let found = salvage(&ANSWER.as_bytes()[..cut]);
        assert_eq!(found.as_deref(), (cut >= end).then_some(whole), "cut at {cut}");
    }
}

#[test]
fn a_certificate_of_a_real_server_is_read_and_can_be_used_for_tls() {
    let text = salvage(ANSWER.as_bytes()).expect("a certificate");
    let der = CertificateDer::from_pem_slice(text.as_bytes()).expect("PEM");
    let certificate = Certificate::read(&der).expect("read");
    let expected = Certificate {
        common_name: "lab-dev-1".into(),
        namespace: Some("default".into()),
        subject: "O=flotta-operator, OU=default, CN=lab-dev-1".into(),
        issuer: "O=flotta-operator".into(),
        not_before: at("2026-11-19T20:25:35Z"),
        not_after: at("2026-12-20T20:25:35Z"),
        ca: false,
    };
    assert_eq!(certificate, expected);
    rustls::server::ParsedCertificate::try_from(&der).expect("rustls reads it");
}

#[test]
fn nothing_is_found_in_what_holds_no_certificate() {
    let request = ANSWER.replace("CERTIFICATE-----", "CERTIFICATE REQUEST-----");
    let garbled = ANSWER.replacen("MIIB", "AAAA", 1);
    for answer in ["", "{}", &request, &garbled, "-----BEGIN CERTIFICATE-----\\q-----END CERTIFICATE-----"] {
        assert_eq!(salvage(answer.as_bytes()), None, "{answer}");
    }
    assert_eq!(salvage(&[0xff; 100]), None);
}
