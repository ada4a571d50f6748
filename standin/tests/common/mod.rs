//! A client that writes HTTP/1.1 by hand, and the certificates that it shows.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flotta_standin::{Identity, Leaf, Options, Standin};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const BASE: &str = "/api/flotta-management/v1";
const DEADLINE: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// All bytes of the answer, as they came.
    pub bytes: usize,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub async fn standin(options: Options) -> Standin {
    Standin::start(options).await.expect("a stand-in on a free port")
}

/// A certificate of a device that is valid now, for a month.
pub fn device(server: &Standin, id: &str) -> Identity {
    let now = server.clock().now();
    let (not_before, not_after) = (now - 86_400, now + 30 * 86_400);
    server
        .identity(&Leaf { common_name: id.to_owned(), namespace: Some("default".to_owned()), not_before, not_after })
        .unwrap()
}

pub fn registration(server: &Standin) -> Identity {
    let (certificate, key) = server.registration_pem();
    Identity { certificate, key }
}

/// Enrols with automatic approval and registers: the certificate that the server signed, with its key.
pub async fn join(server: &Standin, id: &str) -> Identity {
    let mut connection = Connection::open(server, Some(&registration(server))).await.unwrap();
    let enrolment = serde_json::json!({"features": {"hardware": {}}});
    assert!([200, 208].contains(&connection.directive(id, "enrolment", enrolment).await.unwrap().status));
    let (key, request) = key_and_request();
    let content = serde_json::json!({"certificate_request": request, "hardware": {"hostname": "host"}});
    let reply = connection.directive(id, "registration", content).await.unwrap();
    assert_eq!(reply.status, 200);
    Identity { certificate: reply.json()["content"]["certificate"].as_str().unwrap().to_owned(), key }
}

/// A key, and a certificate request for it, whose subject says anything.
pub fn key_and_request() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    (key.serialize_pem(), request)
}

/// A certificate request with a key of its own, whose subject says anything.
pub fn request() -> String {
    key_and_request().1
}

pub fn config(ca: &str, identity: Option<&Identity>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A connection that stays.
pub struct Connection(TlsStream<TcpStream>);

impl Connection {
    pub async fn open(server: &Standin, identity: Option<&Identity>) -> io::Result<Self> {
        Self::with(server, config(&server.ca_pem(), identity, &[b"http/1.1"])).await
    }

    pub async fn with(server: &Standin, config: Arc<ClientConfig>) -> io::Result<Self> {
        let tcp = TcpStream::connect(server.address()).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Ok(Self(TlsConnector::from(config).connect(name, tcp).await?))
    }

    pub async fn write(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let chunked = headers.contains(&("Transfer-Encoding", "chunked"));
        if let (Some(body), false) = (body, chunked) {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        let mut request = request.into_bytes();
        let body = body.unwrap_or_default();
        if chunked {
            request.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            request.extend_from_slice(body);
            request.extend_from_slice(b"\r\n0\r\n\r\n");
        } else {
            request.extend_from_slice(body);
        }
        self.0.write_all(&request).await?;
        self.0.flush().await
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<Reply> {
        self.write(method, path, headers, body).await?;
        self.reply().await
    }

    /// A message to `data/ID/out`.
    pub async fn post(&mut self, id: &str, message: &Value) -> io::Result<Reply> {
        let body = message.to_string();
        let headers = [("Content-Type", "application/json")];
        self.send("POST", &format!("{BASE}/data/{id}/out"), &headers, Some(body.as_bytes())).await
    }

    pub async fn directive(&mut self, id: &str, directive: &str, content: Value) -> io::Result<Reply> {
        self.post(id, &serde_json::json!({"directive": directive, "message_id": "m", "content": content})).await
    }

    pub async fn get(&mut self, id: &str) -> io::Result<Reply> {
        self.send("GET", &format!("{BASE}/data/{id}/in"), &[], None).await
    }

    /// Everything until the end of the connection, and how that ended.
    pub async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut all = Vec::new();
        let end = tokio::time::timeout(DEADLINE, self.0.read_to_end(&mut all)).await.expect("the end");
        (all, end.map(|_| ()))
    }

    pub async fn reply(&mut self) -> io::Result<Reply> {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("an answer")
    }

    async fn read(&mut self) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(bytes.clone()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new(), bytes: bytes.len() };
        if reply.header("Transfer-Encoding") == Some("chunked") {
            loop {
                let mut size = Vec::new();
                while !size.ends_with(b"\r\n") {
                    size.push(self.0.read_u8().await?);
                }
                let length = usize::from_str_radix(String::from_utf8_lossy(&size).trim(), 16).unwrap();
                let mut chunk = vec![0; length + 2];
                self.0.read_exact(&mut chunk).await?;
                reply.bytes += size.len() + chunk.len();
                if length == 0 {
                    return Ok(reply);
                }
                reply.body.extend_from_slice(&chunk[..length]);
            }
        }
        let length = reply.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        reply.body = vec![0; length];
        self.0.read_exact(&mut reply.body).await?;
        reply.bytes += length;
        Ok(reply)
    }
}
