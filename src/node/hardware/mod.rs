//! What the machine is made of, as Linux tells it without root's tools.

/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Hardware {}
impl Hardware {
    pub fn minimal() -> Hardware {
        Hardware {}
    }
}
pub fn read(_root: &std::path::Path) -> Hardware {
    Hardware {}
}
