//! Requests to a podman service: the narrow trait, and the one over its unix socket.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use reqwest::header::HeaderValue;

use crate::model::hidden::Hidden;

/// A request below `/v4.0.0/libpod/` (podman takes any version there).
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path's segments, not encoded.
    pub path: Vec<String>,
    /// The query, not encoded.
    pub query: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Option<serde_json::Value>,
    /// The header `X-Registry-Auth`.
    pub registry_auth: Option<Hidden>,
}

/// An answer whose body is still to come.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Box<dyn Pieces>,
}

/// Something that is on its way.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A body, piece by piece.
pub trait Pieces: Send {
    /// The next piece; `Ok(None)`: it was the last one. The error: why the service cannot be reached any more.
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>>;
}

/// A way to a podman service. No deadlines here: who asks has them.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request. The error: why the service cannot be reached.
    fn send(&self, request: Request) -> Later<'_, Result<Answer, String>>;
}

/// The service behind a unix socket. Connections are kept.
pub struct Socket {
    client: Result<reqwest::Client, String>,
}

impl Socket {
    /// Behind this path; it need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Socket {
        let client = crate::outbound::plain().unix_socket(path).build();
        Socket { client: client.map_err(|why| innermost(&why)) }
    }
}

impl Transport for Socket {
    fn send(&self, request: Request) -> Later<'_, Result<Answer, String>> {
        Box::pin(async move {
            let client = self.client.as_ref().map_err(Clone::clone)?;
            let mut url = reqwest::Url::parse("http://podman/v4.0.0/libpod").map_err(|why| why.to_string())?;
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.extend(&request.path);
            }
            if !request.query.is_empty() {
                url.query_pairs_mut().extend_pairs(&request.query);
            }
            let method = match request.method {
                "POST" => reqwest::Method::POST,
                "DELETE" => reqwest::Method::DELETE,
                _ => reqwest::Method::GET,
            };
            let mut call = client.request(method, url);
            if let Some(body) = &request.body {
                call = call.json(body);
            }
            if let Some(auth) = &request.registry_auth {
                let mut value = HeaderValue::from_str(auth.reveal()).map_err(|why| why.to_string())?;
                value.set_sensitive(true);
                call = call.header("X-Registry-Auth", value);
            }
            let answer = call.send().await.map_err(|why| innermost(&why))?;
            Ok(Answer { status: answer.status().as_u16(), body: Box::new(Body(answer)) })
        })
    }
}

struct Body(reqwest::Response);

impl Pieces for Body {
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>> {
        Box::pin(async move { self.0.chunk().await.map_err(|why| innermost(&why)) })
    }
}

/// The cause itself: `No such file or directory`, not `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
