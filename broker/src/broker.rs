//! The handle: starts the broker, lets connections in, takes the agent's own messages, shuts down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::connect::{self, Refused};
use crate::connection::{Connection, Presence};
use crate::counters::{Counters, Refusal};
use crate::fanout::Fanout;
use crate::hub::Hub;
use crate::registry::Registry;
use crate::session::Session;
use crate::wire::Wire;
use crate::{Core, Limits, Rights, StartError, Tap, lock};

/// How long the accept loop waits after an error (too many open files, say) before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a refused client may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running broker. Clones are handles to the same one.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    hub: Arc<Hub>,
    registry: Arc<Registry>,
    permits: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    /// Each task has a clone: the channel ends with the last of them. `None` after a shutdown.
    alive: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Broker {
    /// Starts the message router (a thread) without listening anywhere. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// When the system gives no thread for the router.
    pub fn start(limits: Limits, rights: Arc<dyn Rights>, tap: Arc<dyn Tap>) -> Result<Broker, StartError> {
        let fanout = Core::start(&limits)?;
        let permits = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let (alive, ended) = mpsc::channel(1);
        let shared = Shared {
            hub: Arc::new(Hub::new(limits, fanout, rights, tap)),
            registry: Arc::default(),
            permits,
            stop: watch::channel(false).0,
            alive: Mutex::new(Some(alive)),
            ended: tokio::sync::Mutex::new(ended),
        };
        Ok(Broker { shared: Arc::new(shared) })
    }

    /// Listens on TCP and serves clients until the shutdown. Returns the address bound (port 0 is allowed). May be
    /// called for several addresses.
    ///
    /// # Errors
    /// When the address cannot be bound; the caller may try again.
    pub async fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, io::Error> {
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
                    Ok((stream, _)) => {
                        stream.set_nodelay(true).ok();
                        broker.serve_stream(stream);
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

    /// Serves one client on a stream that is ready for MQTT. Returns at once; beyond `Limits::connections` the stream
    /// is closed and counted.
    pub fn serve_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_handshake(std::future::ready(Ok(stream)));
    }

    /// Like [`Broker::serve_stream`], for a stream that has to be made ready first (TLS, a websocket): the handshake
    /// runs in the connection's own task, under the same deadline as CONNECT.
    pub fn serve_handshake<S>(&self, handshake: impl Future<Output = io::Result<S>> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = self.shared.permits.clone().try_acquire_owned() else {
            self.shared.hub.counters.refuse(Refusal::Connections);
            return;
        };
        let shared = self.shared.clone();
        self.spawn(async move {
            // Subscribed before the stop is looked at: one that comes in between is seen.
            let stop = shared.stop.subscribe();
            if !*stop.borrow() {
                shared.serve(handshake, stop).await;
            }
            drop(permit);
        });
    }

    /// Publishes a message of the agent's own: past rights and tap, at once, never lost and never reordered on its way
    /// into the router. With `retain` it is kept whatever the limits of the retained store; an empty payload clears.
    pub fn publish(&self, topic: &str, payload: Bytes, qos: u8, retain: bool) {
        if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
            tracing::error!(topic, "cannot publish to what is no topic");
            return;
        }
        self.shared.hub.route(topic, &payload, qos.min(2), retain, None);
    }

    /// What was counted until now.
    pub fn counters(&self) -> Counters {
        self.shared.hub.counters()
    }

    /// Stops listening, closes all connections (wills are published) and waits until their tasks have ended. The
    /// router's thread cannot be ended: it stays, parked, until the process ends.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        *lock(&self.shared.alive) = None;
        self.shared.ended.lock().await.recv().await;
        self.shared.registry.clear();
        self.shared.hub.fanout.stop();
    }

    /// Runs a task that the shutdown waits for; after a shutdown, none.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(alive) = lock(&self.shared.alive).clone() else { return };
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }
}

impl Shared {
    /// One connection, from the handshake on.
    async fn serve<S>(&self, handshake: impl Future<Output = io::Result<S>>, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.hub.limits;
        let welcome = tokio::select! {
            welcome = tokio::time::timeout(limits.connect_deadline, self.welcome(handshake, stop.clone())) => welcome,
            _ = stop.changed() => return,
        };
        match welcome {
            Ok(Some(connection)) => {
                let client = connection.presence.session.as_ref().map(|session| session.client.clone());
                let end = connection.run().await;
                tracing::debug!(client = client.as_deref(), ?end, "client left");
            }
            Ok(None) => {}
            Err(_) => self.hub.counters.refuse(Refusal::ConnectDeadline),
        }
    }

    /// From the handshake to CONNACK.
    async fn welcome<S>(
        &self,
        handshake: impl Future<Output = io::Result<S>>,
        shutdown: watch::Receiver<bool>,
    ) -> Option<Connection<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut wire = Wire::new(handshake.await.ok()?);
        let connect = match connect::read(&mut wire, &self.hub.limits).await {
            Ok(connect) => connect,
            Err(Refused::Io) => return None,
            Err(Refused::For(why)) => {
                tracing::debug!(why = why.as_str(), "MQTT connection refused");
                self.hub.counters.refuse(why);
                tokio::time::timeout(FAREWELL, wire.finish()).await.ok();
                return None;
            }
        };
        let place = self.registry.claim(&connect.client).await;
        let parked = self.registry.unpark(&connect.client).filter(|_| !connect.clean);
        let present = parked.is_some();
        let mut session =
            parked.unwrap_or_else(|| Session::new(connect.client.clone(), connect.clean, self.hub.clone()));
        wire.out.put_slice(&[0x20, 2, u8::from(present), 0]);
        session.resume(&mut wire.out);
        self.hub.counters.connections.fetch_add(1, Relaxed);
        self.hub.counters.connections_total.fetch_add(1, Relaxed);
        tracing::debug!(client = %connect.client, clean = connect.clean, "client connected");
        let presence = Presence {
            hub: self.hub.clone(),
            registry: self.registry.clone(),
            session: Some(session),
            will: connect.will,
            place,
        };
        Some(Connection { wire, presence, silence: connect.silence, shutdown })
    }
}
