//! The control API: what a person or a script changes in a running stand-in, over plain HTTP with JSON.

mod requests;

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::options::Error;
use crate::standin::Standin;

const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// What a request to the control API comes to: JSON, or a status with a reason.
pub(crate) type Said = Result<Value, (u16, String)>;

/// The control API of a stand-in. Whoever reaches it may do anything: loopback only.
pub struct Control {
    listener: TcpListener,
    address: SocketAddr,
    server: Standin,
}

impl Control {
    /// Listens; [`Control::serve`] answers.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn bind(server: Standin, address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen(address, error))?;
        let address = listener.local_addr().map_err(|error| Error::Listen(address, error))?;
        Ok(Self { listener, address, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                taken = self.listener.accept() => {
                    let Ok((stream, _)) = taken else { continue };
                    let server = self.server.clone();
                    let service = service_fn(move |request| answer(server.clone(), request));
                    connections.spawn(async move {
                        let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

async fn answer(server: Standin, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let said = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => requests::obey(&server, head.method.as_str(), head.uri.path(), &body.to_bytes()).await,
        Err(error) => Err((400, format!("the body did not arrive: {error}"))),
    };
    let (status, value) = match said {
        Ok(value) => (200, value),
        Err((status, why)) => (status, json!({"error": why})),
    };
    let text = serde_json::to_string_pretty(&value).unwrap_or_default() + "\n";
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
