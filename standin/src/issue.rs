//! Certificate requests: what is refused, and what is made of the rest (API §1, "Device certificate and CSR").

use rcgen::{CertificateSigningRequestParams, SubjectPublicKeyInfo};
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use crate::authority::Authority;

/// Signs a request, or `None`: the answer is 400. The real server reuses the signature algorithm of the request, so
/// only ECDSA works with its CA. Here the certificate itself is signed with SHA-256 also where the request came with
/// SHA-384: ring signs P-256 with nothing else, and no device looks.
pub(crate) fn sign(
    authority: &Authority,
    request: &str,
    device: (&str, &str),
    (now, lifetime): (i64, i64),
) -> Option<String> {
    let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).ok()?;
    let (_, parsed) = X509CertificationRequest::from_der(&der).ok()?;
    parsed.verify_signature().ok()?;
    let algorithm = &parsed.signature_algorithm.algorithm;
    let key = &parsed.certification_request_info.subject_pki;
    let ecdsa = [OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384].contains(algorithm);
    if !ecdsa || key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return None;
    }
    let public = SubjectPublicKeyInfo::from_der(key.raw).ok()?;
    let subject = CertificateSigningRequestParams::from_der(&der).map(|csr| csr.params.distinguished_name);
    authority.device(&public, subject.unwrap_or_default(), device, (now, lifetime)).ok()
}
