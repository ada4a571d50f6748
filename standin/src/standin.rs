//! The handle that tests, benchmarks and the control API hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::authority::{Authority, Identity, Leaf};
use crate::connection::{ConnectionInfo, Counts};
use crate::exchange::{Exchange, Missed, Watch};
use crate::fault::{Fault, Operation};
use crate::options::{Approval, Error, Options, Protocols};
use crate::{clock::Clock, device::Device, serve, shared::Shared};

/// A Flotta server. Clones are the same server; it goes when the last one does.
#[derive(Clone)]
pub struct Standin(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Standin {
    /// Makes its certificates and listens.
    ///
    /// # Errors
    /// The address is taken, or there is no randomness for keys.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let wanted = options.listen;
        let listener = TcpListener::bind(wanted).await.map_err(|error| Error::Listen(wanted, error))?;
        let address = listener.local_addr().map_err(|error| Error::Listen(wanted, error))?;
        let shared = Arc::new(Shared::new(options)?);
        let task = Mutex::new(Some(tokio::spawn(serve::listen(Arc::clone(&shared), listener))));
        Ok(Self(Arc::new(Running { shared, address, task })))
    }

    /// Stops listening and drops all connections: whoever connects is refused. State and certificates stay.
    pub async fn stop(&self) {
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            let _aborted = task.await;
        }
    }

    /// Listens again on the same port, with the same state. Stops first, if it was running.
    ///
    /// # Errors
    /// Somebody else has taken the port meanwhile.
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await;
        self.shared().renew_tls(None, None)?;
        let address = self.0.address;
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen(address, error))?;
        let task = tokio::spawn(serve::listen(Arc::clone(self.shared()), listener));
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// `https://` and the address: what a device is told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.0.address)
    }

    /// The authorities that the server trusts, oldest first, in one PEM file.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.shared().authorities().iter().map(|authority| authority.pem()).collect()
    }

    /// The registration certificate and its key.
    #[must_use]
    pub fn registration_pem(&self) -> (String, String) {
        let Identity { certificate, key } = self.shared().registration.clone();
        (certificate, key)
    }

    /// A client certificate of any kind, signed by the server's authority.
    ///
    /// # Errors
    /// No randomness for the key.
    pub fn identity(&self, leaf: &Leaf) -> Result<Identity, Error> {
        self.shared().authority().identity(leaf)
    }

    /// A second authority signs from now on, the server's own certificate first; clients of both are accepted, and
    /// [`Standin::ca_pem`] has both. Connections that exist stay.
    ///
    /// # Errors
    /// No randomness for the keys.
    pub fn rotate_authority(&self) -> Result<(), Error> {
        self.shared().rotate()
    }

    /// A new certificate for the server, good for a year from the server's time. The real one is renewed by nobody
    /// but an administrator (API §1).
    ///
    /// # Errors
    /// No randomness for the key.
    pub fn renew_server_certificate(&self) -> Result<(), Error> {
        self.shared().renew_tls(None, Some(self.shared().clock.now()))
    }

    /// Only the newest authority counts from the next connection on.
    pub fn forget_old_authorities(&self) {
        self.shared().forget();
    }

    /// The authority that signs now.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        self.shared().authority()
    }

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared().clock.clone()
    }

    /// How long certificates live that are issued from now on.
    pub fn set_certificate_lifetime(&self, lifetime: Duration) {
        self.shared().set_lifetime(lifetime);
    }

    /// What is offered by ALPN to connections from now on.
    ///
    /// # Errors
    /// No randomness for the server's new key.
    pub fn set_protocols(&self, protocols: Protocols) -> Result<(), Error> {
        self.shared().renew_tls(Some(protocols), None)
    }

    /// How devices are approved that enrol from now on.
    pub fn set_approval(&self, approval: Approval) {
        self.shared().cluster().approval = approval;
    }

    /// Changes the EdgeDevice, made if it is not there; its version moves.
    pub fn set_device(&self, id: &str, change: impl FnOnce(&mut Device)) {
        let mut cluster = self.shared().cluster();
        let device = cluster.device_or_new(id);
        change(device);
        device.reassign();
        let namespace = cluster.namespace_of(id);
        cluster.touched(id, &namespace);
    }

    /// `configuration` of a device (API §4.1), which moves its version. Anything but an object is an empty one.
    pub fn set_configuration(&self, id: &str, configuration: Value) {
        let configuration = if let Value::Object(fields) = configuration { fields } else { <_>::default() };
        self.set_device(id, |device| device.configuration = configuration);
    }

    /// The workloads of a device (API §4.2, see [`Device::workloads`]): an array. The version moves if other names are
    /// assigned, and does not if only a workload is edited (API §4).
    pub fn set_workloads(&self, id: &str, workloads: Value) {
        let workloads = if let Value::Array(all) = workloads { all } else { Vec::new() };
        let mut cluster = self.shared().cluster();
        if cluster.device_or_new(id).assign(workloads) {
            let namespace = cluster.namespace_of(id);
            cluster.touched(id, &namespace);
        }
    }

    /// A Secret in a namespace, or none. No version moves.
    pub fn set_secret(&self, namespace: &str, name: &str, keys: Option<BTreeMap<String, String>>) {
        let key = (namespace.to_owned(), name.to_owned());
        let secrets = &mut self.shared().cluster().secrets;
        match keys {
            Some(keys) => secrets.insert(key, keys),
            None => secrets.remove(&key),
        };
    }

    /// A ConfigMap in a namespace (an object with `data`, `binaryData` or both), or none. No version moves.
    pub fn set_config_map(&self, namespace: &str, name: &str, map: Option<Value>) {
        let key = (namespace.to_owned(), name.to_owned());
        let maps = &mut self.shared().cluster().config_maps;
        match map {
            Some(map) => maps.insert(key, map),
            None => maps.remove(&key),
        };
    }

    /// As if the device had enrolled, into `default`.
    pub fn enrol(&self, id: &str) {
        self.shared().cluster().enrol(id, "default");
    }

    /// Approves a device that has enrolled. False if there is no such request.
    #[must_use]
    pub fn approve(&self, id: &str) -> bool {
        self.shared().cluster().approve(id)
    }

    /// Deletes the device and its signed request (API §3.5). False if there was neither.
    pub fn delete(&self, id: &str) -> bool {
        self.shared().cluster().delete(id)
    }

    /// The device as it is now.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<Device> {
        let cluster = self.shared().cluster();
        cluster.device(id, &cluster.namespace_of(id)).cloned()
    }

    /// All devices there are.
    #[must_use]
    pub fn devices(&self) -> Vec<String> {
        self.shared().cluster().ids()
    }

    /// A fault that is to happen with an operation; several happen one after the other. `Operation::Other`: with any.
    pub fn fault(&self, operation: Operation, fault: Fault) {
        self.shared().faults().add(operation, fault);
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.shared().faults().clear();
    }

    /// How many faults are still to happen; one for ever counts once.
    #[must_use]
    pub fn pending_faults(&self) -> usize {
        self.shared().faults().pending()
    }

    /// The next exchange that fits, from now on. Where something might happen before this is called: [`Standin::watch`].
    ///
    /// # Errors
    /// None came before the deadline of the options.
    pub async fn wait_for(&self, fits: impl Fn(&Exchange) -> bool) -> Result<Arc<Exchange>, Missed> {
        self.watch().next(fits).await
    }

    /// A place in the log, here and now.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let log = Arc::clone(&self.shared().log);
        Watch { next: log.count(), log, deadline: self.shared().options.deadline }
    }

    /// The exchanges that are kept, oldest first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.shared().log.since(0)
    }

    /// How many exchanges there were, also those that are no longer kept.
    #[must_use]
    pub fn exchange_count(&self) -> u64 {
        self.shared().log.count()
    }

    /// The connections that are remembered, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared().connections.all()
    }

    /// Connections and handshakes since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared().connections.counts()
    }

    /// Why handshakes failed, in rustls' words.
    #[must_use]
    pub fn handshake_failures(&self) -> Vec<String> {
        self.shared().connections.failures()
    }

    /// What a device's configuration is now, as the next GET would have it; null where there is none.
    #[must_use]
    pub fn content(&self, id: &str) -> Value {
        let mut cluster = self.shared().cluster();
        let namespace = cluster.namespace_of(id);
        crate::assemble::content(&mut cluster, id, &namespace).unwrap_or(json!(null))
    }
}
