//! Who is here, by client id, and the sessions of those who will come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use crate::lock;
use crate::session::Session;

#[derive(Default)]
pub(crate) struct Registry {
    here: Mutex<HashMap<Arc<str>, Entry>>,
    /// At most `Limits::parked_sessions`.
    parked: Mutex<HashMap<Arc<str>, Session>>,
}

struct Entry {
    leave: Arc<Notify>,
    gone: watch::Receiver<()>,
}

/// A client id that is ours until this is dropped.
pub(crate) struct Place {
    client: Arc<str>,
    registry: Arc<Registry>,
    /// Notified when another connection claims the same id.
    pub leave: Arc<Notify>,
    _gone: watch::Sender<()>,
}

impl Registry {
    /// Takes a client id; a connection that has it is told to leave, and has left when this returns.
    pub async fn claim(self: &Arc<Self>, client: &Arc<str>) -> Place {
        loop {
            let mut gone = {
                let mut here = lock(&self.here);
                match here.get(client) {
                    None => {
                        let (sender, gone) = watch::channel(());
                        let leave = Arc::new(Notify::new());
                        here.insert(client.clone(), Entry { leave: leave.clone(), gone });
                        return Place { client: client.clone(), registry: self.clone(), leave, _gone: sender };
                    }
                    Some(entry) => {
                        entry.leave.notify_one();
                        entry.gone.clone()
                    }
                }
            };
            // Nothing is ever sent: this ends when the other side is dropped.
            while gone.changed().await.is_ok() {}
        }
    }

    /// Keeps a session for when its client is back. Returns one that had to go for it: one with nothing in it, else that
    /// of the client that was connected for the shortest time, so that clients which come by once do not push out
    /// those that stay.
    pub fn park(&self, session: Session, limit: usize) -> Option<Session> {
        let mut parked = lock(&self.parked);
        parked.insert(session.client.id.clone(), session);
        if parked.len() <= limit {
            return None;
        }
        let least =
            parked.iter().min_by_key(|(_, session)| (!session.is_empty(), session.served)).map(|(id, _)| id.clone())?;
        parked.remove(&least)
    }

    /// The session that was kept for this client.
    pub fn unpark(&self, client: &str) -> Option<Session> {
        lock(&self.parked).remove(client)
    }

    /// Sessions that are kept.
    pub fn parked(&self) -> usize {
        lock(&self.parked).len()
    }

    /// Forgets all kept sessions.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *lock(&self.parked));
        drop(all);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.registry.here).remove(&self.client);
    }
}
