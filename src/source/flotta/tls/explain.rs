//! What went wrong between us and the server, for people.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::{ServerName, UnixTime};

use super::super::identity::Roots;
use super::super::trusted_time::TrustedTime;
use crate::model::time::{Now, Wall};

/// What kind of thing went wrong, for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// By our time the server's certificate has ended.
    Expired,
    /// By our time it has not begun.
    NotYetValid,
    /// It is not signed by a CA of `CA_ROOT`.
    UnknownIssuer,
    /// It is for another name than the one in `SERVER`.
    WrongName,
    /// The server refused our certificate.
    Refused,
    /// The server does not speak TLS 1.3.
    TooOld,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else between the two.
    Other,
}

/// A fault, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Which.
    pub fault: Fault,
    /// What happened, and what to do.
    pub sentence: String,
}

/// What an explanation is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// `SERVER`, as it is configured.
    pub server: &'a str,
    /// `CA_ROOT`.
    pub roots: &'a Roots,
    /// What time we hold it to be.
    pub time: &'a TrustedTime,
    /// The clocks.
    pub now: Now,
}

/// Explains a failed exchange. `None`: no TLS error is in the chain (connection refused, a time-out …).
#[must_use]
pub fn explain(error: &(dyn Error + 'static), about: &About<'_>) -> Option<Explained> {
    let (fault, sentence) = sentence(&find(error)?, about);
    Some(Explained { fault, sentence })
}

/// The TLS error of a chain. An `io::Error` hides what it wraps from `source`, and the HTTP/2 library keeps only the text.
fn find(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        let wraps = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wraps {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None if error.source().is_none() => return told(&error.to_string()),
            None => error.source(),
        };
    }
    None
}

/// An alert, from the text that rustls gives it.
fn told(text: &str) -> Option<rustls::Error> {
    let known = REFUSALS.iter().chain([&AlertDescription::ProtocolVersion]);
    known.map(|alert| rustls::Error::AlertReceived(*alert)).find(|error| error.to_string() == text)
}

fn sentence(error: &rustls::Error, about: &About<'_>) -> (Fault, String) {
    let server = about.server;
    match error {
        rustls::Error::InvalidCertificate(why) => certificate(why, about),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
            let why = match error {
                rustls::Error::PeerIncompatible(why) => format!(" ({why:?})"),
                _ => String::new(),
            };
            (
                Fault::TooOld,
                format!(
                    "{server} does not speak TLS 1.3{why}, which the Flotta server always does: is SERVER the right one, or is a proxy in between?"
                ),
            )
        }
        rustls::Error::AlertReceived(alert) if REFUSALS.contains(alert) => (
            Fault::Refused,
            format!(
                "{server} refused this device's certificate (TLS alert {alert:?}): are CERT and KEY from this server?"
            ),
        ),
        rustls::Error::InvalidMessage(_) => (
            Fault::NotTls,
            format!(
                "what answers at {server} does not speak TLS: SERVER must be https:// and the port of the edge API (8043)"
            ),
        ),
        other => (Fault::Other, format!("no TLS connection with {server}: {other}")),
    }
}

/// Alerts by which a server says that it does not like our certificate.
const REFUSALS: &[AlertDescription] = &[
    AlertDescription::BadCertificate,
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

fn certificate(error: &CertificateError, about: &About<'_>) -> (Fault, String) {
    let (server, roots) = (about.server, about.roots.file().display());
    match error {
        CertificateError::ExpiredContext { time, not_after } => (
            Fault::Expired,
            format!(
                "the certificate of {server} ended at {}, and it is {}: {}",
                shown(*not_after),
                by(*time, about),
                "is the device's clock right? If it is, the server needs a new certificate"
            ),
        ),
        CertificateError::NotValidYetContext { time, not_before } => (
            Fault::NotYetValid,
            format!(
                "the certificate of {server} is not valid before {}, and it is {}: {}",
                shown(*not_before),
                by(*time, about),
                "is the device's clock right? If it is, the server's is not"
            ),
        ),
        // Every Flotta server names its CA alike, so a wrong one shows as a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let subjects: Vec<String> = about
                .roots
                .certificates()
                .iter()
                .map(|root| format!("{} since {}", root.subject, root.not_before.rfc3339()))
                .collect();
            (
                Fault::UnknownIssuer,
                format!(
                    "CA_ROOT {roots} is not the CA of {server}: none of it ({}) signed the server's certificate; get the CA of this server",
                    subjects.join("; ")
                ),
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            (Fault::WrongName, name(expected, presented, server))
        }
        other => (Fault::Other, format!("the certificate of {server} cannot be accepted: {other}")),
    }
}

fn name(expected: &ServerName<'_>, presented: &[String], server: &str) -> String {
    let expected = expected.to_str();
    let presented: Vec<String> = presented.iter().map(|name| plain(name)).collect();
    let hint = if expected.eq_ignore_ascii_case("localhost") {
        "; localhost is never in it: write 127.0.0.1"
    } else {
        "; write one of these names in SERVER (and let it resolve to the server), or have the server's certificate made for this one"
    };
    let names = if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") };
    format!("the certificate of the server is for {names}; SERVER ({server}) says {expected}{hint}")
}

/// `DnsName("x")` and `IpAddress(127.0.0.1)` without their wrapping.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

fn shown(at: UnixTime) -> String {
    Wall(i64::try_from(at.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000)).rfc3339()
}

/// The time that was used, and where it came from.
fn by(time: UnixTime, about: &About<'_>) -> String {
    format!("{} by {}", shown(time), about.time.told(about.now).1.words())
}
