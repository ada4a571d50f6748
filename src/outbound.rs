//! HTTP clients of the agent's that never speak TLS: podman's sockets, a running agent.

use std::sync::Arc;

/// A client to build on. TLS is there and believes nobody: without a configuration of ours reqwest would look for one of
/// the process's, and read the system's roots.
pub(crate) fn plain() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    match tls {
        Ok(tls) => {
            let nobody = rustls::RootCertStore::empty();
            builder.tls_backend_preconfigured(tls.with_root_certificates(nobody).with_no_client_auth())
        }
        Err(_) => builder,
    }
}
