//! Names: what identifies a workload and a device, validated where they are made.

use std::fmt;

/// `namespace/name` of a workload. Ordered by namespace, then name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId {
    namespace: Box<str>,
    name: Box<str>,
}

impl WorkloadId {
    /// Both parts must be RFC 1123 names; an empty namespace means `default`.
    ///
    /// # Errors
    /// A sentence that names the part and what would be right.
    pub fn try_new(namespace: &str, name: &str) -> Result<WorkloadId, String> {
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        rfc1123("namespace", namespace)?;
        rfc1123("name", name)?;
        Ok(WorkloadId { namespace: namespace.into(), name: name.into() })
    }

    /// Reads `namespace/name`, or `name` for the namespace `default`.
    ///
    /// # Errors
    /// As [`WorkloadId::try_new`].
    pub fn parse(text: &str) -> Result<WorkloadId, String> {
        match text.split_once('/') {
            Some((namespace, name)) => WorkloadId::try_new(namespace, name),
            None => WorkloadId::try_new("default", text),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for WorkloadId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for WorkloadId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        WorkloadId::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Checks an RFC 1123 subdomain name: lower-case letters, digits, `-` and `.`, at most 253 bytes, begins and ends with a
/// letter or digit. `what` names the field in the error.
///
/// # Errors
/// A sentence that says what is wrong with which field.
pub fn rfc1123(what: &str, text: &str) -> Result<(), String> {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let bytes = text.as_bytes();
    let inside = bytes.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-' || *c == b'.');
    if bytes.len() <= 253 && inside && edge(bytes.first().copied()) && edge(bytes.last().copied()) {
        return Ok(());
    }
    let shown: String = text.chars().take(64).collect();
    Err(format!(
        "{what} {shown:?} is not a valid name: use lower-case letters, digits, '-' and '.', begin and end with a letter or digit, at most 253 characters"
    ))
}

/// Checks a DEVICE_ID: an RFC 1123 name, and not `register`, which the Flotta server keeps for itself.
///
/// # Errors
/// A sentence that says what would be right.
pub fn device_id(text: &str) -> Result<(), String> {
    rfc1123("DEVICE_ID", text)?;
    if text == "register" {
        return Err("DEVICE_ID \"register\" is a word of the server's own: choose another".into());
    }
    Ok(())
}
