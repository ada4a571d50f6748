//! The listener: bounded connections, a deadline for the request's head, and a port that is taken is tried again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::board::Board;
use crate::model::problem::Problem;

/// Connections at once; further ones wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// Binds; a port that is taken is said and tried again, and meanwhile everything else goes on.
pub async fn bind(address: SocketAddr, board: &Board) -> (TcpListener, SocketAddr) {
    loop {
        let bound = TcpListener::bind(address).await.and_then(|listener| {
            let at = listener.local_addr()?;
            Ok((listener, at))
        });
        match bound {
            Ok(bound) => {
                board.set_problems("http.listen", Vec::new());
                return bound;
            }
            Err(why) => board.set_problems(
                "http.listen",
                vec![Problem::new(
                    "http.listen",
                    format!(
                        "HTTP cannot listen on {address}: {why}; stop what listens there or set http.listen to another port; tried again every {} s",
                        RETRY.as_secs()
                    ),
                )],
            ),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Serves, for ever.
pub async fn serve(listener: TcpListener, router: Router) {
    serve_each(MAX_CONNECTIONS, Tcp { listener, router }).await;
}

/// Where connections come from, each with the router that answers it.
pub(super) trait Door: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Router)>> + Send;
}

struct Tcp {
    listener: TcpListener,
    router: Router,
}

impl Door for Tcp {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Router)> {
        let (stream, _) = self.listener.accept().await?;
        // Without it an answer may wait 40 ms for the peer's acknowledgement; a socket that cannot have it still works.
        let _ = stream.set_nodelay(true);
        Ok((stream, self.router.clone()))
    }
}

/// Serves whatever comes, `most` connections at once.
pub(super) async fn serve_each(most: usize, door: impl Door) {
    let permits = Arc::new(Semaphore::new(most));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let (stream, router) = match door.accept().await {
            Ok(accepted) => accepted,
            Err(why) => {
                // Out of file descriptors, mostly: give others time to close theirs.
                tracing::warn!("cannot accept an HTTP connection: {why}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router);
        tokio::spawn(async move {
            let _permit = permit;
            // How a connection ends is its peer's affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
