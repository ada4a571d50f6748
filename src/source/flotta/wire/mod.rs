//! What goes over the wire, field by field.

pub mod configuration;
pub mod message;
