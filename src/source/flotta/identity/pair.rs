//! A certificate and the key that belongs to it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem;
use crate::model::time::Wall;

/// What a certificate says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// CN: `register`, or the device id.
    pub common_name: String,
    /// The first OU: the device's namespace.
    pub namespace: Option<String>,
    /// Subject, for sentences.
    pub subject: String,
    /// Issuer, for sentences.
    pub issuer: String,
    /// Valid from.
    pub not_before: Wall,
    /// Valid until.
    pub not_after: Wall,
    /// It may sign others.
    pub ca: bool,
}

impl Certificate {
    /// Reads DER.
    pub(crate) fn read(der: &[u8]) -> Result<Certificate, String> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|why| format!("is damaged: it is not an X.509 certificate ({why})"))?;
        let subject = certificate.subject();
        let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue>| {
            attribute.and_then(|value| value.as_str().ok()).map(str::to_owned)
        };
        let at = |time: x509_parser::time::ASN1Time| Wall(time.timestamp().saturating_mul(1000));
        Ok(Certificate {
            common_name: text(subject.iter_common_name().next()).unwrap_or_default(),
            namespace: text(subject.iter_organizational_unit().next()),
            subject: subject.to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: at(certificate.validity().not_before),
            not_after: at(certificate.validity().not_after),
            ca: certificate.is_ca(),
        })
    }
}

/// A certificate and its key, which fit each other. Shows no secret.
#[derive(Clone)]
pub struct Pair {
    certificate: Certificate,
    certified: Arc<CertifiedKey>,
}

impl Pair {
    /// The registration certificate: reads `CERT` and `KEY`. PEM: `CERTIFICATE`, and `EC PRIVATE KEY` (SEC1),
    /// `RSA PRIVATE KEY` (PKCS#1) or `PRIVATE KEY` (PKCS#8). Both may stand in one file.
    ///
    /// # Errors
    /// A sentence: which file, what is wrong with it, what would be right.
    pub fn registration(cert: &Path, key: &Path) -> Result<Pair, String> {
        let (certificate, secret) = (pem::file(cert, "CERT")?, pem::file(key, "KEY")?);
        let (cert, key) = (format!("CERT {}", cert.display()), format!("KEY {}", key.display()));
        Pair::read((&cert, &certificate), (&key, &secret))
    }

    /// Reads PEM texts; each comes with its name for sentences.
    pub(super) fn read(certificate: (&str, &[u8]), key: (&str, &[u8])) -> Result<Pair, String> {
        let chain = pem::certificates(certificate.0, certificate.1)?;
        let first = chain.first().ok_or_else(|| format!("{} holds no certificate", certificate.0))?;
        let facts = Certificate::read(first).map_err(|why| format!("{} {why}", certificate.0))?;
        let secret = pem::key(key.0, key.1)?;
        let signer = rustls::crypto::ring::sign::any_supported_type(&secret).map_err(|_| {
            format!("{}: not a key that can be used; RSA from 2048 bits, P-256, P-384 and Ed25519 can", key.0)
        })?;
        let certified = CertifiedKey::new(chain, signer);
        match certified.keys_match() {
            Ok(()) => Ok(Pair { certificate: facts, certified: Arc::new(certified) }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
                "{} does not belong to {}: the public keys differ; both must come from the same issue",
                key.0, certificate.0
            )),
            Err(why) => {
                Err(format!("{} cannot be used: {why}; an X.509 version 3 certificate is needed", certificate.0))
            }
        }
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// For TLS.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
