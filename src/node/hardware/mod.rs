//! What the machine is made of, as Linux tells it without root's tools.

/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Hardware {}
