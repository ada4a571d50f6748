//! A TLS server on loopback, and a device that connects to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::model::time::{Mono, Now, Wall};
use crate::source::flotta::identity::{Request, Roots, Store};
use crate::source::flotta::renewal::Receipt;
use crate::source::flotta::testing::{ALWAYS, Ca, Validity, at};
use crate::source::flotta::tls::{About, Explained, Time, client_config, explain};
use crate::source::flotta::trusted_time::TrustedTime;

/// No test waits longer for the other side.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What the device's wall clock shows unless a test says otherwise.
pub fn today() -> Now {
    Now { mono: Mono(1_000), wall: at("2027-02-01T00:00:00Z") }
}

pub fn at_1970() -> Now {
    Now { mono: Mono(1_000), wall: Wall(0) }
}

pub struct Setup {
    pub ca: Ca,
    /// What is in CA_ROOT, instead of the server's CA.
    pub roots: Option<String>,
    pub server: Validity,
    pub version: &'static SupportedProtocolVersion,
    /// The CA that must have signed the device's certificate, where the server looks at that.
    pub clients: Option<String>,
    pub clock: fn() -> Now,
    pub time: TrustedTime,
}

impl Setup {
    pub fn new() -> Setup {
        Setup {
            ca: Ca::new(),
            roots: None,
            server: ALWAYS,
            version: &rustls::version::TLS13,
            clients: None,
            clock: today,
            time: TrustedTime::new(None),
        }
    }

    pub async fn start(self) -> Meeting {
        let roots = roots(self.roots.as_ref().unwrap_or(&self.ca.pem));
        let time = Time::new(self.time, self.clock);
        let config = client_config(&roots, &identity(&self.ca), &time).expect("a configuration");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ClientCertVerifier> = match &self.clients {
            None => Arc::new(NoClientAuth),
            Some(pem) => {
                let mut store = RootCertStore::empty();
                store.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider.clone());
                builder.build().expect("a verifier")
            }
        };
        let (certificate, key) = self.ca.server(self.server);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("a server");
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(server))));
        Meeting { address, config, roots, time }
    }
}

/// Says hello with what it has seen of the client, on every connection.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((tcp, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut tls = match acceptor.accept(tcp).into_fallible().await {
                Ok(tls) => tls,
                // What the client has sent is read to its end: a socket closed over it would reset the alert away.
                Err((_, mut tcp)) => {
                    let _ = tcp.read_to_end(&mut Vec::new()).await;
                    return;
                }
            };
            let seen = tls.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            let _ = tls.write_all(format!("{seen} certificates\n").as_bytes()).await;
            let _ = tls.shutdown().await;
            let _ = tls.read(&mut [0; 64]).await;
        });
    }
}

/// A server, and what a device needs to meet it.
pub struct Meeting {
    pub address: SocketAddr,
    pub config: ClientConfig,
    pub roots: Roots,
    pub time: Time,
}

/// What came of a connection.
pub struct Met {
    pub said: String,
    pub alpn: Option<Vec<u8>>,
    pub version: Option<rustls::ProtocolVersion>,
    pub handshake: Option<rustls::HandshakeKind>,
}

impl Meeting {
    pub async fn connect(&self, name: &str) -> std::io::Result<Met> {
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let name = name.to_owned().try_into().expect("a server name");
        let meet = async {
            let mut tls = connector.connect(name, TcpStream::connect(self.address).await?).await?;
            let mut said = String::new();
            tls.read_to_string(&mut said).await?;
            let connection = tls.get_ref().1;
            Ok(Met {
                said,
                alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
                version: connection.protocol_version(),
                handshake: connection.handshake_kind(),
            })
        };
        tokio::time::timeout(DEADLINE, meet).await.expect("in time")
    }

    pub fn explain(&self, error: &(dyn std::error::Error + 'static), server: &str) -> Option<Explained> {
        let time = self.time.lock();
        explain(error, &About { server, roots: &self.roots, time: &time, now: self.time.clocks() })
    }

    /// Connects, in vain, and says why.
    pub async fn fault(&self, name: &str) -> Explained {
        let error = self.connect(name).await.err().expect("refused");
        self.explain(&error, &format!("https://{name}:{}", self.address.port())).expect("a TLS fault")
    }
}

pub fn roots(pem: &str) -> Roots {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, pem).expect("written");
    Roots::read(&path).expect("read")
}

/// A device's certificate.
pub fn identity(ca: &Ca) -> crate::source::flotta::identity::Pair {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(dir.path(), "edge-1");
    let request = Request::new("edge-1").expect("a request");
    let receipt = Receipt { at: today().wall, from_server: true, boot: "boot".into(), mono_ms: 0 };
    let _ = store.put(&request, &ca.sign(&request, "edge-1", ALWAYS), receipt).expect("taken");
    store.candidate().expect("one").pair.clone()
}
