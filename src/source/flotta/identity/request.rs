//! A key made here, and the request for a certificate of it.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

/// A new P-256 key and its PKCS#10 request. Shows no secret.
pub struct Request {
    key: String,
    csr: String,
}

impl Request {
    /// Makes a key on this device, and a request whose CN is `device` (the server takes the id of the path anyway).
    ///
    /// # Errors
    /// Of the system's random numbers.
    pub fn new(device: &str) -> Result<Request, String> {
        let failed = |why: rcgen::Error| format!("a key and a request for {device} cannot be made: {why}");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, device);
        let csr = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(failed)?;
        // The server's Go code and openssl read both; LF as the captured requests have it.
        Ok(Request { key: key.serialize_pem().replace("\r\n", "\n"), csr: csr.replace("\r\n", "\n") })
    }

    /// The request, PEM: `certificate_request` of a registration.
    #[must_use]
    pub fn csr(&self) -> &str {
        &self.csr
    }

    /// The key, PEM (PKCS#8).
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Request").finish_non_exhaustive()
    }
}
