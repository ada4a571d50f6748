//! The listener and its connections: one task each, all gone when the listener's task goes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answer::Sending;
use crate::connection::Connection;
use crate::handle::{Aborted, handle};
use crate::meter::{Meter, Metered};
use crate::shared::Shared;

/// A client that does not finish its handshake does not stay.
const HANDSHAKE: Duration = Duration::from_secs(30);

type Answering = Pin<Box<dyn Future<Output = Result<Response<Sending>, Aborted>> + Send>>;

/// Takes connections until it is aborted, which drops them all.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            taken = listener.accept() => {
                let Ok((stream, _)) = taken else { continue };
                shared.connections.accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection(Arc::clone(&shared), stream));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Marks a connection as closed, however its task ends.
struct Open(Arc<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Relaxed);
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let (wire, plain) = (Arc::new(Meter::default()), Arc::new(Meter::default()));
    let _unused = stream.set_nodelay(true);
    let accept = TlsAcceptor::from(shared.tls()).accept(Metered::new(stream, Arc::clone(&wire)));
    let stream = match tokio::time::timeout(HANDSHAKE, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return shared.connections.refused(error.to_string()),
        Err(_) => return shared.connections.refused("the handshake took too long".to_owned()),
    };
    let session = stream.get_ref().1;
    let client = shared.read(session.peer_certificates().unwrap_or_default());
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let h2 = session.alpn_protocol() == Some(b"h2");
    let protocol = if h2 { "h2" } else { "http/1.1" };
    let open = Open(shared.connections.open(client, protocol, resumed, (wire, Arc::clone(&plain))));
    let io = TokioIo::new(Metered::new(stream, plain));
    let record = Arc::clone(&open.0);
    let service = service_fn(move |request: hyper::Request<Incoming>| -> Answering {
        Box::pin(handle(Arc::clone(&shared), Arc::clone(&record), request))
    });
    if h2 {
        // An aborted stream is reset with INTERNAL_ERROR, and the connection goes on, as Go does it.
        let _ended = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
        return;
    }
    let mut http = http1::Builder::new().title_case_headers(true).serve_connection(io, service);
    let ended = poll_fn(|cx| http.poll_without_shutdown(cx)).await;
    // A panic of the real server ends TLS properly; a cut does not.
    let user = ended.as_ref().is_err_and(|error| error.is_user());
    if ended.is_ok() || user {
        let _gone = http.into_parts().io.into_inner().shutdown().await;
    }
}
