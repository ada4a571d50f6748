//! Asking over HTTP, as the kubelet does: any answer from 200 to 399 is a success. A redirect is an answer, and not followed;
//! a certificate is not checked; of the body nothing is read.

use std::sync::Arc;

use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::words;
use crate::model::pod::Header;

/// What the agent calls itself; servers know the beginning from the kubelet.
pub(super) const AGENT: &str = concat!("kube-probe/1 flotta-agent/", env!("CARGO_PKG_VERSION"));

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Over TLS.
    pub tls: bool,
    /// Whom the connection leads to, as people say it, without the port.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// With its query.
    pub path: &'a str,
    /// Further headers; win over ours.
    pub headers: &'a [Header],
}

/// Asks; the error: why that is no success.
///
/// # Errors
/// A sentence's worth of words.
pub async fn ask(stream: TcpStream, ask: &Ask<'_>) -> Result<(), String> {
    let status = if ask.tls {
        let name = ServerName::try_from(ask.host.to_owned()).map_err(|_| format!("{:?} is no host", ask.host))?;
        let stream = tokio_rustls::TlsConnector::from(trusting()?)
            .connect(name, stream)
            .await
            .map_err(|why| format!("no TLS: {}", words(&why)))?;
        exchange(stream, ask).await?
    } else {
        exchange(stream, ask).await?
    };
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("answered {}", status.as_u16())) }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, ask: &Ask<'_>) -> Result<StatusCode, String> {
    let request = request(ask)?;
    let why = |why: hyper::Error| {
        let cause: &dyn std::error::Error = &why;
        format!("no answer: {}", cause.source().unwrap_or(cause))
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(why)?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer.map(|answer| answer.status()).map_err(why),
            // How it ended, the answer knows.
            _ = &mut connection, if !over => over = true,
        }
    }
}

fn request(ask: &Ask<'_>) -> Result<Request<String>, String> {
    let uri: Uri = ask.path.parse().map_err(|why| format!("{:?} is no path: {why}", ask.path))?;
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|why| format!("{text:?} is no header: {why}"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let usual = if ask.tls { 443 } else { 80 };
    let host = if ask.host.contains(':') { format!("[{}]", ask.host) } else { ask.host.to_owned() };
    headers.insert(HOST, value(&if ask.port == usual { host } else { format!("{host}:{}", ask.port) })?);
    let mut own: Vec<HeaderName> = Vec::new();
    for Header { name, value } in ask.headers {
        let name: HeaderName = name.parse().map_err(|why| format!("{name:?} is no header: {why}"))?;
        // What is shown of it must not be its value, which may be secret.
        let text = HeaderValue::from_str(value).map_err(|why| format!("the value of header {name}: {why}"))?;
        if own.contains(&name) {
            headers.append(name, text);
        } else {
            headers.insert(name.clone(), text);
            own.push(name);
        }
    }
    let mut request = Request::new(String::new());
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Takes every certificate: a probe asks whether somebody answers, and sends nothing that is not its manifest's.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

fn trusting() -> Result<Arc<rustls::ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|why| why.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
