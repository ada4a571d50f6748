//! TLS towards the server: 1.3 only, the given CA only, with a client certificate.
