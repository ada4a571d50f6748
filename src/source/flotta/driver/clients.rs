//! Which certificate an exchange is made with, and the client that has it.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::client::{Client, Peer, Traffic};
use super::super::identity::{Pair, Roots, Store};
use super::super::session::Exchange;
use super::super::trusted_time::Origin;
use crate::config::Server;

/// The files that the user gives us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// `CA_ROOT`.
    pub ca_root: Option<PathBuf>,
    /// `CERT`.
    pub cert: Option<PathBuf>,
    /// `KEY`.
    pub key: Option<PathBuf>,
}

impl Files {
    /// As they are configured.
    #[must_use]
    pub fn of(server: &Server) -> Files {
        let Server { ca_root, cert, key, .. } = server.clone();
        Files { ca_root, cert, key }
    }

    /// What is wrong with those that are there, in sentences.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let there = |path: &Option<PathBuf>| path.clone().filter(|path| path.exists());
        let roots = there(&self.ca_root).and_then(|path| Roots::read(&path).err());
        let pair =
            there(&self.cert).zip(there(&self.key)).and_then(|(cert, key)| Pair::registration(&cert, &key).err());
        roots.into_iter().chain(pair).collect()
    }
}

pub(super) struct Clients {
    peer: Peer,
    files: Files,
    traffic: Arc<Traffic>,
    /// With the generation of its pair.
    device: Option<(u64, Client)>,
}

impl Clients {
    pub fn new(peer: Peer, files: Files, traffic: Arc<Traffic>) -> Clients {
        Clients { peer, files, traffic, device: None }
    }

    /// Whether a file that is configured and needed now is not there: it may appear.
    pub fn lacks(&self, store: &Store) -> bool {
        let missing = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| !path.exists());
        let own = store.current().is_some() || store.candidate().is_some();
        missing(&self.files.ca_root) || (!own && (missing(&self.files.cert) || missing(&self.files.key)))
    }

    /// Connections are made anew, with the files as they are then.
    pub fn forget(&mut self) {
        self.device = None;
    }

    /// The client for an exchange. `proving`: with the newest certificate, which has not worked yet.
    ///
    /// # Errors
    /// What is missing or wrong, in a sentence.
    pub fn client(&mut self, exchange: Exchange, store: &Store, proving: bool) -> Result<Client, String> {
        match exchange {
            Exchange::Enrol | Exchange::Register => self.of_registration(store),
            Exchange::Renew | Exchange::Get | Exchange::Heartbeat | Exchange::Control => self.of_device(store, proving),
        }
    }

    fn of_registration(&mut self, store: &Store) -> Result<Client, String> {
        // An exchange or two in a life: the files may have changed since the last one.
        let pair = match (&self.files.cert, &self.files.key) {
            (Some(cert), Some(key)) => Pair::registration(cert, key),
            (None, _) => Err("CERT is not set: it names the registration certificate of the server".into()),
            (_, None) => Err("KEY is not set: it names the key that belongs to CERT".into()),
        };
        match pair {
            Ok(pair) => {
                self.peer.time.lock().not_before(pair.certificate().not_before, Origin::Registration);
                self.made(&pair)
            }
            // The server takes a certificate of its own making as well.
            Err(why) => self.of_device(store, false).map_err(|_| why),
        }
    }

    fn of_device(&mut self, store: &Store, proving: bool) -> Result<Client, String> {
        let issued = match proving {
            true => store.candidate().or(store.current()),
            false => store.current().or(store.candidate()),
        };
        let issued = issued.ok_or("this device has no certificate of its own")?;
        if let Some((generation, client)) = &self.device
            && *generation == issued.generation
        {
            return Ok(client.clone());
        }
        if let Some(floor) = issued.floor() {
            self.peer.time.lock().not_before(floor, Origin::Device);
        }
        let client = self.made(&issued.pair)?;
        self.device = Some((issued.generation, client.clone()));
        Ok(client)
    }

    fn made(&self, pair: &Pair) -> Result<Client, String> {
        let path = self.files.ca_root.as_ref();
        let path = path.ok_or("CA_ROOT is not set: it names the CA that signed the server's certificate")?;
        let roots = Roots::read(path)?;
        if let Some(begin) = roots.not_before() {
            self.peer.time.lock().not_before(begin, Origin::Ca);
        }
        Client::new(&self.peer, Arc::new(roots), pair, self.traffic.clone())
    }
}
