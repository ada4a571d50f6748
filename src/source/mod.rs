//! Sources: where desired state comes from. They know `model/` and not each other (SPEC "Sources of desired state").

pub mod flotta;
pub mod manifests;
pub mod merge;
pub(crate) mod reading;
