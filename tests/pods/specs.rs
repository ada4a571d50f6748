//! Scripts and manifests' parts that several tests use.

use std::net::TcpListener;

/// Runs until it is told to end, then ends well at once. (PID 1 of a container hears no TERM without a handler.)
pub const WAITS: &str = "trap \"exit 0\" TERM; sleep 100000 & wait";
/// Hears no TERM.
pub const DEAF: &str = "trap \"\" TERM; while :; do sleep 100000; done";
/// Tried again after a second.
pub const SOON: &str = "  retry: { constantBackoff: { periodSeconds: 1 } }\n";
/// Behind the gate that the metric x opens.
pub const GATED: &str = "  profiles: [ { name: load, conditions: [ \"on\" ] } ]\n";

/// A port of the device that nobody uses.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
