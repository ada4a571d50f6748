//! The client certificate of a connection: who it says that it is, and what that is good for (API §1).

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::{Authority, REGISTER};

/// What the server reads from the first certificate that a client presents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The subject's CN, as it is written.
    pub common_name: String,
    /// The subject's first OU: the namespace of the device.
    pub namespace: Option<String>,
    /// The serial, in decimal. Device certificates carry the second of their issue.
    pub serial: String,
    /// Valid from, in seconds since 1970.
    pub not_before: i64,
    /// Valid until, in seconds since 1970.
    pub not_after: i64,
    /// Signed by one of the server's authorities, when the connection was made.
    pub signed: bool,
}

impl Client {
    /// Reads a presented chain. The real server accepts any certificate of the chain as the signed one, and takes the
    /// identity from the first (API §7, weaknesses).
    pub(crate) fn read(chain: &[CertificateDer<'_>], authorities: &[&Authority]) -> Self {
        let Some((_, first)) = chain.first().and_then(|first| X509Certificate::from_der(first).ok()) else {
            return Self::default();
        };
        let signed = chain.iter().any(|one| {
            X509Certificate::from_der(one)
                .is_ok_and(|(_, one)| authorities.iter().any(|authority| authority.signed(&one)))
        });
        let subject = first.subject();
        let text = |value: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            value.and_then(|value| value.as_str().ok()).map(str::to_owned)
        };
        Self {
            common_name: text(subject.iter_common_name().next()).unwrap_or_default(),
            namespace: text(subject.iter_organizational_unit().next()),
            serial: first.tbs_certificate.serial.to_string(),
            not_before: first.validity().not_before.timestamp(),
            not_after: first.validity().not_after.timestamp(),
            signed,
        }
    }

    /// Good for everything but `POST data/out`: signed, within its time, and not the registration certificate.
    #[must_use]
    pub fn complete(&self, now: i64) -> bool {
        self.signed && self.not_before <= now && now <= self.not_after && self.common_name != REGISTER
    }

    /// Whether the certificate is this device's; the case does not matter (API §1).
    #[must_use]
    pub fn owns(&self, id: &str) -> bool {
        !id.is_empty() && self.common_name.to_lowercase() == id.to_lowercase()
    }

    /// The namespace that the certificate speaks for.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
    }
}
