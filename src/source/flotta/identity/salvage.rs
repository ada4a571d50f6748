//! A certificate out of an answer that broke off.

use super::pem;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Finds a complete certificate (PEM) in the JSON answer to a registration that was cut anywhere behind it. The answer to
/// the first registration cannot be had again: the server answers 500 until an administrator helps.
#[must_use]
pub fn salvage(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let begin = text.find(BEGIN)?;
    let rest = text.get(begin..)?;
    let end = rest.find(END)?.checked_add(END.len())?;
    let escaped = rest.get(..end)?;
    // Between its quotes as a JSON string: its line ends are written as \n.
    let mut certificate: String = serde_json::from_str(&format!("\"{escaped}\"")).ok()?;
    certificate.push('\n');
    let found = pem::certificates("the answer", certificate.as_bytes()).ok()?;
    super::Certificate::read(found.first()?).ok()?;
    Some(certificate)
}
