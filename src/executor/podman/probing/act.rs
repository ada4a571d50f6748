//! Doing what a probe or a hook says, once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::executor::Handle;
use crate::executor::podman::Inner;
use crate::executor::podman::client::ApiError;
use crate::model::pod::{Hook, HttpAction, ProbeAction};
use crate::names::Lookups;
use crate::probes::{Failure, door, grpc, http, words};

static LOOKUPS: Lookups = Lookups::new();

/// Whom it is done to.
#[derive(Clone, Debug)]
pub(super) struct Whom {
    pub(super) handle: Handle,
    pub(super) container: String,
    pub(super) pid: i64,
    pub(super) host_network: bool,
}

/// Does what a probe says; the error: why that is no success.
pub(super) async fn probe(
    inner: &Arc<Inner>,
    whom: &Whom,
    action: &ProbeAction,
    within: Duration,
) -> Result<(), Failure> {
    match action {
        ProbeAction::Exec(command) => exec(inner, whom, command, within).await,
        ProbeAction::Http(ask) => http_get(inner, whom, ask, within).await,
        ProbeAction::Tcp { host, port } => {
            let connected = connect(inner, whom, host.as_deref(), *port);
            bounded(&format!("port {port}"), within, async { connected.await.map(drop) }).await
        }
        ProbeAction::Grpc { port, service } => {
            let asked = async {
                let stream = connect(inner, whom, None, *port).await?;
                grpc::ask(stream, &format!("localhost:{port}"), service).await.map_err(Failure::of)
            };
            bounded(&format!("gRPC on port {port}"), within, asked).await
        }
    }
}

/// Does what a hook says.
pub(super) async fn hook(inner: &Arc<Inner>, whom: &Whom, hook: &Hook, within: Duration) -> Result<(), Failure> {
    match hook {
        Hook::Exec(command) => exec(inner, whom, command, within).await,
        Hook::Http(ask) => http_get(inner, whom, ask, within).await,
        Hook::Sleep(length) => {
            tokio::time::sleep((*length).min(within)).await;
            Ok(())
        }
    }
}

async fn bounded(what: &str, within: Duration, done: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    match timeout(within, done).await {
        Ok(done) => done.map_err(|failed| Failure { why: format!("{what}: {}", failed.why), ..failed }),
        Err(_) => Err(Failure::of(format!("{what}: no answer within {} s", within.as_secs()))),
    }
}

async fn exec(inner: &Arc<Inner>, whom: &Whom, command: &[String], within: Duration) -> Result<(), Failure> {
    // Not its arguments: they may be long, and secret.
    let what = format!("exec {}", command.first().map(String::as_str).unwrap_or_default());
    let podman = |why: ApiError| match why {
        ApiError::Unreachable(why) => Failure::own(format!("{what}: podman cannot be asked: {why}")),
        ApiError::Refused(_, why) => Failure::of(format!("{what}: {why}")),
    };
    let session = inner.client.new_exec(&whom.container, command).await.map_err(podman)?;
    if let Some(ran) = inner.client.run_exec(&session, within).await.map_err(podman)? {
        return ran.well().map_err(|why| Failure::of(format!("{what}: {why}")));
    }
    if let Err(why) = inner.client.end_exec(whom.pid, &session).await {
        tracing::debug!(container = whom.container, %why, "a command that took too long may still run");
    }
    Err(Failure::of(format!("{what}: not done within {} s", within.as_secs())))
}

async fn http_get(inner: &Arc<Inner>, whom: &Whom, ask: &HttpAction, within: Duration) -> Result<(), Failure> {
    // The query may be secret.
    let path = ask.path.split('?').next().unwrap_or_default();
    let what = format!("GET {} on port {}", path, ask.port);
    let asked = async {
        let stream = connect(inner, whom, ask.host.as_deref(), ask.port).await?;
        let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
        let host = ask.host.as_deref().unwrap_or(&peer);
        http::ask(stream, &http::Ask { tls: ask.tls, host, port: ask.port, path: &ask.path, headers: &ask.headers })
            .await
            .map_err(Failure::of)
    };
    bounded(&what, within, asked).await
}

/// To a host that is named, from the device; else to the pod: on the device's own network, by its address, or from within.
async fn connect(inner: &Arc<Inner>, whom: &Whom, host: Option<&str>, port: u16) -> Result<TcpStream, Failure> {
    let to =
        |address: SocketAddr| async move { TcpStream::connect(address).await.map_err(|why| Failure::of(words(&why))) };
    match host {
        Some(host) => {
            let failed = |why: std::io::Error| Failure::of(format!("{host}: {}", words(&why)));
            let found = LOOKUPS.find(host).await.map_err(failed)?;
            let addresses: Vec<SocketAddr> = found.into_iter().map(|address| (address, port).into()).collect();
            TcpStream::connect(addresses.as_slice()).await.map_err(failed)
        }
        None if whom.host_network => to((Ipv4Addr::LOCALHOST, port).into()).await,
        None => match address(inner, &whom.handle).await? {
            Some(address) => to((address, port).into()).await,
            None => door::through(&inner.setting.shim, whom.pid, port).await,
        },
    }
}

/// The pod's address that the device itself reaches; `None`: there is none.
async fn address(inner: &Inner, handle: &Handle) -> Result<Option<IpAddr>, Failure> {
    if inner.setting.user.is_some() {
        return Ok(None);
    }
    let infra = {
        let state = inner.table.lock();
        let infra = state.pods.get(handle).and_then(|entry| entry.pod.infra.as_ref());
        let Some(infra) = infra.map(|infra| (infra.id.clone(), infra.pid)) else { return Ok(None) };
        if let Some((known, address)) = state.addresses.get(handle)
            && *known == infra
        {
            return Ok(*address);
        }
        infra
    };
    let asked = inner.client.addresses(&infra.0).await;
    let address = asked.map_err(|why| Failure::own(format!("the pod's address cannot be asked for: {why}")))?;
    let mut state = inner.table.lock();
    if state.pods.contains_key(handle) {
        state.addresses.insert(handle.clone(), (infra, address));
    }
    Ok(address)
}
