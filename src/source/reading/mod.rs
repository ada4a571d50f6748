//! Reading what people wrote, for every source: YAML and JSON in which each value knows its line and column.
//!
//! ```text
//!  text ─► tree (YAML with places; syntax explains its errors) ─► fields (typed, each error with its place)
//!             └─► pod (a PodSpec for podman), kube (ConfigMap, Secret, references), carried (what an executor gets)
//!                    └─► version (the hash of it all, the same whichever source it came from)
//! ```
//! Pure.

pub(crate) mod carried;
pub(crate) mod cron;
pub(crate) mod duration;
pub(crate) mod fields;
pub(crate) mod kube;
pub(crate) mod limits;
pub(crate) mod pod;
pub(crate) mod profiles;
pub(crate) mod registries;
pub(crate) mod retry;
mod syntax;
pub(crate) mod tree;
pub(crate) mod version;
