//! What refused requests had, by name, and none of ours has. Each is told from the captured request itself, so that it is
//! known to be found where it is.

use chrono::DateTime;
use flotta_agent::source::flotta::wire::message::BASE;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::known;
use super::sent::{Certificate, Sent};

type Property = (&'static str, fn(&Sent) -> bool);

/// Whether a request has it.
pub fn has(sent: &Sent, name: &str) -> bool {
    let found = PROPERTIES.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{name:?} is no property")).1(sent)
}

pub const PROPERTIES: [Property; 44] = [
    // API 1
    ("TLS 1.2", |sent| !sent.tls13),
    ("no client certificate", |sent| sent.certificate.is_none()),
    ("a certificate of another CA", |sent| certificate(sent, |of| !of.own)),
    ("another device's certificate", |sent| {
        certificate(sent, |of| of.common_name != "register" && !of.common_name.eq_ignore_ascii_case(&sent.device))
    }),
    ("a certificate of another namespace", |sent| {
        certificate(sent, |of| of.namespace.as_ref().is_some_and(|namespace| namespace != "default"))
    }),
    ("GET with the registration certificate", |sent| sent.method == "GET" && sent.by_registration()),
    ("GET with an expired certificate", |sent| sent.method == "GET" && certificate(sent, |of| of.not_after < sent.at)),
    ("GET with a certificate that is not valid yet", |sent| {
        sent.method == "GET" && certificate(sent, |of| of.not_before > sent.at)
    }),
    ("heartbeat with the registration certificate", |sent| sent.is("heartbeat") && sent.by_registration()),
    // API 2: paths and headers
    ("an unknown path", |sent| {
        let id = &sent.device;
        let known = ["data", "control"].iter().flat_map(|of| ["in", "out"].map(|to| format!("{BASE}/{of}/{id}/{to}")));
        !known.into_iter().any(|known| known == sent.path.trim_end_matches('/'))
    }),
    ("a path with a slash too many", |sent| sent.path.ends_with('/') || sent.path.contains("//")),
    ("an id that is no lower-case name", |sent| {
        !sent.device.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'))
    }),
    ("a method that is neither GET nor POST", |sent| !["GET", "POST"].contains(&sent.method.as_str())),
    ("a GET of what is only posted to", |sent| sent.method == "GET" && sent.path.ends_with("/out")),
    ("a message to the control channel", |sent| sent.method != "GET" && sent.path.contains("/control/")),
    ("no Content-Type", |sent| sent.body.is_some() && sent.content_type.is_none()),
    ("a Content-Type that is not JSON", |sent| {
        sent.content_type.as_deref().is_some_and(|kind| kind.split(';').next() != Some("application/json"))
    }),
    ("a GET that does not accept JSON", |sent| {
        let takes = |kinds: &str| ["*/*", "application/json"].iter().any(|json| kinds.contains(json));
        sent.method == "GET" && !sent.accept.as_deref().is_none_or(takes)
    }),
    // API 2: the message
    ("an empty body", |sent| sent.body.as_deref() == Some("")),
    ("a body that is not JSON", |sent| {
        sent.body.as_deref().is_some_and(|body| serde_json::from_str::<Value>(body).is_err())
    }),
    ("no directive", |sent| sent.body.is_some() && sent.message()["directive"].is_null()),
    ("an unknown directive", |sent| {
        let known = ["enrolment", "registration", "heartbeat"];
        sent.message()["directive"].as_str().is_some_and(|directive| !known.contains(&directive))
    }),
    ("a type outside of the enum", |sent| {
        let known = ["connection-status", "command", "event", "data"];
        sent.message()["type"].as_str().is_some_and(|kind| !known.contains(&kind))
    }),
    ("a message version that is no integer", |sent| {
        sent.message().get("version").is_some_and(|version| !version.is_i64() && !version.is_u64())
    }),
    ("a sent that is no time", |sent| {
        sent.message()["sent"].as_str().is_some_and(|time| DateTime::parse_from_rfc3339(time).is_err())
    }),
    ("a sent of another century", |sent| sent.message()["sent"].as_str().is_some_and(|time| !time.starts_with("20"))),
    ("a content that is no object", |sent| sent.message().get("content").is_some_and(|content| !content.is_object())),
    ("a null", |sent| known::paths(&sent.message()).iter().any(|(_, kind)| *kind == known::Type::Null)),
    ("an unknown field", |sent| {
        let contract = known::contract();
        known::paths(&sent.message()).iter().any(|(path, _)| !contract.contains_key(path.as_str()))
    }),
    // API 3.1
    ("an enrolment without content", |sent| sent.is("enrolment") && sent.message().get("content").is_none()),
    ("an enrolment without features", |sent| sent.is("enrolment") && sent.content().get("features").is_none()),
    ("features that are no object", |sent| sent.content().get("features").is_some_and(|of| !of.is_object())),
    ("an enrolment without hardware", |sent| {
        sent.is("enrolment") && !sent.content()["features"]["hardware"].is_object()
    }),
    // API 3.2
    ("a registration without a request", |sent| {
        sent.is("registration") && sent.content().get("certificate_request").is_none()
    }),
    ("a request that is no text", |sent| sent.content().get("certificate_request").is_some_and(|of| !of.is_string())),
    ("a request that is not PEM", |sent| {
        sent.content()["certificate_request"].as_str().is_some() && request(sent).is_none()
    }),
    ("a request with an RSA key", |sent| algorithm(sent, "1.2.840.113549.1.1.1")),
    ("a request with an Ed25519 key", |sent| algorithm(sent, "1.3.101.112")),
    ("a request with a wrong signature", |sent| {
        let signed = |der: Vec<u8>| {
            X509CertificationRequest::from_der(&der).is_ok_and(|(_, request)| request.verify_signature().is_ok())
        };
        request(sent).is_some_and(|der| !signed(der))
    }),
    // API 3.3, 5.3
    ("a heartbeat without content", |sent| sent.is("heartbeat") && sent.message().get("content").is_none()),
    ("a status that is no text", |sent| {
        let content = sent.content();
        let workloads = content["workloads"].as_array().into_iter().flatten();
        sent.is("heartbeat")
            && workloads.chain([&content]).any(|of| of.get("status").is_some_and(|status| !status.is_string()))
    }),
    ("a configuration version that is no text", |sent| {
        sent.is("heartbeat") && sent.content().get("version").is_some_and(|version| !version.is_string())
    }),
    ("a status outside of the enum", |sent| {
        let content = sent.content();
        let outside = |of: &Value, known: &[&str]| of.as_str().is_some_and(|status| !known.contains(&status));
        let each = ["deploying", "running", "crashed", "stopped"];
        let workloads = content["workloads"].as_array().into_iter().flatten();
        sent.is("heartbeat")
            && (outside(&content["status"], &["up", "degraded"])
                || workloads.into_iter().any(|workload| outside(&workload["status"], &each)))
    }),
    ("an empty last_data_upload", |sent| {
        let content = sent.content();
        content["workloads"].as_array().into_iter().flatten().any(|workload| workload["last_data_upload"] == "")
    }),
];

fn certificate(sent: &Sent, is: impl Fn(&Certificate) -> bool) -> bool {
    sent.certificate.as_ref().is_some_and(is)
}

/// The certificate request, as DER.
fn request(sent: &Sent) -> Option<Vec<u8>> {
    let content = sent.content();
    let pem = content["certificate_request"].as_str()?;
    Some(CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).ok()?.to_vec())
}

fn algorithm(sent: &Sent, oid: &str) -> bool {
    request(sent).is_some_and(|der| {
        let read = X509CertificationRequest::from_der(&der);
        let is = |of: &X509CertificationRequest<'_>| {
            of.certification_request_info.subject_pki.algorithm.algorithm.to_id_string() == oid
        };
        read.is_ok_and(|(_, request)| is(&request))
    })
}
