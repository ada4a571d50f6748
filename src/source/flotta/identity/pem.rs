//! Reading PEM, with sentences for what people do wrong.

use std::io::Read;
use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A larger file is not one of certificates or keys.
const MAX_FILE: u64 = 1024 * 1024;
/// More certificates in one file are refused.
const MAX_CERTIFICATES: usize = 100;

/// Reads a file that a configuration key names.
pub(super) fn file(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    let place = format!("{key} {}", path.display());
    let unreadable = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::NotFound => {
            format!("{place} does not exist; set {key} to where the file is, or put it there")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("{place} may not be read by this user; let it (chown or chmod)")
        }
        _ => format!("{place} cannot be read: {why}"),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{place} is larger than {MAX_FILE} bytes: that is no file of certificates or keys"));
    }
    Ok(bytes)
}

/// Every certificate in a text; at least one.
pub(super) fn certificates(place: &str, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let damaged = |why| format!("{place}: its PEM is damaged ({why}); copy the file again as a whole");
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        if found.len() >= MAX_CERTIFICATES {
            return Err(format!("{place} holds more than {MAX_CERTIFICATES} certificates"));
        }
        found.push(certificate.map_err(damaged)?);
    }
    if found.is_empty() {
        return Err(format!(
            "{place} holds no certificate{}; a PEM block that begins with -----BEGIN CERTIFICATE----- is needed",
            instead(bytes)
        ));
    }
    Ok(found)
}

/// The key in a text; exactly one.
pub(super) fn key(place: &str, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "{place} is encrypted, and nobody is there to type a passphrase; write it without one: openssl pkey -in OLD -out NEW"
        ));
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(bytes);
    // What the parser says of a damaged key could quote it: only that it is damaged is told.
    let damaged = |_| format!("{place}: its PEM is damaged; copy the file again as a whole");
    let key = keys.next().ok_or_else(|| {
        format!(
            "{place} holds no private key{}; a PEM block of EC PRIVATE KEY, RSA PRIVATE KEY or PRIVATE KEY is needed",
            instead(bytes)
        )
    })?;
    let key = key.map_err(damaged)?;
    if keys.next().is_some() {
        return Err(format!("{place} holds more than one private key; only the one of the certificate must be in it"));
    }
    Ok(key)
}

/// What a text holds instead of what was looked for: for a sentence.
fn instead(bytes: &[u8]) -> String {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return " (it is empty)".into();
    }
    let text = String::from_utf8_lossy(bytes);
    let label = |line: &str| {
        let label = line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        (label.len() <= 40 && label.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ')).then(|| label.to_owned())
    };
    match text.lines().find_map(label) {
        Some(label) => format!(" but {label}"),
        None => " (it is not PEM)".into(),
    }
}
