//! From the server's configuration to desired state. Pure.
