//! Which cryptography the process uses: one, ring, for TLS of every kind.

/// Makes it the process's own, once. Whoever builds an HTTP client calls this first: reqwest, which comes without
/// cryptography, asks for it even where no TLS will be spoken, and panics where there is none.
pub fn install() {
    // An error means that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
