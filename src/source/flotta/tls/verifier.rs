//! Verifies the server as webpki does, and tells [`TrustedTime`](super::TrustedTime) how long its certificate is valid: a
//! Date of the server's outside of that is not believed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::Time;
use crate::source::flotta::identity::{Certificate, Roots};

#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    time: Time,
}

impl Verifier {
    pub(super) fn new(roots: &Roots, provider: &Arc<CryptoProvider>, time: Time) -> Result<Verifier, String> {
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.store(), provider.clone())
            .build()
            .map_err(|why| format!("CA_ROOT {} cannot be used: {why}", roots.file().display()))?;
        Ok(Verifier { webpki, time })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        if let Ok(shown) = Certificate::read(certificate) {
            self.time.lock().server_shows(shown.not_before..=shown.not_after);
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
