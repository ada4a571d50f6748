//! One exchange with the server: a request, and what came back. The only part that touches the network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;
use tokio::time::timeout;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::identity::{Pair, Roots};
use super::tls::{self, About, Time};
use super::trusted_time::http_date;
use super::wire::message::BASE;
use crate::model::time::Wall;
use crate::names::Lookups;

/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(20);
/// Without a byte of an answer. Also how a dead connection is noticed: neither HTTP/2 nor TCP sends anything only to know.
const SILENCE: Duration = Duration::from_secs(30);
/// For a message and its answer.
const EXCHANGE: Duration = Duration::from_secs(60);
/// For a configuration, which may be large on a slow line.
const CONFIGURATION: Duration = Duration::from_secs(300);
/// An idle connection is kept for the next period: a handshake costs as many bytes as two or three pairs.
const IDLE: Duration = Duration::from_secs(900);
/// How long the first exchange of a client may keep the connection's beginning to itself.
const OPENING: Duration = Duration::from_secs(3);
/// The largest configuration that is read.
pub const MAX_CONFIGURATION: usize = 8 * 1024 * 1024;
/// The largest answer of any other kind.
pub const MAX_ANSWER: usize = 64 * 1024;
/// Idle windows of HTTP/2 cost nothing; a configuration that comes at once costs this much.
const WINDOW: u32 = 256 * 1024;

static LOOKUPS: Lookups = Lookups::new();

/// Asks the system, as everybody on the device does.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = LOOKUPS.find(name.as_str()).await?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// What was sent and received, without the overhead of HTTP and TLS.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Exchanges begun.
    pub exchanges: AtomicU64,
    /// Exchanges without an answer.
    pub unanswered: AtomicU64,
    /// Connections that were given up with a client: one for each change of identity.
    pub clients: AtomicU64,
    /// Bytes of messages.
    pub sent: AtomicU64,
    /// Bytes of answers.
    pub received: AtomicU64,
}

/// Talks as one identity. A change of identity is a new client, so that no connection lives on with the old one.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    base: String,
    id: Arc<str>,
    roots: Arc<Roots>,
    time: Time,
    traffic: Arc<Traffic>,
    /// Whether the first exchange is over.
    opened: Arc<Mutex<bool>>,
}

/// Who is talked to, and by whom.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `SERVER`.
    pub server: String,
    /// The device id.
    pub id: Arc<str>,
    /// For certificates.
    pub time: Time,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// `data/{id}/out`.
    Post(Vec<u8>),
    /// `data/{id}/in`.
    Configuration,
    /// `control/{id}/in`.
    Control,
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Got {
    /// A status, with what was read of the body.
    Status {
        /// Of HTTP.
        status: u16,
        /// The body; all of it unless `cut` says why not.
        body: Bytes,
        /// Why the body is not whole.
        cut: Option<String>,
        /// The server's clock.
        date: Option<Wall>,
    },
    /// The request may have arrived; the connection ended without an answer.
    Aborted(String),
    /// No connection, or no answer in time.
    Unreachable(String),
}

impl Client {
    /// A client that talks to `peer` as `identity`.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(peer: &Peer, roots: Arc<Roots>, identity: &Pair, traffic: Arc<Traffic>) -> Result<Client, String> {
        let Peer { server, id, time } = peer.clone();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&roots, identity, &time)?)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .dns_resolver(Names)
            .pool_idle_timeout(IDLE)
            // Probes between two pairs were a third of an idle device's bytes, and the next pair notices as well.
            .tcp_keepalive(None)
            // Not before SILENCE, whose end is known for what it is.
            .tcp_user_timeout(EXCHANGE)
            // Headers and body are written one after the other: what follows waits for the answer to the GET and goes
            // with its acknowledgement, instead of in small segments of its own.
            .tcp_nodelay(false)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(WINDOW)
            .user_agent(concat!("flotta-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| format!("cannot prepare for {server}: {}", chain(&why)))?;
        traffic.clients.fetch_add(1, Relaxed);
        let base = format!("{}{BASE}", server.trim_end_matches('/'));
        Ok(Client { http, server, base, id, roots, time, traffic, opened: Arc::default() })
    }

    /// Asks, and reads the answer.
    pub async fn exchange(&self, request: Request) -> Got {
        // Only a connection that stands is known to carry several exchanges: a pair that begins with none would open two,
        // and pay for both handshakes. A server that does not answer the first one does not hold up the other for long.
        let first = timeout(OPENING, self.opened.lock()).await.ok().filter(|opened| !**opened);
        let got = self.ask(request).await;
        if let Some(mut opened) = first {
            *opened = true;
        }
        got
    }

    async fn ask(&self, request: Request) -> Got {
        let Client { base, id, .. } = self;
        let (most, within) = match request {
            Request::Configuration => (MAX_CONFIGURATION, CONFIGURATION),
            Request::Post(_) | Request::Control => (MAX_ANSWER, EXCHANGE),
        };
        self.traffic.exchanges.fetch_add(1, Relaxed);
        let request = match request {
            Request::Post(message) => {
                self.traffic.sent.fetch_add(message.len() as u64, Relaxed);
                let post = self.http.post(format!("{base}/data/{id}/out"));
                post.header(reqwest::header::CONTENT_TYPE, "application/json").body(message)
            }
            Request::Configuration => self.http.get(format!("{base}/data/{id}/in")),
            Request::Control => self.http.get(format!("{base}/control/{id}/in")),
        };
        let response = match request.timeout(within).send().await {
            Ok(response) => response,
            Err(why) => {
                self.traffic.unanswered.fetch_add(1, Relaxed);
                return self.unanswered(&why);
            }
        };
        let status = response.status().as_u16();
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| http_date(date.to_str().ok()?));
        let (body, cut) = read(response, most).await;
        self.traffic.received.fetch_add(body.len() as u64, Relaxed);
        Got::Status { status, body, cut, date }
    }

    fn unanswered(&self, why: &reqwest::Error) -> Got {
        if why.is_timeout() {
            let what = if why.is_connect() { "no connection" } else { "no answer" };
            return Got::Unreachable(format!("{what} in time"));
        }
        let Client { server, roots, time, .. } = self;
        let now = time.clocks();
        let explained = tls::explain(why, &About { server, roots, time: &time.lock(), now });
        let words = explained.map_or_else(|| chain(why), |explained| explained.sentence);
        if why.is_connect() || why.is_builder() { Got::Unreachable(words) } else { Got::Aborted(words) }
    }
}

async fn read(mut response: reqwest::Response, most: usize) -> (Bytes, Option<String>) {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > most => {
                return (body.freeze(), Some(format!("it is larger than {most} bytes")));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body.freeze(), None),
            Err(why) if why.is_timeout() => return (body.freeze(), Some("it did not come to its end in time".into())),
            Err(why) => return (body.freeze(), Some(format!("it breaks off ({})", chain(&why)))),
        }
    }
}

/// An error with what it came from, without the URL, which people know.
fn chain(why: &dyn std::error::Error) -> String {
    let mut words = Vec::new();
    let mut at = why.source();
    while let Some(cause) = at {
        let text = cause.to_string();
        // Each layer repeats what is below it.
        if !words.iter().any(|word: &String| word.contains(&text)) {
            words.push(text);
        }
        at = cause.source();
    }
    let text = words.pop().unwrap_or_else(|| why.to_string());
    // The number of the system's error says nothing to a person.
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
