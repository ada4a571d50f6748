//! The handle: starts the broker, lets connections in, takes the agent's own messages, shuts down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::counters::Counters;
use crate::door::Door;
use crate::hub::Hub;
use crate::retained::Owner;
use crate::{Limits, Peer, Rights, Tap, keeper, lock, sys};

/// How long the accept loop waits after an error (too many open files, say) before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After this much silence, and then at this distance, the kernel asks whether the other side is still there: for
/// clients without a keep-alive whose machine went away without a word.
const PROBE_AFTER: Duration = Duration::from_secs(120);
const PROBE_EVERY: Duration = Duration::from_secs(20);

/// What a broker is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What it may use.
    pub limits: Limits,
    /// A directory of its own for clients' retained messages; `None`: they end with the process.
    pub retained: Option<PathBuf>,
}

/// A running broker. Clones are handles to the same one.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    door: Arc<Door>,
    retained: Option<PathBuf>,
    damaged: Vec<String>,
    stop: watch::Sender<bool>,
    /// Each task has a clone: the channel ends with the last of them. `None` after a shutdown.
    alive: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Broker {
    /// Starts the broker without listening anywhere: reads the retained messages (which blocks for as long as the disk
    /// takes). Needs a tokio runtime with time and I/O.
    pub fn start(settings: Settings, rights: Arc<dyn Rights>, tap: Arc<dyn Tap>) -> Broker {
        let hub = Arc::new(Hub::new(settings.limits, rights, tap));
        let damaged = settings.retained.as_deref().map(|dir| keeper::restore(&hub, dir)).unwrap_or_default();
        let (alive, ended) = mpsc::channel(1);
        let shared = Shared {
            door: Door::new(hub.clone()),
            retained: settings.retained.clone(),
            damaged,
            stop: watch::channel(false).0,
            alive: Mutex::new(Some(alive)),
            ended: tokio::sync::Mutex::new(ended),
        };
        let broker = Broker { shared: Arc::new(shared) };
        broker.spawn(sys::refresh(hub.clone(), broker.shared.stop.subscribe()));
        if let Some(dir) = settings.retained {
            broker.spawn(keeper::keep(hub, dir, broker.shared.stop.subscribe()));
        }
        broker
    }

    /// Listens on TCP and serves clients until the shutdown. Returns the address bound (port 0 is allowed). May be
    /// called for several addresses.
    ///
    /// # Errors
    /// When the address cannot be bound (the caller may try again), and after a shutdown.
    pub async fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, io::Error> {
        if *self.shared.stop.borrow() {
            return Err(io::Error::other("the broker has been shut down"));
        }
        let listener = TcpListener::bind(addr).await?;
        let bound = listener.local_addr()?;
        let broker = self.clone();
        let mut stop = self.shared.stop.subscribe();
        self.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                match accepted {
                    Ok((stream, from)) => {
                        prepare(&stream);
                        broker.serve_stream(stream, Peer { address: Some(from), identity: None });
                    }
                    Err(error) => {
                        tracing::warn!(%error, %bound, "cannot accept an MQTT connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        Ok(bound)
    }

    /// Serves one client on a stream that is ready for MQTT. Returns at once; see `Limits::connections` for when there
    /// is no room.
    pub fn serve_stream<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_handshake(std::future::ready(Ok((stream, peer))));
    }

    /// Like [`Broker::serve_stream`], for a stream that has to be made ready first (TLS, a websocket): the handshake
    /// runs in the connection's own task, under the same deadline as CONNECT.
    pub fn serve_handshake<S>(&self, handshake: impl Future<Output = io::Result<(S, Peer)>> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(guest) = self.shared.door.knock() {
            let (door, stop) = (self.shared.door.clone(), self.shared.stop.subscribe());
            self.spawn(async move { door.serve(guest, handshake, stop).await });
        }
    }

    /// Publishes a message of the agent's own: past rights and tap, at once. With `retain` it is kept whatever the
    /// limits of the retained store, but not on disk; an empty payload clears.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>, qos: u8, retain: bool) {
        if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
            tracing::error!(topic, "cannot publish to what is no topic");
            return;
        }
        self.shared.door.hub.route(topic, payload.as_ref(), qos.min(2), retain, Owner::Agent);
    }

    /// What could not be read of the retained messages when the broker started: a sentence each, with file and line.
    pub fn damaged(&self) -> &[String] {
        &self.shared.damaged
    }

    /// What was counted until now.
    pub fn counters(&self) -> Counters {
        self.shared.door.hub.counters()
    }

    /// Stops listening, closes all connections (wills are published), waits until their tasks have ended, and writes
    /// retained messages that are not on disk yet.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        *lock(&self.shared.alive) = None;
        self.shared.ended.lock().await.recv().await;
        self.shared.door.hub.registry.clear();
        if let Some(dir) = &self.shared.retained
            && let Err(why) = keeper::flush(&self.shared.door.hub, dir).await
        {
            tracing::warn!("the last retained messages cannot be written into {}: {why}", dir.display());
        }
    }

    /// Runs a task that the shutdown waits for; after a shutdown, none.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(alive) = lock(&self.shared.alive).clone() else { return };
        // In a box, since a future that awaits another holds it twice: as what it was given, and as what it awaits.
        let task = Box::pin(task);
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }
}

/// Small packets go at once, and the kernel looks after connections that are silent.
fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).ok();
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&probes).ok();
}
