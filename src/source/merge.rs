//! Several sources into one desired state. Pure.
