//! The way in: a place for each connection, and what happens until CONNACK.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Duration, Instant, timeout};

use crate::Peer;
use crate::connect::{self, Refused};
use crate::connection::Connection;
use crate::counters::Refusal;
use crate::hub::Hub;
use crate::places::{Place, Places};
use crate::presence::Presence;
use crate::session::Session;
use crate::wire::Wire;

/// How long a refused client may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct Door {
    pub hub: Arc<Hub>,
    permits: Arc<Semaphore>,
    /// Those who have not said CONNECT yet.
    strangers: Arc<Places>,
}

/// One who may come in.
pub(crate) struct Guest {
    /// `None`: that of a stranger who was turned out, as soon as it has left.
    permit: Option<OwnedSemaphorePermit>,
    place: Place,
}

impl Door {
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(hub.limits.connections.min(Semaphore::MAX_PERMITS)));
        let strangers = Places::new(hub.limits.connections);
        Arc::new(Door { hub, permits, strangers })
    }

    /// One more connection. When there is no room, the stranger who has been here longest goes: one that means to say
    /// CONNECT does so at once. If there is none, there is no room.
    pub fn knock(&self) -> Option<Guest> {
        let permit = self.permits.clone().try_acquire_owned().ok();
        if permit.is_none() && !self.strangers.turn_out_oldest() {
            self.hub.counters.refuse(Refusal::Connections);
            return None;
        }
        Some(Guest { permit, place: self.strangers.enter() })
    }

    /// One connection, from the handshake on.
    pub async fn serve<S>(
        self: Arc<Self>,
        guest: Guest,
        handshake: impl Future<Output = io::Result<(S, Peer)>>,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Guest { permit, place } = guest;
        let deadline = self.hub.limits.connect_deadline;
        let shutdown = stop.clone();
        let welcome = async {
            let permit = match permit {
                Some(permit) => permit,
                None => self.permits.clone().acquire_owned().await.ok()?,
            };
            Some((permit, self.welcome(handshake, shutdown).await?))
        };
        let welcome = tokio::select! {
            welcome = timeout(deadline, welcome) => welcome,
            () = place.turned_out.notified() => return self.hub.counters.refuse(Refusal::Connections),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        drop(place);
        match welcome {
            Ok(Some((permit, connection))) => {
                let client = connection.client();
                let end = connection.run().await;
                tracing::debug!(client = client.as_ref().map(|client| &*client.id), ?end, "client left");
                drop(permit);
            }
            Ok(None) => {}
            Err(_) => self.hub.counters.refuse(Refusal::ConnectDeadline),
        }
    }

    /// From the handshake to CONNACK.
    async fn welcome<S>(
        &self,
        handshake: impl Future<Output = io::Result<(S, Peer)>>,
        shutdown: watch::Receiver<bool>,
    ) -> Option<Box<Connection<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hub = &self.hub;
        let (stream, peer) = handshake.await.ok()?;
        let mut wire = Wire::new(stream);
        let connect = match connect::read(&mut wire, peer, &hub.limits, &*hub.rights, &hub.large).await {
            Ok(connect) => connect,
            Err(Refused::Io) => return None,
            Err(Refused::For(why)) => {
                tracing::debug!(why = why.as_str(), "MQTT connection refused");
                hub.counters.refuse(why);
                timeout(FAREWELL, wire.finish()).await.ok();
                return None;
            }
        };
        let client = connect.client;
        let place = hub.registry.claim(&client.id).await;
        // From here on nothing waits: what was parked is not lost when this is dropped.
        let parked = hub.registry.unpark(&client.id).filter(|_| !connect.clean);
        let present = parked.is_some();
        let mut session = parked.unwrap_or_else(|| Session::new(client.clone(), connect.clean, hub.clone()));
        wire.out.put_slice(&[0x20, 2, u8::from(present), 0]);
        tracing::debug!(client = %client.id, clean = connect.clean, "client connected");
        session.resume(client, &mut wire.out);
        hub.counters.connected();
        let presence =
            Presence { hub: hub.clone(), session: Some(session), will: connect.will, place, since: Instant::now() };
        // In a box: see `Broker::spawn`.
        Some(Box::new(Connection::new(wire, presence, connect.silence, shutdown)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;
    use crate::rights::tests::Everybody;
    use crate::{Limits, rights::tests::Nowhere};

    #[tokio::test]
    async fn a_connection_that_is_silent_costs_little() {
        let hub = Hub::new(Limits::default(), Arc::new(Everybody), Arc::new(Nowhere));
        let door = Door::new(Arc::new(hub));
        let guest = door.knock().unwrap();
        let handshake = std::future::pending::<io::Result<(TcpStream, Peer)>>();
        let (_stop, stopped) = watch::channel(false);
        let task = door.serve(guest, handshake, stopped);
        assert!(size_of_val(&task) < 4096, "{} bytes", size_of_val(&task));
    }
}
